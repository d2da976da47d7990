"""How each network of the zoo is trained, where its data can be had."""

from dataclasses import dataclass
from typing import Literal

from profiles.errors import ModelError
from profiles.zoo.catalog import ZOO


@dataclass(frozen=True)
class Recipe:
    """learning_rate: the peak of one cycle. smoothing: of the labels.

    part: the share of the training data that one epoch sees. shift, mirror, turn: pictures are moved by up to so many
    pixels, mirrored, and set upside down, at random. forget: the share of tokens that become 0 (unknown). normalise:
    batch normalisation behind each layer during training, folded into the weights afterwards. dropout: (layer, share)
    pairs, behind that layer, during training alone. window: training sees so many tokens of a text, which saves time;
    the last pooling then takes in all there are. word_vectors: the root mean square of the embedding's first vectors,
    which come from the training texts (noise.word_vectors); 0: drawn.
    """

    epochs: int
    batch: int
    learning_rate: float
    optimiser: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.0
    smoothing: float = 0.0
    part: float = 1.0
    shift: int = 0
    mirror: bool = False
    turn: bool = False
    forget: float = 0.0
    normalise: bool = False
    dropout: tuple[tuple[str, float], ...] = ()
    window: int = 0
    word_vectors: float = 0.0


RECIPES: dict[str, Recipe] = {
    "lenet": Recipe(epochs=20, batch=128, learning_rate=2e-3, shift=2),
    "cifar10": Recipe(
        epochs=40,
        batch=256,
        learning_rate=0.2,
        optimiser="sgd",
        weight_decay=2e-4,
        shift=2,
        mirror=True,
        normalise=True,
    ),
    "svhn": Recipe(epochs=8, part=0.2, batch=128, learning_rate=3e-3, weight_decay=0.01),
    "elpv": Recipe(
        epochs=60,
        batch=64,
        learning_rate=3e-3,
        weight_decay=0.05,
        shift=4,
        mirror=True,
        turn=True,
        normalise=True,
        dropout=(("flatten", 0.5),),
    ),
    "newsgroups": Recipe(
        epochs=8,
        batch=64,
        learning_rate=1.5e-3,
        weight_decay=0.01,
        smoothing=0.1,
        forget=0.3,
        normalise=True,
        dropout=(("embedding", 0.3), ("flatten", 0.5)),
        window=256,
        word_vectors=0.3,
    ),
}


def recipe_of(name: str) -> Recipe:
    """Raises ModelError: no such network, or its data cannot be fetched."""
    if name in RECIPES:
        return RECIPES[name]
    known = f"expected one of: {', '.join(RECIPES)}"
    if name in ZOO:
        raise ModelError(f"{name} is made for {ZOO[name].data}, which cannot be fetched; {known}")
    raise ModelError(f"no network {name!r} to train; {known}")
