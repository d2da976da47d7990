"""Every example runs as its docstring says, and prints what is recorded beside it, but for the numbers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
ARGUMENTS = {"modelled_devices": ["examples/devices"]}
#: Files alone: the same on every machine, to the last digit.
EXACT = ("choose_a_cut", "modelled_devices")
LONG = ("audit_noise", "lenet_split", "own_model", "two_inputs", "two_machines")
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


def printed(name: str) -> str:
    """What an example prints, run from the repository's folder."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *ARGUMENTS.get(name, [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def recorded(name: str) -> str:
    return (EXAMPLES / f"{name}.txt").read_text()


def masked(text: str) -> list[str]:
    """Lines without their numbers and the width they take, nor the cut, which follows the machine's times."""
    plain = re.sub(r"cut after \w+", "cut after #", text)
    return [re.sub(r"\s+", " ", re.sub(NUMBER, "#", line)) for line in plain.splitlines()]


def numbers(text: str, pattern: str) -> list[float]:
    """The numbers that stand where a pattern has #, whatever width they take."""
    found = re.search(re.escape(pattern).replace(r"\#", f" *({NUMBER})"), text)
    assert found, f"{pattern!r} in {text}"
    return [float(one) for one in found.groups()]


def test_every_example_is_listed_and_has_its_output_beside_it() -> None:
    names = {file.stem for file in EXAMPLES.glob("*.py")}
    assert names == {*EXACT, *LONG} == {file.stem for file in EXAMPLES.glob("*.txt")}
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}.py`" in listed for name in names)


@pytest.mark.parametrize("name", [*EXACT, *LONG])
def test_it_says_how_it_is_run_and_how_its_numbers_scatter(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text().split('"""')[1]
    assert f"python examples/{name}.py" in text
    assert re.search(r"spread|scatter", text, re.IGNORECASE)


@pytest.mark.parametrize("name", EXACT)
def test_what_needs_no_clock_prints_just_that(name: str) -> None:
    assert printed(name) == recorded(name)


@pytest.mark.long
@pytest.mark.parametrize("network", ["alexnet", "vgg16"])
@pytest.mark.parametrize("board", ["tx2-gpu", "titan-xp"])
def test_the_devices_are_as_the_tool_models_them(network: str, board: str) -> None:
    from profiles import DeviceProfile, profile_as

    file = EXAMPLES / "devices" / f"{network}-{board}.json"
    assert DeviceProfile.read(file) == profile_as(network, board).profile


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_what_is_measured_prints_the_same_lines(name: str) -> None:
    now = printed(name)
    assert masked(now) == masked(recorded(name))
    LAWS[name](now)


def law_of_lenet_split(text: str) -> None:
    loss, low, high = numbers(text, "accuracy lost: # points (95 %: # to #), of 1.5")
    assert low <= loss <= high <= 1.5
    noisy, clean = numbers(text, "ran: # % right, # % without noise")
    assert clean - noisy < 3
    measured, predicted = numbers(text, "ran: # ms measured, # ms predicted")
    assert measured > predicted / 2


def law_of_own_model(text: str) -> None:
    clean, noisy, bits = numbers(text, "# % right, # % with noise; tells at most # bits")
    assert clean - noisy <= 3
    assert 0 < bits < 64
    assert "halves equal the whole: True" in text


def law_of_audit_noise(text: str) -> None:
    told = {
        name: numbers(text, f"{name:8} reconstructed # dB, named # %") for name in ("clean", "laplace", "gaussian")
    }
    assert told["clean"][0] > told["gaussian"][0] > numbers(text, "floors   reconstructed # dB")[0]
    assert told["clean"][1] >= told["laplace"][1]


def law_of_two_inputs(text: str) -> None:
    assert "squeeze" in text
    assert numbers(text, "# % answered as without noise")[0] >= 80


def law_of_two_machines(text: str) -> None:
    assert text.startswith("https")
    right, of = numbers(text, "# of # digits right")
    assert right >= 0.93 * of


LAWS = {
    "audit_noise": law_of_audit_noise,
    "lenet_split": law_of_lenet_split,
    "own_model": law_of_own_model,
    "two_inputs": law_of_two_inputs,
    "two_machines": law_of_two_machines,
}
