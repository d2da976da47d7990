"""The words that stand beside a measured figure: what it was measured on."""

import os
from importlib import metadata

from profiles import board


def machine() -> str:
    """Processor, cores that may be used, and the versions that decide speed and draws."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "onnxruntime", "numpy"))
    return f"{board.processor_name()}, {len(os.sched_getaffinity(0))} cores; {versions}"
