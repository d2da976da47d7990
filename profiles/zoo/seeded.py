"""Random weights that are the same on every device.

NumPy's generator and one rounding an element: torch's own normal numbers differ in the last bit between processors,
and then the two devices' weights would have two digests.
"""

import numpy as np
import torch
from torch import nn


def draw_weights(network: nn.Module, *, seed: int) -> None:
    """Uniform within ±√(6 / fan-in) (He), so that values neither die out nor grow with depth; in place.

    Biases are small; the scales of normalisations stay what their constructor made them.
    """
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                bound = np.float32(np.sqrt(6 / max(1, parameter[0].numel())))
            elif name.endswith("bias"):
                bound = np.float32(0.05)
            else:
                continue
            drawn = generator.random(tuple(parameter.shape), dtype=np.float32)
            parameter.copy_(torch.from_numpy((2 * drawn - 1) * bound))
