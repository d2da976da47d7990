from pathlib import Path

import pytest
import torch
from torch import nn

from profiles.errors import ModelError
from profiles.models import load_model


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])


def test_the_zoo_network_has_the_papers_layers() -> None:
    model = load_model("lenet")
    kinds = [type(layer) for layer in model.module.children()]
    assert kinds.count(nn.Conv2d) == 3
    assert kinds.count(nn.Linear) == 2
    assert model.args[0].shape == (1, 1, 28, 28)
    assert 0 <= model.args[0].min() <= model.args[0].max() <= 1


def test_the_zoo_network_comes_trained(mnist: object) -> None:
    from noise.pretrain import accuracy_percent

    assert accuracy_percent(load_model("lenet").module, mnist.test) >= 99.1  # type: ignore[attr-defined]


def test_a_users_function_is_found_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "mine_a.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Linear(3, 2).train(), (torch.rand(1, 3),)\n"
    )
    model = load_model("mine_a:net")
    assert model.name == "net"
    assert not model.module.training


def test_a_pt2_file_is_taken(tmp_path: Path) -> None:
    module = nn.Linear(3, 2).eval()
    torch.export.save(torch.export.export(module, (torch.rand(1, 3),)), tmp_path / "mine.pt2")
    model = load_model("mine.pt2")
    assert model.module(*model.args).shape == (1, 2)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("lenett", "did you mean 'lenet'"),
        ("nowhere:net", "no module 'nowhere'"),
        ("mine_b:gone", "has no 'gone'"),
        ("mine_b:wrong", "returned int"),
        ("mine_b:fails", "ValueError: bad weights"),
        ("mine_b:number", "expected a function"),
        ("broken_b:net", "SyntaxError"),
        ("gone.pt2", "no such file"),
        ("junk.pt2", "not a model saved by"),
    ],
)
def test_what_is_no_model_is_one_clear_line(tmp_path: Path, source: str, word: str) -> None:
    (tmp_path / "mine_b.py").write_text(
        "number = 3\ndef wrong():\n    return 3\ndef fails():\n    raise ValueError('bad weights\\nin two lines')\n"
    )
    (tmp_path / "broken_b.py").write_text("def net(:\n")
    (tmp_path / "junk.pt2").write_bytes(b"not a zip at all")
    with pytest.raises(ModelError) as caught:
        load_model(source)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_equal_weights_have_one_digest_and_others_another() -> None:
    one, same = load_model("lenet"), load_model("lenet")
    assert one.weights == same.weights
    with torch.no_grad():
        next(same.module.parameters())[0, 0, 0, 0] += 1e-3
    assert one.weights != same.weights
