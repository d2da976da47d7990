"""Covariance of crossing tensors in few rows, and what separates the classes of a private label.

A root of a covariance is a matrix C with CᵀC = Σ: its rows stand for the data in everything that needs Σ alone, and
there are far fewer of them. All crossing tensors of an inference share the rows: they depend on one another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise.activations import Activations

if TYPE_CHECKING:
    from noise.gaussian_parameters import Learnable
    from noise.task import Task

Array = NDArray[Any]

#: Up to so many elements Σ itself is held; beyond, its root is made of rows.
MOST_SQUARE = 2000
#: Rows of a root, and elements of it, at most.
MOST_ROWS, MOST_ELEMENTS = 512, 32_000_000
#: Rows of a private class that a mean is made of.
LEAST_MEMBERS = 5


def covariance_root(on: Activations) -> list[torch.Tensor]:
    """C of each crossing tensor [r, n], with Σ_t C_t side by side the root of their joint covariance."""
    return _split(root(_joined(on)), on)


def root(rows: Array) -> Array:
    """C [r, n] of the covariance of rows [m, n]: the leading directions, the others are nearly nothing."""
    centred = rows - rows.mean(axis=0)
    if centred.shape[1] <= min(MOST_SQUARE, len(centred)):
        covariance = centred.T @ centred / max(1, len(centred) - 1)
        values, vectors = np.linalg.eigh(covariance.astype(np.float64))
        kept = np.argsort(values)[::-1][:MOST_ROWS]
        made: Array = (vectors[:, kept] * np.sqrt(values[kept].clip(min=0))).T
    else:
        made = centred / np.sqrt(max(1, len(centred) - 1))
    return np.ascontiguousarray(made, dtype=np.float32)


def spread(on: Activations) -> list[torch.Tensor]:
    """Standard deviation of each element [n], never below a small share of the tensor's root mean square."""
    from noise.gaussian_parameters import FLOOR

    found = []
    for tensor in on.tensors:
        some = tensor[: max(2, min(len(tensor), MOST_ELEMENTS // tensor.shape[1]))]
        deviation = some.std(axis=0)
        level = float(np.sqrt(np.square(some, dtype=np.float64).mean())) or 1.0
        found.append(torch.from_numpy((deviation + FLOOR * level).astype(np.float32)))
    return found


def _joined(on: Activations, rows: Array | None = None) -> Array:
    """Crossing tensors side by side [m, elements]: all rows where Σ is small, else as many as memory allows."""
    if rows is None:
        most = len(on) if on.elements <= MOST_SQUARE else min(MOST_ROWS, max(16, MOST_ELEMENTS // on.elements))
        rows = np.arange(min(len(on), most))
    return np.concatenate([one[rows] for one in on.tensors], axis=1)


def _split(made: Array, on: Activations) -> list[torch.Tensor]:
    ends = np.cumsum([one.shape[1] for one in on.tensors])[:-1]
    return [torch.from_numpy(np.ascontiguousarray(one, dtype=np.float32)) for one in np.split(made, ends, axis=1)]


@dataclass(frozen=True)
class Separation:
    """How far the means of a private label's classes lie apart, in units of what blurs them: noise, and the spread
    within a class (squared Mahalanobis distance, averaged). What an adversary's best linear guess lives on.

    within: root of the covariance within classes, of each crossing tensor [r, n]. differences: of two private
    classes' means among inputs of one public class, weighted [pairs, n].
    """

    within: list[torch.Tensor]
    differences: list[torch.Tensor]

    def __call__(self, learnables: Sequence["Learnable"]) -> torch.Tensor:
        h = [one.whitened_root(root) for one, root in zip(learnables, self.within, strict=True)]
        d = [one.whitened_root(rows) for one, rows in zip(learnables, self.differences, strict=True)]
        return _mahalanobis(h, d)


def _mahalanobis(h: Sequence[torch.Tensor], d: Sequence[torch.Tensor]) -> torch.Tensor:
    """Σ over rows of d of dᵀ (I + HᵀH)⁻¹ d; rows of each crossing tensor, whitened."""
    gram = torch.eye(len(h[0])) + sum(one @ one.T for one in h)
    cross = sum(one @ other.T for one, other in zip(h, d, strict=True))
    own = sum((one**2).sum() for one in d)
    # Woodbury: dᵀ (I + HᵀH)⁻¹ d = dᵀd − (Hd)ᵀ (I + HHᵀ)⁻¹ (Hd)
    solved = torch.linalg.solve(gram, cross)
    result: torch.Tensor = own - (cross * solved).sum()
    return result


def batch_separation(
    learnables: Sequence["Learnable"], tensors: Sequence[torch.Tensor], public: Array, private: Array
) -> torch.Tensor:
    """What `Separation` is, from a batch's own rows [m, n]: where a map is not linear, means do not tell it.

    public, private: classes of the rows [m].
    """
    codes = torch.cat([one.whitened(rows) for one, rows in zip(learnables, tensors, strict=True)], dim=1)
    within, differences = [], []
    for one in np.unique(public):
        here = public == one
        groups = [torch.from_numpy(here & (private == kind)) for kind in np.unique(private[here])]
        means = [codes[members].mean(dim=0) for members in groups]
        within += [codes[members] - mean for members, mean in zip(groups, means, strict=True)]
        known = [mean for members, mean in zip(groups, means, strict=True) if int(members.sum()) >= LEAST_MEMBERS]
        pairs = [(a, b) for index, a in enumerate(known) for b in known[index + 1 :]]
        weight = math.sqrt(here.mean() / max(1, len(pairs)))
        differences += [weight * (b - a) for a, b in pairs]
    if not differences:
        return codes.new_zeros(())
    return _mahalanobis([torch.cat(within) / math.sqrt(len(codes))], [torch.stack(differences)])


def separation_roots(task: "Task") -> Separation:
    """From the training rows and their private labels."""
    assert task.private is not None
    most = len(task.train) if task.train.elements <= MOST_SQUARE else max(64, MOST_ELEMENTS // task.train.elements)
    rows = np.arange(min(len(task.train), most))
    tensors = _joined(task.train, rows).astype(np.float32)
    private, public = task.private[rows], task.train.clean[rows]
    centred, differences = tensors.copy(), []
    for one in np.unique(public):
        here = public == one
        means = {}
        for kind in np.unique(private[here]):
            members = here & (private == kind)
            mean = tensors[members].mean(axis=0)
            centred[members] -= mean
            if members.sum() >= LEAST_MEMBERS:
                means[kind] = mean
        kinds = sorted(means)
        weight = np.sqrt(here.mean() / max(1, len(kinds) * (len(kinds) - 1) / 2))
        differences += [weight * (means[b] - means[a]) for i, a in enumerate(kinds) for b in kinds[i + 1 :]]
    if not differences:
        differences = [np.zeros(tensors.shape[1], dtype=np.float32)]
    # Of large tensors the root is made of rows, and a gram matrix of them at every step.
    within = root(centred if centred.shape[1] <= MOST_SQUARE else centred[:MOST_ROWS])
    return Separation(_split(within, task.train), _split(np.stack(differences), task.train))
