"""What noise learning minimises: Equation 4 of Shredder.

    cross-entropy(R(a + n), y) − α Σ|nᵢ|

The second term is the opposite of weight decay: it lets the noise grow where the answer does not mind.
"""

import torch
from torch.nn import functional

#: α is multiplied by DECAY every DECAY_EVERY iterations, else the noise grows until accuracy falls (Section 2).
DECAY, DECAY_EVERY = 0.1, 500


def equation_4(logits: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor, *, alpha: float) -> torch.Tensor:
    """logits [k, batch, classes], labels [batch], noise [k, n] → loss of each of k noise tensors [k]."""
    k, batch, classes = logits.shape
    repeated = labels.expand(k, batch).reshape(-1)
    entropy = functional.cross_entropy(logits.reshape(-1, classes), repeated, reduction="none")
    return entropy.reshape(k, batch).mean(dim=1) - alpha * noise.abs().sum(dim=1)


def alpha_at(step: int, *, alpha: float) -> float:
    """α with its decay."""
    return float(alpha * DECAY ** (step // DECAY_EVERY))
