"""A model by its source: a zoo name, `transformers:CLASS`, `package.module:function`, or a `.pt2` file."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from profiles.errors import ModelError
from profiles.functions import import_function, one_line
from profiles.zoo.catalog import ZOO


@dataclass(frozen=True)
class Model:
    """A module in eval mode, and an example of its inputs (tensors, batch first)."""

    name: str
    source: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def weights(self) -> str:
        """SHA-256 over the names, types, shapes and values of parameters and buffers."""
        total = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            total.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
            total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return "sha256:" + total.hexdigest()


def load_model(source: str) -> Model:
    """Raises ModelError: no such model, or its function did not return a module and example inputs."""
    if source in ZOO:
        entry = ZOO[source]
        return Model(entry.name, source, entry.build(), (entry.example(),), {})
    if source.startswith("transformers:"):
        from profiles.transformers_models import from_transformers

        return Model(source.rpartition(":")[2], source, *from_transformers(source))
    if source.endswith(".pt2"):
        return _from_pt2(Path(source))
    if ":" in source:
        return _from_function(source)
    near = difflib.get_close_matches(source, ZOO, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ModelError(
        f"no model {source!r}{hint} Expected a zoo name ({', '.join(ZOO)}), "
        "transformers:CLASS, package.module:function or a .pt2 file"
    )


def _from_function(source: str) -> Model:
    made = import_function(source)()
    if not (isinstance(made, tuple) and len(made) == 2):
        raise ModelError(f"{source} returned {type(made).__name__}, {_EXPECTED}")
    return as_model(*made, source=source)


_EXPECTED = "expected (module, example inputs): a tuple of tensors, or a dictionary of them by name"


def as_model(module: Any, inputs: Any, *, source: str) -> Model:
    """A module in eval mode and an example of its inputs: a tensor, a tuple or list of them, or a dictionary by name.

    source: what errors call it, and where it can be loaded from again. Raises ModelError for anything else.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(f"{source}: got {type(module).__name__} as the module, {_EXPECTED}")
    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    if not isinstance(inputs, Mapping | tuple | list):
        raise ModelError(f"{source}: got a module and {type(inputs).__name__}, {_EXPECTED}")
    args, kwargs = ((), inputs) if isinstance(inputs, Mapping) else (tuple(inputs), {})
    if not all(isinstance(value, torch.Tensor) for value in (*args, *kwargs.values())):
        raise ModelError(f"{source}: got a module and inputs that are not all tensors, {_EXPECTED}")
    if any(value.layout != torch.strided for value in (*args, *kwargs.values())):
        raise ModelError(f"{source}: got a sparse example input; give a dense one, and make it sparse in forward")
    return Model(source.rpartition(":")[2], source, module.eval(), args, kwargs)


def _from_pt2(path: Path) -> Model:
    """The user's own exported program. It can carry pickled parts: never open one from a peer."""
    if not path.exists():
        raise ModelError(f"{path}: no such file, expected a model saved by torch.export.save")
    try:
        program = torch.export.load(path)
    except Exception as error:
        raise ModelError(f"{path}: not a model saved by torch.export.save ({one_line(error)})") from error
    if program.example_inputs is None:
        raise ModelError(f"{path}: holds no example inputs; save it with torch.export.save of a fresh export")
    args, kwargs = program.example_inputs
    return Model(path.stem, str(path), program.module(), tuple(args), dict(kwargs))
