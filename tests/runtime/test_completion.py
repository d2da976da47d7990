"""What shells offer on Tab: commands, options and the names of values, without loading torch."""

import subprocess
import sys

import pytest
import terminals

from noise.completion import datasets, maps, trainable
from planner.completion import kinds, objectives, wires
from profiles.completion import devices, engines, links, models


def offered(words: str, shell: str = "bash") -> str:
    """What `plan` answers to a shell; torch may not be imported."""
    code = "import sys; sys.modules['torch'] = None; from runtime.cli import main; main()"
    asked = {"_PLAN_COMPLETE": f"complete_{shell}", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    asked |= {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=terminals.ROOT,
        env=terminals.environment(**asked),
    )
    return done.stdout


@pytest.mark.parametrize(
    ("completed", "begun", "expected"),
    [
        (models, "mob", ["mobilenet-v2"]),
        (links, "wifi-", ["wifi-paper"]),
        (devices, "tx2", ["tx2-gpu", "tx2-cpu"]),
        (engines, "o", ["onnxruntime"]),
        (objectives, "e", ["energy", "edge-compute"]),
        (wires, "f", ["float32", "float16"]),
        (kinds, "", ["laplace", "gaussian", "channel"]),
        (datasets, "m", ["mnist"]),
        (trainable, "e", ["elpv"]),
        (maps, "l", ["linear"]),
        (links, "my.json", []),  # the shell then offers its files
    ],
)
def test_names_of_values(completed: object, begun: str, expected: list[str]) -> None:
    assert completed(begun) == expected  # type: ignore[operator]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_answered(shell: str) -> None:
    answer = offered("plan learn plan.json --data fash", shell)
    assert "fashion-mnist" in answer
    assert "cifar10" not in answer


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell: str) -> None:
    from typer.completion import get_completion_script

    script = get_completion_script(prog_name="plan", complete_var="_PLAN_COMPLETE", shell=shell)
    assert f"complete_{shell}" in script
    assert "_PLAN_COMPLETE" in script
