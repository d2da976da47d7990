"""What a shell offers on Tab for data sets and for networks that can be trained here."""

from collections.abc import Iterable

from profiles.completion import among


def _datasets() -> Iterable[str]:
    from noise.datasets.catalog import DATASETS

    return DATASETS


def _trainable() -> Iterable[str]:
    from noise.recipes import RECIPES

    return RECIPES


datasets, trainable = among(_datasets), among(_trainable)
maps = among(lambda: ("auto", "bottleneck", "linear"))
