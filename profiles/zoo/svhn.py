"""The paper's SVHN network: seven convolutions, one linear layer, 256 elements after the last convolution.

Table 2 gives the counts alone; the layers are those of the network for SVHN that fits them and was in common use with
PyTorch then (pytorch-playground, 32 channels at the first layer): 3×3 convolutions, each normalised without learned
scale, the last without padding. Its dropout, which does nothing at inference, is left out.
"""

from collections import OrderedDict

from torch import nn

#: Channels of the convolutions between two poolings.
STAGES = ((32, 32), (64, 64), (128, 128), (256,))


def build() -> nn.Module:
    """[n, 3, 32, 32] in [0, 1] → logits [n, 10]."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels, number = 3, 0
    for stage, widths in enumerate(STAGES, start=1):
        for width in widths:
            number += 1
            padding = 0 if stage == len(STAGES) else 1
            layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=padding)
            layers[f"norm{number}"] = nn.BatchNorm2d(width, affine=False)
            layers[f"relu{number}"] = nn.ReLU()
            channels = width
        layers[f"pool{stage}"] = nn.MaxPool2d(2)  # the fourth: [n, 256, 1, 1]
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, 10)
    return nn.Sequential(layers)
