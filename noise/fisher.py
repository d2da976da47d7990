"""Which directions of a crossing tensor the answer depends on: Fisher information of the cloud half's output.

    F = E_a[ Σ_c p_c ∇log p_c ∇log p_cᵀ ]

with p the cloud half's softmax and ∇ with respect to the crossing tensor. It needs no labels. Noise with covariance
s² (F/λmax + εI)⁻¹ is strong where the answer does not look and weak where it does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise.activations import Activations
from noise.cut_network import CutNetwork
from noise.gaussian import GaussianNoise, LowRankNormal
from noise.randomness import SeededRandom
from planner.noise_cost import RANK

Array = NDArray[Any]

#: Rows the expectation is taken over, and elements of gradients held at a time.
ROWS, MOST_ELEMENTS = 4000, 32_000_000
#: Elements of gradients that are held at most; of larger tensors their leading directions are carried on.
HELD_ELEMENTS = 128_000_000
#: Gradients that are used at most where F itself is not: their gram matrix is decomposed.
MOST_GRADIENTS = 2048
#: With more classes than this, one is drawn for each row instead of summing over all: the same expectation.
MOST_CLASSES = 32
#: Up to so many elements F itself is held.
MOST_SQUARE = 2000


@dataclass(frozen=True)
class Sensitivity:
    """Of one crossing tensor. basis: leading eigenvectors of F, orthonormal [n, r]. eigenvalues: of F/λmax, [r], λmax
    being the largest of all crossing tensors."""

    basis: NDArray[np.float32]
    eigenvalues: NDArray[np.float64]

    def inverse(self, *, epsilon: float) -> LowRankNormal:
        """Noise of covariance (F/λmax + εI)⁻¹, F at this rank."""
        scale = np.full(len(self.basis), epsilon**-0.5, dtype=np.float32)
        shrink = 1 - np.sqrt(epsilon / (self.eigenvalues + epsilon))
        return LowRankNormal(scale, self.basis, shrink.astype(np.float32))


def inverse_fisher(sensitivities: Mapping[str, Sensitivity], *, epsilon: float) -> GaussianNoise:
    """Noise for every crossing tensor, up to its common scale."""
    return GaussianNoise({node: one.inverse(epsilon=epsilon) for node, one in sensitivities.items()})


def sensitivities(cut: CutNetwork, on: Activations, *, seed: int, rank: int = RANK) -> dict[str, Sensitivity]:
    """Fisher information for every crossing tensor, at a rank; O(n·r) memory beside `MOST_ELEMENTS` of gradients."""
    classes = on.logits.shape[1]
    each = classes if classes <= MOST_CLASSES else 1
    most = ROWS
    if cut.elements > MOST_SQUARE:
        most = max(64, min(MOST_GRADIENTS, MOST_ELEMENTS // cut.elements) // each)
    rows = min(len(on), most)
    sums = [_Sum(one.shape[1], rows * each) for one in on.tensors]
    random = SeededRandom(seed, 3)
    size = max(1, min(500, MOST_ELEMENTS // (each * cut.elements)))
    for start in range(0, rows, size):
        part = on.take(slice(start, min(rows, start + size)))
        for gradients in _weighted_gradients(cut, part, each=each, random=random):
            for one, gradient in zip(sums, gradients, strict=True):
                one.add(gradient)
    spectra = [one.spectrum(rank) for one in sums]
    largest = max(float(values.max(initial=0)) for values, _ in spectra) or 1.0
    return {
        node: Sensitivity(vectors.astype(np.float32), values / largest)
        for node, (values, vectors) in zip(cut.shapes, spectra, strict=True)
    }


def _weighted_gradients(
    cut: CutNetwork, on: Activations, *, each: int, random: SeededRandom
) -> list[list[torch.Tensor]]:
    """√p_c ∇log p_c for each class, or ∇log p_c for one class a row drawn from p: tensors [rows, n]."""
    given = [torch.from_numpy(np.array(one)).requires_grad_(True) for one in on.tensors]
    log_p = torch.log_softmax(cut.logits(given, on.beside), dim=1)
    p = log_p.detach().exp()
    if each == 1:
        drawn = torch.from_numpy(random.uniform((len(p), 1)).astype(np.float32))
        chosen = (p.cumsum(1) < drawn).sum(1, keepdim=True).clamp_max(p.shape[1] - 1)
        return [list(torch.autograd.grad(log_p.gather(1, chosen).sum(), given))]
    found = []
    for c in range(each):
        gradients = torch.autograd.grad(log_p[:, c].sum(), given, retain_graph=c + 1 < each)
        found.append([one * p[:, c : c + 1].sqrt() for one in gradients])
    return found


class _Sum:
    """Sum of g gᵀ: the matrix where it is small, else the gradients themselves, or where these are too many the
    leading directions of those seen (twice the rank are carried on, so that the leading ones are true)."""

    def __init__(self, elements: int, rows: int) -> None:
        self._square = torch.zeros(elements, elements) if elements <= MOST_SQUARE else None
        room = min(rows, max(4 * RANK, HELD_ELEMENTS // elements))
        self._rows = torch.empty(0 if self._square is not None else room, elements)
        self._held = 0

    def add(self, gradients: torch.Tensor) -> None:
        if self._square is not None:
            self._square += gradients.T @ gradients
        else:
            for part in torch.split(gradients, len(self._rows) // 2):
                if self._held + len(part) > len(self._rows):
                    self._condense()
                self._rows[self._held : self._held + len(part)] = part
                self._held += len(part)

    def _condense(self) -> None:
        """Rows of the same sum of g gᵀ, up to its smallest directions: Vᵀ G for the eigenvectors V of G Gᵀ."""
        held = self._rows[: self._held]
        _, vectors = torch.linalg.eigh((held @ held.T).double())
        kept = min(2 * RANK, len(held))
        self._rows[:kept] = vectors.flip(1)[:, :kept].T.float() @ held
        self._held = kept

    def spectrum(self, rank: int) -> tuple[Array, Array]:
        """Leading eigenvalues, largest first, and eigenvectors [n, r]."""
        if self._square is not None:
            values, vectors = torch.linalg.eigh(self._square.double())
            values, vectors = values.flip(0)[:rank].clamp_min(0), vectors.flip(1)[:, :rank]
            return values.numpy(), vectors.numpy()
        held = self._rows[: self._held]
        # Eigenvectors of GᵀG are Gᵀv/√λ for those of the small G Gᵀ.
        values, vectors = torch.linalg.eigh((held @ held.T).double())
        values, vectors = values.flip(0)[:rank].clamp_min(0), vectors.flip(1)[:, :rank]
        # Below, an eigenvalue is the rounding of the gradients.
        kept = values > 1e-6 * values.max().clamp_min(1e-30)
        basis = held.T @ vectors[:, kept].float()
        basis, _ = torch.linalg.qr(basis)
        return values[kept].numpy(), basis.numpy()
