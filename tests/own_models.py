"""Models and data as a user would write them, for `package.module:function`; weights are seeded, so that two loads
agree."""

from typing import Any

import networks
import numpy as np
import torch
from torch import nn


def _seeded(make: Any) -> Any:
    torch.manual_seed(0)
    return make()


def fixed() -> Any:
    """Runs at batch 1 and no other."""
    return _seeded(networks.fixed)


def windows() -> Any:
    """A batch folded with something in the middle."""
    return _seeded(networks.windows)


def residual() -> Any:
    """Two tensors cross at the middle of its block."""
    return _seeded(lambda: (networks.Skip(), torch.rand(1, 3, 8, 8)))


def with_index() -> Any:
    """Whole numbers cross beside what a linear layer reads."""
    return _seeded(lambda: (_Index(), torch.rand(1, 12)))


class _Index(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.other, self.last = nn.Linear(12, 8), nn.Linear(12, 6), nn.Linear(8, 5)
        self.table, self.more = nn.Embedding(6, 5), nn.Embedding(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        index = self.other(x).argmax(1)
        return self.last(self.first(x)) + self.table(index) * self.more(index)


def half() -> Any:
    """Weights and inputs of 16 bits."""
    module, _ = _seeded(networks.skip)
    return module.half(), torch.rand(1, 3, 8, 8).half()


def bfloat() -> Any:
    module, _ = _seeded(networks.skip)
    return module.bfloat16(), torch.rand(1, 3, 8, 8).bfloat16()


def double() -> Any:
    """Weights and inputs of 64 bits."""
    module, _ = _seeded(networks.skip)
    return module.double(), torch.rand(1, 3, 8, 8).double()


def with_context() -> Any:
    """A picture that is private, and one that is public and crosses as it is."""
    return _seeded(lambda: (_Context(), {"x": torch.rand(1, 3, 8, 8), "context": torch.rand(1, 3, 6, 6)}))


class _Context(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(7, 4, 3), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(torch.cat([self.stem(x), context], 1)).flatten(1))


def early() -> Any:
    """Two outputs, of which the edge can compute the second."""
    return _seeded(lambda: (_Early(), torch.rand(1, 3, 8, 8)))


class _Early(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mean, self.body = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        return self.head(self.body(x).flatten(1)), self.mean(x).flatten(1)


def talkative() -> Any:
    """Prints when it is made and when it runs."""
    print("making the model")
    return _seeded(lambda: (_Talkative(), torch.rand(1, 3, 8, 8)))


class _Talkative(networks.Skip):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("running the model")
        return super().forward(x)


def images(classes: int = 3) -> Any:
    """Random images; labels below `classes`."""
    random = np.random.default_rng(0)
    x = random.random((140, 3, 8, 8), dtype=np.float32)
    y = random.integers(0, classes, 140)
    return (x[:100], y[:100]), (x[100:], y[100:])


def images_of_64_bits() -> Any:
    return tuple((x.astype(np.float64), y) for x, y in images())


def images_of_16_bits() -> Any:
    return tuple((x.astype(np.float16), y) for x, y in images())


def images_in_context() -> Any:
    return tuple(({"x": x, "context": x[:, :, :6, :6]}, y) for x, y in images())


def vectors() -> Any:
    return tuple((x.reshape(len(x), -1)[:, :12], y) for x, y in images())


def many_classes() -> Any:
    return images(40)


def whole_numbers() -> Any:
    (x, y), (test_x, test_y) = images()
    return ((255 * x).astype(np.uint8), y), ((255 * test_x).astype(np.uint8), test_y)


def nothing() -> Any:
    return nn.Linear(4, 3), None


def leaves() -> Any:
    raise SystemExit(7)


def sparse() -> Any:
    return nn.Linear(4, 3), torch.eye(4).to_sparse()


def in_autocast() -> Any:
    return _seeded(lambda: (_Autocast(), torch.rand(1, 4)))


class _Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.first(x)
        return self.last(x.float())


def dictionaries() -> Any:
    (x, y), _ = images()
    return ({"picture": x}, y), ({"picture": x}, y)


class _Silent(nn.Linear):
    def forward(self, x: torch.Tensor) -> None:  # type: ignore[override]
        super().forward(x)


def silent() -> Any:
    return _Silent(4, 3), torch.rand(1, 4)
