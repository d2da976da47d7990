"""DPFE's network: the one to be protected, with a linear auto-encoder where it is cut; and how it is trained.

As the authors publish it: the encoder takes the tensor at the cut to a private feature of 10 elements and starts as
its principal components, the decoder starts as their transpose, the feature is batch-normalised without a learned
scale. The edge sends feature + noise. The noise is Gaussian, its covariance `scale` times that of the feature, and is
added after training; training sees none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from losses import MARGIN, three_terms
from torch import nn

#: Elements of the private feature, as in the authors' networks.
FEATURES = 10
ROWS = 500


class AutoEncoder(nn.Module):
    """Tensors [n, elements] → private features [n, d] → tensors again."""

    def __init__(self, elements: int, features: int = FEATURES) -> None:
        super().__init__()
        self.encoder = nn.Linear(elements, features)
        self.normalise = nn.BatchNorm1d(features, affine=False)
        self.decoder = nn.Linear(features, elements)

    @classmethod
    def of_principal_components(cls, tensors: torch.Tensor, features: int = FEATURES) -> "AutoEncoder":
        """decode(encode(a)) is the projection of a on the leading components of tensors [m, elements]."""
        made = cls(tensors.shape[1], features)
        mean = tensors.double().mean(dim=0)
        covariance = torch.cov(tensors.double().T)
        values, vectors = torch.linalg.eigh(covariance)
        components = vectors[:, -features:].flip(1).T  # [d, elements]
        variances = values[-features:].flip(0).clamp(min=0)
        normalise = made.normalise
        assert normalise.running_mean is not None
        assert normalise.running_var is not None
        with torch.no_grad():
            made.encoder.weight.copy_(components)
            made.encoder.bias.copy_(-components @ mean)
            normalise.running_mean.zero_()
            normalise.running_var.copy_(variances)
            made.decoder.weight.copy_(components.T * torch.sqrt(variances + normalise.eps))
            made.decoder.bias.copy_(mean)
        return made

    def encode(self, tensors: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.normalise(self.encoder(tensors))
        return features

    def decode(self, features: torch.Tensor) -> torch.Tensor:
        tensors: torch.Tensor = self.decoder(features)
        return tensors


class Dpfe(nn.Module):
    """edge: inputs → tensors [n, ...]. cloud: tensors → logits. Between them the auto-encoder."""

    def __init__(self, edge: nn.Module, auto_encoder: AutoEncoder, cloud: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.edge, self.auto_encoder, self.cloud, self.shape = edge, auto_encoder, cloud, shape

    @classmethod
    def of(cls, network: nn.Sequential, *, at: str, inputs: torch.Tensor, features: int = FEATURES) -> "Dpfe":
        """A network that is cut behind the layer `at`; inputs [m, ...] give the principal components."""
        names = [name for name, _ in network.named_children()]
        edge, cloud = network[: names.index(at) + 1], network[names.index(at) + 1 :]
        with torch.inference_mode():
            parts = [edge(one) for one in torch.split(inputs, ROWS)]
            tensors = torch.cat([one.flatten(1) for one in parts])
        return cls(edge, AutoEncoder.of_principal_components(tensors, features), cloud, tuple(parts[0].shape[1:]))

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Private features [n, d], without noise."""
        return self.auto_encoder.encode(self.edge(inputs).flatten(1))

    def answer(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of private features [n, d], noisy or not."""
        logits: torch.Tensor = self.cloud(self.auto_encoder.decode(features).reshape(-1, *self.shape))
        return logits


@dataclass(frozen=True)
class Fit:
    """A first share `plain` of the steps is cross-entropy alone: the network gets used to its auto-encoder, as the
    authors do before they add the other terms. batch: rows, all pairs of which count. Adam's rate falls by a cosine.
    """

    steps: int
    batch: int = 100
    learning_rate: float = 1e-3
    plain: float = 0.25
    margin: float = MARGIN


def train(
    network: Dpfe,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    private: torch.Tensor,
    *,
    weight: float,
    fit: Fit,
    seed: int,
    augmented: Callable[[torch.Tensor], torch.Tensor] = lambda batch: batch,
) -> list[float]:
    """Every parameter of both halves and the auto-encoder on the three terms; the loss of each step.

    Deterministic from the seed. The network's own layers stay in the mode that they are in.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=fit.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, fit.steps)
    shown: list[float] = []
    network.auto_encoder.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(fit.steps):
            rows = torch.randint(len(inputs), (fit.batch,))
            features = network.features(augmented(inputs[rows]))
            terms = three_terms(network.answer(features), labels[rows], features, private[rows], margin=fit.margin)
            loss = terms.loss(weight=weight if step >= fit.plain * fit.steps else 0.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            shown.append(float(loss.detach()))
    network.auto_encoder.eval()
    return shown
