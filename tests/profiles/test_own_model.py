"""A module kept as a file is the same network when it is loaded again."""

from pathlib import Path

import pytest
import torch
from torch import nn

from profiles import load_model, save_model, trace
from profiles.errors import ArtifactError, ModelError


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))


def test_what_is_loaded_answers_as_what_was_saved_and_takes_any_batch(tmp_path: Path) -> None:
    mine = module()
    source = save_model(mine, torch.rand(1, 5), tmp_path / "mine.pt2")
    model = load_model(source)
    network = trace(model)
    x = torch.rand(7, 5)
    assert (model.name, model.source) == ("mine", source)
    assert network.dynamic_batch
    torch.testing.assert_close(network.eager([x])[0], mine.eval()(x))
    assert model.weights == load_model(source).weights


def test_a_module_can_be_trained_on_after_it_was_kept(tmp_path: Path) -> None:
    mine = module().train()
    mine[2].eval()
    save_model(mine, torch.rand(1, 5), tmp_path / "mine.pt2")
    assert [one.training for one in mine.modules()] == [True, True, True, False, True]


def test_several_inputs_by_name(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(4, 3), nn.Linear(2, 3)

        def forward(self, image: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
            return self.one(image) + self.other(readings)

    given = {"image": torch.rand(1, 4), "readings": torch.rand(1, 2)}
    source = save_model(Two(), given, tmp_path / "two.pt2")
    assert trace(load_model(source)).input_names == ("image", "readings")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="got int as the module"):
        save_model(3, torch.rand(1, 5), tmp_path / "mine.pt2")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not all tensors"):
        save_model(module(), (1, 2), tmp_path / "mine.pt2")  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=r"mine\.pt2"):
        save_model(module(), torch.rand(1, 5), tmp_path / "mine.onnx")
    assert not list(tmp_path.iterdir())
