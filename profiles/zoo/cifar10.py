"""The paper's CIFAR-10 network: LeNet on colour images, three convolutions, two linear layers.

Figure 6's communication times fit 400 elements at the cut, the 16×5×5 after the second pooling; the footprint that
Table 3 prints for it fits 396. The layers here have 400.
"""

from torch import nn

from profiles.zoo import lenet


def build() -> nn.Module:
    """[n, 3, 32, 32] in [0, 1] → logits [n, 10]."""
    return lenet.build(channels=3, padding=0)
