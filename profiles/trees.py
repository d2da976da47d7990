"""Boosted regression trees as plain arrays, evaluated in NumPy. No torch, no scikit-learn, no pickle."""

from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from profiles.errors import ArtifactError

Floats = NDArray[np.float64]

#: The `feature` of a leaf.
LEAF = -1


class Trees(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of binary regression trees, all their nodes in one row of arrays, tree after tree.

    roots: index of each tree's first node. feature: the column that a node asks for, LEAF (-1) where it does not ask.
    threshold: a row with at most this much goes to the `left` node, else to the `right` one (indices). value: what a
    leaf adds. initial: what the sum begins with.

    Raises ArtifactError where the arrays make no trees.
    """

    initial: float
    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.feature)
        lengths = {len(one) for one in (self.feature, self.threshold, self.left, self.right, self.value)}
        if lengths != {count}:
            raise ArtifactError(f"trees: arrays of {sorted(lengths)} nodes, expected one length; fit the file anew")
        if self.roots and (self.roots[0] != 0 or any(b <= a for a, b in pairwise(self.roots))):
            raise ArtifactError("trees: roots do not rise from 0; fit the file anew")
        if bool(self.roots) != bool(count) or (self.roots and self.roots[-1] >= count):
            raise ArtifactError(f"trees: roots do not lie within {count} nodes; fit the file anew")
        # A child stands after its parent, so that every walk ends.
        for index, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if feature != LEAF and not (feature >= 0 and index < left < count and index < right < count):
                raise ArtifactError(f"trees: node {index} has no two children after it; fit the file anew")

    @property
    def columns(self) -> int:
        """How many columns the trees ask for, at least."""
        return max(self.feature, default=LEAF) + 1

    def predict(self, rows: ArrayLike) -> Floats:
        """[rows, columns] → [rows]. As scikit-learn does it, rows are compared as float32."""
        given = np.asarray(rows, dtype=np.float32)
        if not self.roots:
            return np.full(len(given), self.initial)
        feature, threshold = np.array(self.feature), np.array(self.threshold)
        inner = feature != LEAF
        # A leaf leads to itself, so all rows can take the same number of steps.
        itself = np.arange(len(feature))
        left = np.where(inner, self.left, itself)
        right = np.where(inner, self.right, itself)
        asked = np.where(inner, feature, 0)
        at = np.broadcast_to(np.array(self.roots), (len(given), len(self.roots)))  # [rows, trees]
        row = np.arange(len(given))[:, None]
        while inner[at].any():
            at = np.where(given[row, asked[at]] <= threshold[at], left[at], right[at])
        sums: Floats = self.initial + np.array(self.value)[at].sum(axis=1)
        return sums
