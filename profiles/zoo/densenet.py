"""DenseNet-121 (Huang et al. 2017): every layer of a block takes what all before it put out; 7,978,856 parameters."""

import torch
from torch import nn

DEPTHS, GROWTH, BOTTLENECK = (6, 12, 24, 16), 32, 4


class DenseLayer(nn.Module):
    """All earlier tensors, concatenated → 32 channels more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = BOTTLENECK * GROWTH
        self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv1 = nn.Conv2d(channels, wide, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(wide), nn.ReLU()
        self.conv2 = nn.Conv2d(wide, GROWTH, 3, padding=1, bias=False)

    def forward(self, earlier: list[torch.Tensor]) -> torch.Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(earlier, 1))))
        y: torch.Tensor = self.conv2(self.relu2(self.norm2(x)))
        return y


class DenseBlock(nn.ModuleList):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tensors = [x]
        for layer in self:
            tensors.append(layer(tensors))
        return torch.cat(tensors, 1)


def build() -> nn.Module:
    """[n, 3, 224, 224], normalised → logits [n, 1000]."""
    network = nn.Sequential()
    channels = 2 * GROWTH
    network.add_module("conv", nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False))
    network.add_module("norm", nn.BatchNorm2d(channels))
    network.add_module("relu", nn.ReLU())
    network.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))  # [n, 64, 56, 56]
    for index, depth in enumerate(DEPTHS, start=1):
        network.add_module(f"dense{index}", DenseBlock(DenseLayer(channels + i * GROWTH) for i in range(depth)))
        channels += depth * GROWTH
        if index < len(DEPTHS):
            network.add_module(f"transition{index}", _transition(channels))
            channels //= 2
    network.add_module("last_norm", nn.BatchNorm2d(channels))  # [n, 1024, 7, 7]
    network.add_module("last_relu", nn.ReLU())
    network.add_module("average", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc", nn.Linear(channels, 1000))
    return network


def _transition(channels: int) -> nn.Sequential:
    """Half the channels, half the height and width."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)
    )
