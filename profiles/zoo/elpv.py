"""A small network for solar cells (data set elpv): functional or defective. Of our own making, not the paper's.

A wide first step, as a crack is long and thin; then three convolutions that halve the picture, and two linear layers.
"""

from collections import OrderedDict

from torch import nn


def build() -> nn.Module:
    """[n, 1, 96, 96] in [0, 1] → logits [n, 2]."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 5, stride=2, padding=2),  # [n, 16, 48, 48]
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),  # [n, 16, 24, 24]
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),  # [n, 32, 12, 12]
            conv3=nn.Conv2d(32, 64, 3, padding=1),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),  # [n, 64, 6, 6]
            conv4=nn.Conv2d(64, 64, 3, padding=1),
            relu4=nn.ReLU(),
            pool4=nn.MaxPool2d(2),  # [n, 64, 3, 3]
            flatten=nn.Flatten(),
            fc1=nn.Linear(576, 64),
            relu5=nn.ReLU(),
            fc2=nn.Linear(64, 2),
        )
    )
