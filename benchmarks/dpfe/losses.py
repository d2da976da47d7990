"""DPFE's three-term loss, pure functions (Osia et al., "Deep Private-Feature Extraction", TKDE 2018).

Shredder (Section 6.2.4) says of it: "first, the cross-entropy loss which aims at maintaining accuracy, second, a term
that tries to decrease the distance between intermediate activations with different private labels, and a final term
which tries to increase the distance between intermediate activations of inputs with the same private label". No
formula is given there. The form here is the one of the authors' published network: the contrastive loss of Hadsell
et al. (2006) with its pairs the other way round, as Caffe computes it:

    ½ mean over pairs of  d²                    where the private labels differ
                          max(0, margin − d)²   where they are the same

d is the Euclidean distance of two private features. Common to all: features [n, d], private labels [n].
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

#: Of the authors' network, whose private feature has 10 elements of variance 1: there d is about √20.
MARGIN, WEIGHT = 10.0, 0.01


@dataclass(frozen=True)
class Terms:
    """cross_entropy: of the primary task. attraction: second term. repulsion: third; both unweighted."""

    cross_entropy: torch.Tensor
    attraction: torch.Tensor
    repulsion: torch.Tensor

    def loss(self, *, weight: float) -> torch.Tensor:
        return self.cross_entropy + weight * (self.attraction + self.repulsion)


def pairs(features: torch.Tensor, private: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance of every two rows, and whether their private labels are the same, both [n (n − 1) / 2]."""
    first, second = torch.triu_indices(len(features), len(features), offset=1)
    return functional.pdist(features), private[first] == private[second]


def attraction(features: torch.Tensor, private: torch.Tensor) -> torch.Tensor:
    """½ E[d²; labels differ] over all pairs: small where no feature tells the private classes apart."""
    distances, same = pairs(features, private)
    return torch.where(same, 0.0, distances.square()).mean() / 2


def repulsion(features: torch.Tensor, private: torch.Tensor, *, margin: float = MARGIN) -> torch.Tensor:
    """½ E[max(0, margin − d)²; labels the same] over all pairs: keeps a class from falling into one point."""
    distances, same = pairs(features, private)
    return torch.where(same, functional.relu(margin - distances).square(), 0.0).mean() / 2


def three_terms(
    logits: torch.Tensor,
    labels: torch.Tensor,
    features: torch.Tensor,
    private: torch.Tensor,
    *,
    margin: float = MARGIN,
) -> Terms:
    """logits [n, classes] and labels [n] are of the primary task."""
    return Terms(
        functional.cross_entropy(logits, labels),
        attraction(features, private),
        repulsion(features, private, margin=margin),
    )
