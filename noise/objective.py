"""What noise learning minimises: Equations 3, 4, 5 and 11 of Shredder, each a pure function.

Common to all: logits [k, batch, classes] of the cloud half under k noise tensors, labels [batch], and noise, for each
crossing tensor [k, n]. Each returns the loss of every noise tensor, [k].
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional

Equation = Literal[3, 4, 5, 11]
Noise = Sequence[torch.Tensor]

#: α is multiplied by DECAY every DECAY_EVERY iterations, else the noise grows until accuracy falls (Section 2).
DECAY, DECAY_EVERY = 0.1, 500


def alpha_at(step: int, *, alpha: float) -> float:
    """α with its decay."""
    return float(alpha * DECAY ** (step // DECAY_EVERY))


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy under each noise tensor [k]: the first term of every equation, and privacy-agnostic."""
    k, batch, classes = logits.shape
    each = functional.cross_entropy(logits.reshape(-1, classes), labels.repeat(k), reduction="none")
    return each.reshape(k, batch).mean(dim=1)


def equation_3(logits: torch.Tensor, labels: torch.Tensor, noise: Noise, *, alpha: float) -> torch.Tensor:
    """cross-entropy + α / σ²(n), σ² over the elements of all crossing tensors together.

    E[a²], the numerator of the signal-to-noise ratio, is constant and left out, as in the paper.
    """
    return cross_entropy(logits, labels) + alpha / variance(noise)


def equation_4(logits: torch.Tensor, labels: torch.Tensor, noise: Noise, *, alpha: float) -> torch.Tensor:
    """cross-entropy − α Σ|nᵢ|: the opposite of weight decay lets the noise grow where the answer does not mind."""
    return cross_entropy(logits, labels) - alpha * _sizes(noise)


def equation_5(
    logits: torch.Tensor,
    labels: torch.Tensor,
    private_logits: torch.Tensor,
    private_labels: torch.Tensor,
    noise: Noise,
    *,
    alpha: float,
    gamma: float,
) -> torch.Tensor:
    """cross-entropy(primary) − γ · cross-entropy(private) − α Σ|nᵢ|.

    private_logits [k, batch, private classes], private_labels [batch]. The paper writes the second term as
    + γ Σ z log p, which is the same. It has no lower bound: γ is kept small (0.01 in Table 2).
    """
    hidden = cross_entropy(private_logits, private_labels)
    return cross_entropy(logits, labels) - gamma * hidden - alpha * _sizes(noise)


def equation_11(
    logits: torch.Tensor, labels: torch.Tensor, noise: Noise, *, scales: Sequence[float], weight: float
) -> torch.Tensor:
    """log(b_y + b_w) − log b_w + λ · cross-entropy, of Section 5.

    scales: b_y, the Laplace scale of each crossing tensor. weight: λ. b_w is estimated from the noise anew in every
    step and is differentiated through it: were it held fixed, the first two terms would have no gradient. Of several
    crossing tensors each has its own scales, and counts by its elements, as entropies do.
    """
    elements = sum(one.shape[1] for one in noise)
    leaked = torch.zeros(len(logits))
    for one, b_y in zip(noise, scales, strict=True):
        b_w = laplace_scale(one)
        leaked = leaked + one.shape[1] / elements * (torch.log(b_y + b_w) - torch.log(b_w))
    return leaked + weight * cross_entropy(logits, labels)


def laplace_scale(noise: torch.Tensor) -> torch.Tensor:
    """b_w of noise tensors [k, n] by their variance, which is 2 b² (Section 5: "compute the variance") [k]."""
    return torch.sqrt(noise.var(dim=1, correction=0) / 2)


def variance(noise: Noise) -> torch.Tensor:
    """σ²(n) over the elements of all crossing tensors together [k]."""
    elements = sum(one.shape[1] for one in noise)
    mean = sum((one.sum(dim=1) for one in noise), start=torch.zeros(len(noise[0]))) / elements
    squares = (((one - mean[:, None]) ** 2).sum(dim=1) for one in noise)
    return sum(squares, start=torch.zeros(len(noise[0]))) / elements


def _sizes(noise: Noise) -> torch.Tensor:
    """Σ|nᵢ| [k]."""
    return sum((one.abs().sum(dim=1) for one in noise), start=torch.zeros(len(noise[0])))
