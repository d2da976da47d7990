"""The networks that come with the tool, by name, and what is known of them without building one."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiles.zoo.trained import cached_weights, load_weights, weights_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Where weights are drawn, they are drawn from this, so that two devices have the same.
SEED = 0


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo.

    builder: `module:function` that makes it. input_shape: of one input, without the batch. data: what it is made for.
    convolutions, linears, parameters: how many it has. weights: file beside this one, or None: made here by
    `plan models train`, and until then random, seeded; good for planning, while an accuracy means nothing.
    tokens: size of the vocabulary where inputs are token ids. paper_cut: the node after which the Shredder paper cuts
    it, with as many elements as `paper_elements`.
    """

    name: str
    builder: str
    input_shape: tuple[int, ...]
    data: str
    convolutions: int
    linears: int
    parameters: int
    weights: str | None = None
    tokens: int | None = None
    paper_cut: str | None = None
    paper_elements: int | None = None

    @property
    def trained(self) -> bool:
        """Whether its weights come with the tool or were made on this machine (`plan models train`)."""
        return self.weights is not None or cached_weights(self.name).exists()

    def untrained(self) -> "nn.Module":
        """The network as its constructor leaves it."""
        module, _, function = self.builder.partition(":")
        made: nn.Module = getattr(importlib.import_module(module), function)()
        return made

    def build(self) -> "nn.Module":
        """The network with its trained weights, or with random ones that are the same everywhere, in eval mode.

        Raises ModelError where weights made on this machine do not fit.
        """
        network = self.untrained()
        if (found := weights_bytes(self.name, self.weights)) is not None:
            data, origin = found
            load_weights(network, data, name=self.name, origin=origin)
        else:
            from profiles.zoo.seeded import draw_weights

            draw_weights(network, seed=SEED)
        return network.eval()

    def example(self) -> "torch.Tensor":
        """One input, [1, ...]: values in [0, 1], or token ids."""
        import torch

        generator = torch.Generator().manual_seed(SEED)
        if self.tokens is not None:
            return torch.randint(self.tokens, (1, *self.input_shape), generator=generator)
        return torch.rand(1, *self.input_shape, generator=generator)


_IMAGE = (3, 224, 224)
_ZOO = "profiles.zoo"

ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry("lenet", f"{_ZOO}.lenet:build", (1, 28, 28), "mnist", 3, 2, 61_706,
                 weights="lenet.safetensors", paper_cut="conv3", paper_elements=120),
        ZooEntry("cifar10", f"{_ZOO}.cifar10:build", (3, 32, 32), "cifar10", 3, 2, 62_006,
                 weights="cifar10.safetensors", paper_cut="pool2", paper_elements=400),
        ZooEntry("svhn", f"{_ZOO}.svhn:build", (3, 32, 32), "svhn-standin", 7, 1, 584_746,
                 paper_cut="pool4", paper_elements=256),
        ZooEntry("alexnet", f"{_ZOO}.alexnet:build", _IMAGE, "imagenet", 5, 3, 61_100_840,
                 paper_cut="pool3", paper_elements=9216),
        ZooEntry("vgg16", f"{_ZOO}.vgg16:build", _IMAGE, "vgg-face", 13, 3, 138_357_544,
                 paper_cut="pool5", paper_elements=25_088),
        ZooEntry("newsgroups", f"{_ZOO}.newsgroups:build", (1000,), "newsgroups", 3, 2, 2_239_626,
                 tokens=20_000, paper_cut="pool3", paper_elements=118),
        ZooEntry("elpv", f"{_ZOO}.elpv:build", (1, 96, 96), "elpv", 4, 2, 97_538),
        ZooEntry("resnet18", f"{_ZOO}.resnet:build18", _IMAGE, "imagenet", 20, 1, 11_689_512),
        ZooEntry("resnet50", f"{_ZOO}.resnet:build50", _IMAGE, "imagenet", 53, 1, 25_557_032),
        ZooEntry("mobilenet-v2", f"{_ZOO}.mobilenet_v2:build", _IMAGE, "imagenet", 52, 1, 3_504_872),
        ZooEntry("densenet121", f"{_ZOO}.densenet:build", _IMAGE, "imagenet", 120, 1, 7_978_856),
    )
}  # fmt: skip


def has_random_weights(source: str) -> bool:
    """Whether a model's source is known to give random weights, of which no accuracy means anything."""
    return source.startswith("transformers:") or (source in ZOO and not ZOO[source].trained)
