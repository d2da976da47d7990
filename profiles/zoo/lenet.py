"""LeNet as the paper cuts it: three convolutions, two linear layers, 120 elements after the third convolution."""

from collections import OrderedDict

from torch import nn


def build(*, channels: int = 1, padding: int = 2) -> nn.Module:
    """[n, 1, 28, 28] in [0, 1] → logits [n, 10]. The padding of 2 makes the 32×32 digit of the original."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5, padding=padding),  # [n, 6, 28, 28]
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),  # [n, 6, 14, 14]
            conv2=nn.Conv2d(6, 16, 5),  # [n, 16, 10, 10]
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),  # [n, 16, 5, 5]
            conv3=nn.Conv2d(16, 120, 5),  # [n, 120, 1, 1]
            relu3=nn.ReLU(),
            flatten=nn.Flatten(),  # [n, 120]
            fc1=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc2=nn.Linear(84, 10),
        )
    )
