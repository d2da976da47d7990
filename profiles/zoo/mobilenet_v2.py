"""MobileNetV2 (Sandler et al. 2018), width 1: inverted residuals, depthwise convolutions, 3,504,872 parameters."""

import torch
from torch import nn

#: (expansion, channels, blocks, stride of the first block): Table 2 of its paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Widen by 1×1, filter each channel by 3×3, narrow by 1×1 without an activation."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * channels
        layers = [] if expansion == 1 else [_conv(channels, wide, 1)]
        self.branch = nn.Sequential(
            *layers,
            _conv(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.has_skip = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.branch(x)
        return x + y if self.has_skip else y


def build() -> nn.Module:
    """[n, 3, 224, 224], normalised → logits [n, 1000]."""
    blocks: list[nn.Module] = []
    channels = 32
    for expansion, out, count, first_stride in STAGES:
        for index in range(count):
            blocks.append(InvertedResidual(channels, out, 1 if index else first_stride, expansion))
            channels = out
    network = nn.Sequential()
    network.add_module("stem", _conv(3, 32, 3, stride=2))  # [n, 32, 112, 112]
    network.add_module("blocks", nn.Sequential(*blocks))  # [n, 320, 7, 7]
    network.add_module("last", _conv(channels, 1280, 1))
    network.add_module("average", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("drop", nn.Dropout(0.2))
    network.add_module("fc", nn.Linear(1280, 1000))
    return network


def _conv(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(),
    )
