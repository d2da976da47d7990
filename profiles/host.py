"""This device: what it is called, what it holds, and whether a torch device is here."""

import torch

from profiles import board
from profiles.engine import ENGINES
from profiles.errors import ProfileError


def require_device(device: str) -> None:
    """Raises ProfileError for a device that is not here, or that a run would not know."""
    kind = device.partition(":")[0]
    if kind not in ENGINES.values():
        raise ProfileError(f"--device {device}: expected cpu or cuda, which the run knows as well")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ProfileError(f"--device {device}: torch {torch.__version__} sees no CUDA device here; use --device cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ProfileError(f"--device {device}: {str(error).splitlines()[0]}; use cpu or cuda") from error


def device_name(device: str) -> str:
    """The GPU's or the processor's own name for itself."""
    return str(torch.cuda.get_device_name(device)) if device.startswith("cuda") else board.processor_name()


def memory_bytes(device: str) -> int | None:
    """The device's memory, where the system tells."""
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    return board.memory_bytes()
