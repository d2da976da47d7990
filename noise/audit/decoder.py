"""Reconstruction: what a decoder, trained on pairs of noisy tensor and image, makes of what crosses.

The adversary knows model, cut and noise distribution, so it makes its pairs itself, without end: each step observes
its images under fresh noise. The mean of what could have been sent is the best answer by squared error.
"""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from noise.audit import training
from noise.audit.image_quality import ImageQuality, quality
from noise.audit.training import Observe, Strength, Training

#: Measured on clean tensors, one thread of a shared core. LeNet's 120 elements (mnist): 21.05, 21.50, 21.69 dB after
#: one, two, three cycles of 37 s each; three layers of 512 said 21.43 after eight epochs and 54 s, two of 640 21.33,
#: residual layers and transposed convolutions 21.33, half as long again. Of CIFAR-10's 400: 17.19 and 17.35 after
#: one and two cycles of a minute. Weak attacks flatter the noise: two layers of 512 without normalisation at a rate
#: of 2e-3 said 19.9 of LeNet.
DECODER = Strength(width=640, hidden_layers=3, epochs=4, batch=128, learning_rate=6e-3, cycles=4, least_gain=0.15)


@dataclass(frozen=True)
class Decoder:
    """A trained decoder; shape: of one image."""

    network: nn.Module
    shape: tuple[int, ...]
    training: Training

    def __call__(self, observed: Tensor) -> Tensor:
        """Images [rows, *shape] from what crossed [rows, n]."""
        return training.apply(self.network, observed).reshape(-1, *self.shape)

    def quality(self, observed: Tensor, images: NDArray[Any]) -> ImageQuality:
        """Score on test images [rows, *shape] that it never saw, from what crossed for them [rows, n]."""
        return quality(self(observed), images)


def train_decoder(observe: Observe, images: NDArray[Any], *, seed: int, strength: Strength = DECODER) -> Decoder:
    """Train on the attacker's images [rows, ...]; the last tenth tells whether training still helps.

    observe: row indices → what crosses for these images, with fresh noise at every call. If it draws from torch's
    global generator, the seed repeats its draws too.
    """
    targets = torch.from_numpy(images).float().flatten(1)
    rows, validation = training.split_rows(len(targets))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = training.perceptron(observe(rows[: training.ROWS]), targets.shape[1], strength)
        if float(targets.min()) >= 0 and float(targets.max()) <= 1:
            network.append(nn.Sigmoid())

        def score() -> float:
            found = training.apply_fresh(network, observe, validation)
            error = (found - targets[validation]).square().mean(dim=1)
            return -10 * float(error.log10().mean())

        done = training.train(
            network,
            loss=lambda batch: functional.mse_loss(network(observe(batch)), targets[batch]),
            score=score,
            rows=rows,
            strength=strength,
            seed=seed,
        )
    return Decoder(network.eval(), tuple(images.shape[1:]), done)
