"""The arrows between the rooms, and what may not be imported where."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from runtime import schemas

ROOT = Path(__file__).parent.parent
ROOMS = ("profiles", "planner", "noise", "runtime")
PRINTS = {"commands.py", "cli.py", "report.py", "terminal.py"}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SystemError:  # CPython 3.11 miscounts its depth where a test before this one ran out of recursion
        return ast.parse(text)


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(parsed(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room: str) -> None:
    later = set(ROOMS[ROOMS.index(room) + 1 :]) | {"tests", "benchmarks", "examples"}
    wrong = {str(file.relative_to(ROOT)): imports(file) & later for file in sources(room)}
    assert not {file: found for file, found in wrong.items() if found}


def test_the_floor_imports_nothing_of_ours() -> None:
    assert not imports(ROOT / "profiles" / "errors.py") & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_init_holds_names_alone(room: str) -> None:
    tree = parsed((ROOT / room / "__init__.py").read_text())
    assert all(isinstance(node, ast.Expr | ast.Import | ast.Assign) for node in tree.body)


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_there(room: str) -> None:
    module = __import__(room)
    assert module.__all__
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_name_is_that_of_a_file_too(room: str) -> None:
    # Whichever is imported first would hide the other.
    names = set(__import__(room).__all__) - {"trace"}
    assert not names & {one.stem for one in (ROOT / room).glob("*.py")}


def test_only_some_files_print() -> None:
    for file in (one for room in ROOMS for one in sources(room) if one.name not in PRINTS):
        calls = [node for node in ast.walk(parsed(file.read_text())) if isinstance(node, ast.Call)]
        prints = any(isinstance(one.func, ast.Name) and one.func.id == "print" for one in calls)
        assert not prints, file


@pytest.mark.parametrize(
    "module",
    [
        *(
            f"planner.{name}"
            for name in (
                "planning",
                "plan",
                "search",
                "cost",
                "noise_cost",
                "legality",
                "breakpoints",
                "dominance",
                "explored",
                "promised",
                "promises",
                "commands",
                "completion",
                "picture",
            )
        ),
        *(
            f"profiles.{name}"
            for name in (
                "artifact",
                "graph",
                "device",
                "link",
                "codec",
                "errors",
                "engine",
                "roofline",
                "predictor",
                "regression",
                "trees",
                "completion",
                "layer_table",
            )
        ),
        "noise.channel",
        "noise.collection",
        "noise.completion",
        "noise.gaussian",
        "noise.grid",
        "noise.keyed",
        "noise.laplace",
        "noise.mechanism",
        "noise.network_inputs",
        "noise.packing",
        "noise.quantisation",
        "noise.prepared",
        "noise.randomness",
        "noise.tensors",
        "runtime.client",
        "runtime.cloud_server",
        "runtime.session",
        "runtime.doctor",
        "profiles.installing",
        "runtime.edge",
        "runtime.external_data",
        "runtime.folders",
        "runtime.opening",
        "runtime.own",
        "runtime.sides",
        "runtime.trial",
        "runtime.sampler",
        "runtime.protocol",
        "runtime.emulation",
        "runtime.cloud",
        "runtime.batching",
        "runtime.metrics",
        "runtime.logs",
        "runtime.cli",
    ],
)
def test_no_torch_where_it_is_not_needed(module: str) -> None:
    # Torch is an extra: with its import forbidden these must still load.
    code = f"import sys; sys.modules['torch'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_plan_cut_runs_without_torch(tmp_path: Path, tiny: dict[str, object]) -> None:
    edge = tmp_path / "edge.json"
    edge.write_text(json.dumps(tiny))
    code = "import sys; sys.modules['torch'] = None; from runtime.cli import main; main()"
    arguments = ["cut", str(edge), str(edge), "--link", "wifi", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cut"]["name"] == "relu"


@pytest.mark.parametrize("record", schemas.RECORDS, ids=schemas.file_name)
def test_the_schemas_in_docs_are_those_of_the_code(record: type) -> None:
    written = (ROOT / "docs" / "schemas" / schemas.file_name(record)).read_bytes()
    assert written == schemas.schema_bytes(record), "run `make schemas`"


def test_the_designs_example_meets_the_written_schema(tiny: dict[str, object]) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "plan.profile-1.json").read_text())
    jsonschema.validate(tiny, schema)
    del tiny["whole_ms"]
    with pytest.raises(jsonschema.ValidationError, match="whole_ms"):
        jsonschema.validate(tiny, schema)
