"""Steps: done once, anew for other settings, nothing half-written, a failure said on the page."""

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from profiles.errors import PlanError
from reproduction import page
from reproduction.part import Found, Pictures, Verdict
from reproduction.step import Result, Step, Store


class Counted:
    """Work that says how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> dict[str, object]:
        assert folder.is_dir()
        self.times += 1
        return {"times": self.times, "array": np.arange(3), "pair": (1, 2.5)}


def test_a_step_is_done_once(tmp_path: Path) -> None:
    work = Counted()
    first = Store(tmp_path).done(Step("one", work, "exact", {"links": ("wifi",)}))
    again = Store(tmp_path).done(Step("one", work, "exact", {"links": ("wifi",)}))
    assert work.times == 1
    assert again == first
    assert first.figures == {"times": 1, "array": [0, 1, 2], "pair": [1, 2.5]}


def test_other_settings_do_it_anew(tmp_path: Path) -> None:
    work, store = Counted(), Store(tmp_path)
    store.done(Step("one", work, "exact", {"seed": 0}))
    other = Step("one", work, "exact", {"seed": 1})
    assert store.found(other) is None
    assert store.done(other).figures["times"] == 2
    assert store.found(Step("one", work, "exact", {"seed": 0})) is None


def test_a_failure_leaves_no_result_and_what_it_had_done(tmp_path: Path) -> None:
    def failing(folder: Path) -> dict[str, object]:
        (folder / "half").write_text("so far")
        raise PlanError("no data")

    step = Step("one", failing, "measured")
    with pytest.raises(PlanError):
        Store(tmp_path).done(step)
    assert Store(tmp_path).found(step) is None
    assert (tmp_path / "scratch" / "one" / "half").read_text() == "so far"


def test_what_was_begun_with_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def stopped(folder: Path) -> dict[str, object]:
        seen.append([one.name for one in folder.iterdir() if one.name != "settings.json"])
        (folder / "rows.csv").write_text("so far")
        if len(seen) < 4:
            raise PlanError("stopped")
        return {}

    for seed in (0, 0, 1):
        with pytest.raises(PlanError):
            Store(tmp_path).done(Step("one", stopped, "measured", {"seed": seed}))
    Store(tmp_path).done(Step("one", stopped, "measured", {"seed": 1}))
    assert seen == [[], ["rows.csv"], [], ["rows.csv"]]
    assert not (tmp_path / "scratch" / "one").exists()


def test_a_damaged_result_says_what_to_do(tmp_path: Path) -> None:
    step = Step("one", Counted(), "exact")
    (tmp_path / "one.json").write_text('{"schema": "plan.reproduced/1", "step"')
    with pytest.raises(PlanError, match="delete it, and the step is done again"):
        Store(tmp_path).found(step)


def test_a_killed_step_leaves_nothing_half_written(tmp_path: Path) -> None:
    program = """
        import os, signal, sys
        from pathlib import Path
        from reproduction.step import Step, Store
        store = Store(Path(sys.argv[1]))
        store.done(Step("first", lambda folder: {"x": 1}, "exact"))
        store.done(Step("second", lambda folder: os.kill(os.getpid(), signal.SIGKILL), "exact"))
    """
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], check=False, cwd=root, capture_output=True
    )
    assert killed.returncode == -9
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["first.json"]
    work = Counted()
    assert Store(tmp_path).done(Step("first", work, "exact")).figures == {"x": 1}
    assert work.times == 0
    assert Store(tmp_path).done(Step("second", work, "exact")).figures["times"] == 1


class Part:
    """Two steps, of which a section shows the first."""

    NAME, TITLE = "part", "Table 9: a part"

    def steps(self, *, quick: bool) -> Sequence[Step]:
        return [Step("one", Counted(), "exact"), Step("two", Counted(), "measured")]

    def verdict(self, found: Found) -> Verdict:
        return Verdict("reproduced", "as printed")

    def section(self, found: Found, pictures: Pictures, *, quick: bool) -> str:
        return f"shown: {found['one'].figures['x']}"


def result(step: str) -> Result:
    return Result(
        step=step,
        provenance="exact",
        settings={},
        command="",
        figures={"x": 7},
        machine="a board",
        seconds=60.0,
        made="2026-01-01",
    )


def test_a_part_that_failed_says_so_on_the_page(tmp_path: Path) -> None:
    text = page.page([Part()], {}, {"one": "no data: fetch it"}, Pictures(tmp_path, "pictures"), quick=True)
    assert "| not made | no data: fetch it |" in text
    assert "shown:" not in text


def test_a_part_that_lacks_a_step_shows_the_rest_and_what_is_missing(tmp_path: Path) -> None:
    text = page.page([Part()], {"one": result("one")}, {}, Pictures(tmp_path, "pictures"), quick=False)
    assert "shown: 7" in text
    assert "| reproduced in part | as printed; without two |" in text
    assert "Missing: two." in text
    assert "[Table 9: a part](#table-9-a-part)" in text
    assert "a board" in text


@pytest.mark.parametrize("figure", [float("nan"), np.float64("inf"), np.array([1.0, np.nan])])
def test_a_figure_that_is_no_number_is_no_result(figure: object, tmp_path: Path) -> None:
    step = Step("one", lambda folder: {"bits": figure}, "measured")
    with pytest.raises(ValueError, match="JSON"):
        Store(tmp_path).done(step)
    assert Store(tmp_path).found(step) is None
