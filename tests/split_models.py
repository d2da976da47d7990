"""Models for `plan split`, as `package.module:function`; weights are seeded, so that two loads agree."""

from typing import Any

import networks
import torch


def shared() -> Any:
    """One layer on both sides of a cut."""
    torch.manual_seed(0)
    return networks.shared()
