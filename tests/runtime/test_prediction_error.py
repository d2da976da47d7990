"""The benchmark of predictions, in miniature: that it runs and reports, not how long anything takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "prediction_error.py"


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.long  # the benchmark itself, whole
def test_a_cut_is_planned_run_and_set_beside_its_prediction(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = ran("lenet", "--links", "wifi", "--cuts", "relu4", "--seconds", "0.1", "--budget", "0",
               "--out", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 cuts: median error" in done.stdout
    (found,) = json.loads((tmp_path / "prediction_error.json").read_text())
    assert (found["network"], found["link"], found["cut"]) == ("lenet", "wifi", "relu4")
    assert found["inferences"] == 5
    assert found["bytes_up"] > found["upload_bytes"] == 336
    for parts in (found["predicted_ms"], found["measured_ms"]):
        # Half a round trip and the tensor's bytes cannot be undercut, predicted or measured.
        assert parts["uplink"] > 2.5 + 8 * 336 / 18_880
        assert parts["total"] >= parts["edge"] + parts["uplink"]
    assert (tmp_path / "prediction_error.png").stat().st_size > 10_000


def test_a_cut_that_is_none_ends_in_words() -> None:
    done = ran("lenet", "--links", "wifi", "--cuts", "nowhere", "--seconds", "0.1")
    assert done.returncode != 0
    assert "no such cut: nowhere" in done.stderr
    assert "Traceback" not in done.stderr
