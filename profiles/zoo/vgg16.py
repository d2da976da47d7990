"""VGG-16 (Simonyan and Zisserman 2015, configuration D): thirteen convolutions, three linear layers, 138,357,544
parameters.

The paper cuts it at the thirteenth convolution: 512×7×7 = 25088 elements after the fifth pooling. Its head has 2
classes (gender; 24 identities are the private label), and its weights, VGG-Face's, are not to be had. The layers here
are those of the published network with its 1000 classes; the paper's head is 0.03 % of the FLOPs lighter and moves no
cut.
"""

from collections import OrderedDict

from torch import nn

#: Channels of the convolutions between two poolings.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def build() -> nn.Module:
    """[n, 3, 224, 224], normalised → logits [n, 1000]."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels, number = 3, 0
    for stage, widths in enumerate(STAGES, start=1):
        for width in widths:
            number += 1
            layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"relu{number}"] = nn.ReLU()
            channels = width
        layers[f"pool{stage}"] = nn.MaxPool2d(2)  # the fifth: [n, 512, 7, 7]
    layers |= OrderedDict(
        flatten=nn.Flatten(),
        fc1=nn.Linear(512 * 7 * 7, 4096),
        relu14=nn.ReLU(),
        drop1=nn.Dropout(),
        fc2=nn.Linear(4096, 4096),
        relu15=nn.ReLU(),
        drop2=nn.Dropout(),
        fc3=nn.Linear(4096, 1000),
    )
    return nn.Sequential(layers)
