"""How hard an audit tries."""

from dataclasses import dataclass, replace

from noise.audit.attribute import CLASSIFIER
from noise.audit.decoder import DECODER
from noise.audit.infonce import CRITIC
from noise.audit.training import Strength


@dataclass(frozen=True, kw_only=True)
class Effort:
    """seeds: of each attack on a single query; on several queries each runs once. train_rows, test_rows: most that
    are attacked with and judged on; None: all. pairs: of the estimates. candidates: of re-identification and of
    elimination. queries: inferences of one input that the adversary sees."""

    name: str
    decoder: Strength
    classifier: Strength
    critic: Strength
    seeds: int
    train_rows: int | None
    test_rows: int | None
    pairs: int
    candidates: int
    white_box_images: int
    white_box_steps: int
    white_box_seeds: int
    queries: tuple[int, ...] = (1, 10, 100)

    @property
    def several(self) -> tuple[int, ...]:
        """Those of `queries` that are more than one."""
        return tuple(one for one in self.queries if one > 1)


#: Within two minutes on two cores, LeNet's 120 elements, two kinds of noise. What reads less flatters the noise.
QUICK = Effort(
    name="quick",
    decoder=replace(DECODER, width=400, hidden_layers=2, epochs=5, learning_rate=8e-3, cycles=1),
    classifier=replace(CLASSIFIER, epochs=6, cycles=1),
    critic=CRITIC,
    seeds=2,
    train_rows=10_000,
    test_rows=2_000,
    pairs=4_000,
    candidates=500,
    white_box_images=50,
    white_box_steps=50,
    white_box_seeds=1,
)

#: Until it stops improving.
FULL = Effort(
    name="full",
    decoder=DECODER,
    classifier=CLASSIFIER,
    critic=replace(CRITIC, cycles=4),
    seeds=3,
    train_rows=None,
    test_rows=None,
    pairs=10_000,
    candidates=1_000,
    white_box_images=200,
    white_box_steps=300,
    white_box_seeds=3,
)
