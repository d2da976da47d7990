"""A module of the user's own, kept as a file that both halves' processes can load."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import torch
from torch import nn

from profiles import artifact
from profiles.errors import ArtifactError
from profiles.models import as_model
from profiles.trace import export

#: What a model's file ends in, by which `load_model` knows it.
SUFFIX = ".pt2"


def save_model(
    module: nn.Module,
    inputs: torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor],
    path: Path | str,
) -> str:
    """Write a module with its weights as a `.pt2` file, and return its source: what `profile` takes, and a plan
    names, so that learning, the edge and the cloud load the very same network.

    inputs: an example, tensors [n, ...]; several in the order of forward, or by its parameters' names.
    Raises ModelError (no module and tensors), TraceError (torch.export cannot), ArtifactError (no place for it).
    """
    file = Path(path)
    if file.suffix != SUFFIX:
        raise ArtifactError(f"{file}: a model's file ends in {SUFFIX}; call it {file.with_suffix(SUFFIX)}")
    modes = [(one, one.training) for one in module.modules()] if isinstance(module, nn.Module) else []
    try:
        program = export(as_model(module, inputs, source=str(file)))
    finally:  # what is exported is in its mode of evaluation; the caller's may go on training
        for one, training in modes:
            one.training = training
    stream = BytesIO()
    torch.export.save(program, stream)
    artifact.write_bytes(file, stream.getvalue())
    return str(file)
