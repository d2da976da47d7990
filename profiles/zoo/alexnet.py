"""AlexNet with one tower (Krizhevsky 2014, "One weird trick"), the one that frameworks ship: 61,100,840 parameters.

The paper cuts it at its last convolution: 256×6×6 = 9216 elements after the third pooling.
"""

from collections import OrderedDict

from torch import nn


def build() -> nn.Module:
    """[n, 3, 224, 224], normalised → logits [n, 1000]."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 11, stride=4, padding=2),  # [n, 64, 55, 55]
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, stride=2),
            conv2=nn.Conv2d(64, 192, 5, padding=2),  # [n, 192, 27, 27]
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, stride=2),
            conv3=nn.Conv2d(192, 384, 3, padding=1),  # [n, 384, 13, 13]
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 256, 3, padding=1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(256, 256, 3, padding=1),
            relu5=nn.ReLU(),
            pool3=nn.MaxPool2d(3, stride=2),  # [n, 256, 6, 6]
            flatten=nn.Flatten(),
            drop1=nn.Dropout(),
            fc1=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(),
            drop2=nn.Dropout(),
            fc2=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            fc3=nn.Linear(4096, 1000),
        )
    )
