"""What people see is what was given."""

import pytest

from profiles.terminal import Row, Terminal


def test_names_are_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(json=False).table(["a"], [Row(["own:two:"])], title="own:one: what it is, in some columns")
    shown = capsys.readouterr().out
    assert "own:one: what" in " ".join(shown.split())
    assert "own:two:" in shown
