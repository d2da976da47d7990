"""Residual networks (He et al. 2016) with the stride in the 3×3 convolution of a bottleneck ("v1.5", the one that
frameworks ship): ResNet-18 with 11,689,512 parameters, ResNet-50 with 25,557,032."""

from typing import ClassVar

import torch
from torch import nn


class Block(nn.Module):
    """y = relu(x + branch(x)); where shapes differ the skip is a 1×1 convolution."""

    expansion: ClassVar[int]

    def __init__(self, branch: nn.Sequential, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.branch = branch
        self.skip = nn.Identity() if (stride, channels) == (1, out) else _conv(channels, out, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.skip(x))  # type: ignore[no-any-return]


class Basic(Block):
    """Two 3×3 convolutions."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        branch = nn.Sequential(_conv(channels, width, 3, stride), nn.ReLU(), _conv(width, width, 3))
        super().__init__(branch, channels, width, stride)


class Bottleneck(Block):
    """1×1, 3×3 and 1×1 convolutions, the last four times as wide."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        out = 4 * width
        branch = nn.Sequential(
            *(_conv(channels, width, 1), nn.ReLU()),
            *(_conv(width, width, 3, stride), nn.ReLU()),
            _conv(width, out, 1),
        )
        super().__init__(branch, channels, out, stride)


def build18() -> nn.Module:
    """[n, 3, 224, 224], normalised → logits [n, 1000]."""
    return _build(Basic, (2, 2, 2, 2))


def build50() -> nn.Module:
    """[n, 3, 224, 224], normalised → logits [n, 1000]."""
    return _build(Bottleneck, (3, 4, 6, 3))


def _build(block: type[Basic] | type[Bottleneck], depths: tuple[int, ...]) -> nn.Module:
    network = nn.Sequential()
    network.add_module("stem", _conv(3, 64, 7, 2))  # [n, 64, 112, 112]
    network.add_module("relu", nn.ReLU())
    network.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))  # [n, 64, 56, 56]
    channels = 64
    for stage, depth in enumerate(depths):
        blocks = []
        for index in range(depth):
            stride = 2 if stage and not index else 1
            blocks.append(block(channels, 64 << stage, stride))
            channels = block.expansion * (64 << stage)
        network.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
    network.add_module("average", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc", nn.Linear(channels, 1000))
    return network


def _conv(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    network = nn.Sequential()
    network.add_module("conv", conv)
    network.add_module("norm", nn.BatchNorm2d(out))
    return network
