"""Reconstruction by optimisation through the known edge half: the image that best explains what crossed.

    x̂ = argmin over [0, 1] of  ½ |whiten(half(x)) − whiten(a')|²  +  λ TV(x)  +  ½ (x − guess)ᵀ Σ⁻¹ (x − guess)

The first term is −log p(a'|x) where the noise is Gaussian, so x̂ is the most likely image a posteriori under a prior
that says two things: neighbouring pixels differ little (total variation: A. Mahendran, A. Vedaldi, "Understanding
deep image representations by inverting them", 2015; of feature inversion at a cut: Z. He, T. Zhang, R. Lee, "Model
inversion attacks against collaborative inference", 2019), and the image lies about a first guess as that guess is
known to err. λ is a multiple of 1 / E|difference|, the likeliest for Laplacian differences; Σ is the covariance of
the guess's error over images of the adversary's own, in its principal components. By Adam over these, many images at
once, none of which sees another.

The guess is the mean image or a decoder's answer, whichever the adversary sees to do better on images of its own, as
it sees what λ does. Noise that is not Gaussian counts as if it were, element by element.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noise.audit.adversary import Adversary
from noise.audit.image_quality import psnr
from noise.audit.training import Observe
from noise.differentiable import whitening_torch
from noise.gaussian import OfNormals
from profiles.errors import DataError

Array = NDArray[Any]
Function = Callable[[Tensor], Tensor]

#: Adam's rate at first, in deviations of a component (of the peak where no error of the guess is known); it falls to
#: nothing along a cosine.
RATE = 0.3
#: Images that are looked for at once; own images by which start and smoothness are chosen.
IMAGES, CHOSEN = 250, 64
#: Multiples of 1 / E|difference| that are tried.
SMOOTHNESS = (0.0, 0.05, 1.0)
#: Principal components that are kept; above so many pixels fewer, found by random projections.
COMPONENTS, PIXELS, PROJECTED = 1024, 4096, 256
#: Clean tensors count as known to this share of each element's deviation. Where it is less the search sticks: from
#: the mean image of LeNet's 120 elements it came to 12.8 dB at a thirtieth, to 16.2 at a tenth, with smoothness.
CLEAN = 0.1


def invert(
    half: Function,
    observed: Tensor,
    start: Tensor,
    *,
    whiten: Function | None = None,
    steps: int = 200,
    learning_rate: float = RATE,
    smoothness: float = 0.0,
    spread: Tensor | None = None,
) -> Tensor:
    """What crossed [m, n] and first guesses [m, *shape] → images in [0, 1], [m, *shape].

    half: images → what would cross for them without noise [m, n]. whiten: [m, n] → [m, d], where the noise is
    N(0, I); None: it is so already. smoothness: λ. spread: S [pixels, r] with Σ = S Sᵀ, of the first guess's error;
    None: the guess is a place to start from and no more.
    """
    if len(observed) != len(start):
        raise DataError(f"{len(observed)} tensors and {len(start)} first guesses, expected as many")
    whitened = whiten or (lambda tensors: tensors)
    target = whitened(observed.float()).detach()
    guess = start.detach().float().clamp(0, 1)
    shift = guess.new_zeros(guess.flatten(1).shape if spread is None else (len(guess), spread.shape[1]))
    shift.requires_grad_(True)

    def image() -> Tensor:
        moved = shift if spread is None else shift @ spread.T
        return (guess + moved.reshape(guess.shape)).clamp(0, 1)

    optimiser = torch.optim.Adam([shift], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=max(1, steps))
    for _ in range(steps):
        found = image()
        loss = 0.5 * (whitened(half(found)) - target).square().sum()
        if smoothness:
            loss = loss + smoothness * total_variation(found).sum()
        if spread is not None:
            loss = loss + 0.5 * shift.square().sum()
        (shift.grad,) = torch.autograd.grad(loss, [shift])
        optimiser.step()
        schedule.step()
        if spread is None:  # a pixel beyond the range would feel no pull back
            with torch.no_grad():
                shift.copy_(image().sub(guess).reshape(shift.shape))
    return image().detach()


def total_variation(images: Tensor) -> Tensor:
    """Σ |difference| of neighbours down and across, of each image [m, ..., height, width] → [m]."""
    return sum((one.abs().flatten(1).sum(dim=1) for one in _differences(images)), start=images.new_zeros(len(images)))


def _differences(images: Tensor) -> list[Tensor]:
    axes = range(max(1, images.ndim - 2), images.ndim)
    return [images.diff(dim=axis) for axis in axes if images.shape[axis] > 1]


@dataclass(frozen=True)
class Guess:
    """Where the search starts. spread: of the guess's error, as `invert` takes it."""

    name: str
    of: Callable[[Tensor], Tensor]
    spread: Tensor


@dataclass(frozen=True)
class WhiteBox:
    """The search as the adversary found it to do best on images of its own; scores_db: PSNR there of all it tried."""

    half: Function
    whiten: Function | None
    guess: Guess
    smoothness: float
    steps: int
    scores_db: dict[str, float]

    def __call__(self, observed: Tensor) -> Tensor:
        """What crossed [rows, n] → images [rows, *shape]."""
        return torch.cat([self._part(part) for part in torch.split(observed, IMAGES)])

    def _part(self, observed: Tensor) -> Tensor:
        return invert(
            self.half,
            observed,
            self.guess.of(observed),
            whiten=self.whiten,
            steps=self.steps,
            smoothness=self.smoothness,
            spread=self.guess.spread,
        )

    @property
    def words(self) -> str:
        """How hard it tried."""
        return f"{self.steps} steps of Adam from the {self.guess.name}, smoothness {self.smoothness:.3g}"


def prepare(
    half: Function,
    observe: Observe,
    images: Array,
    *,
    whiten: Function | None = None,
    decoder: Callable[[Tensor], Tensor] | None = None,
    steps: int = 200,
    smoothness: Sequence[float] = SMOOTHNESS,
) -> WhiteBox:
    """Choose the start and the smoothness on the attacker's own images [rows, *shape], the last of them, which a
    decoder has not learned from. Raises DataError for images beyond [0, 1].

    observe: row indices → what crosses for these images, with fresh noise at every call. whiten: as `invert` takes
    it, as `whitening_of` gives it.
    """
    known = torch.from_numpy(images).float()
    if float(known.min()) < 0 or float(known.max()) > 1:
        raise DataError(f"images from {known.min():g} to {known.max():g}, expected values in [0, 1]")
    held = torch.arange(len(known))[-max(1, len(known) // 10) :]
    guesses = [_from_mean(known)]
    if decoder is not None:
        guesses.append(_from_decoder(decoder, observe(held), known[held]))
    chosen = held[-CHOSEN:]
    seen, true = observe(chosen), known[chosen]
    tried: dict[str, float] = {}
    best: WhiteBox | None = None
    for guess in guesses:
        for share in smoothness:
            one = WhiteBox(half, whiten, guess, share * _likeliest(known[held]), steps, tried)
            score = float(psnr(one(seen).double(), true.double()).clamp(max=200).mean())
            if score > max(tried.values(), default=-torch.inf):
                best = one
            tried[f"{guess.name}, {share:g}"] = score
    assert best is not None
    return best


def whitening_of(adversary: Adversary) -> Function:
    """For what this adversary sees: exact where the noise's density is Gaussian, else element by element."""
    noise = adversary.noise
    if noise is None:
        return clean_whitening(adversary.carried)
    if isinstance(noise, OfNormals):
        weaker: Any = noise.scaled(1 / math.sqrt(adversary.queries))  # type: ignore[attr-defined]
        return whitening_torch(weaker)
    return whitening_by_element(adversary.noise_deviations)


def whitening_by_element(deviations: Array) -> Function:
    """Noise as if it were independent, Gaussian, of these standard deviations [n]; elements without any count as
    known to a thousandth of the largest."""
    floor = max(1e-3 * float(deviations.max()), 1e-12)
    scale = torch.from_numpy(np.maximum(deviations, floor).astype(np.float32))
    return lambda tensors: tensors / scale


def clean_whitening(tensors: Array) -> Function:
    """For clean tensors, from the attacker's own [rows, n]."""
    return whitening_by_element(CLEAN * tensors.std(axis=0))


def _from_mean(known: Tensor) -> Guess:
    mean = known.mean(dim=0)
    return Guess("mean image", lambda observed: mean.expand(len(observed), *mean.shape), _spread(known - mean))


def _from_decoder(decoder: Callable[[Tensor], Tensor], observed: Tensor, true: Tensor) -> Guess:
    return Guess("decoder's answer", decoder, _spread(true - decoder(observed)))


def _spread(errors: Tensor) -> Tensor:
    """S [pixels, r] with S Sᵀ about the mean square of errors [rows, *shape]."""
    flat = errors.flatten(1)
    rows, pixels = flat.shape
    if min(rows, pixels) > PIXELS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, values, vectors = torch.svd_lowrank(flat, q=PROJECTED)
        found: Tensor = vectors * values / math.sqrt(rows)
        return found
    if pixels <= rows:
        squares, vectors = torch.linalg.eigh((flat.T @ flat / rows).double())
    else:
        squares, left = torch.linalg.eigh((flat @ flat.T / rows).double())
        vectors = flat.T.double() @ left / (rows * squares.clamp(min=1e-12)).sqrt()
    kept = squares.argsort(descending=True)[:COMPONENTS]
    spread: Tensor = (vectors[:, kept] * squares[kept].clamp(min=0).sqrt()).float()
    return spread


def _likeliest(known: Tensor) -> float:
    """1 / E|difference| of neighbouring pixels."""
    differences = [one.abs().flatten() for one in _differences(known)]
    return 1 / max(float(torch.cat(differences).mean()), 1e-6) if differences else 0.0
