"""Where noise learning starts: Adam's learning rate and α of Table 2 of Shredder, by network of the zoo.

They are starting values. With α = 0.01 as printed the learned elements gather in two peaks: the tensors themselves
keep their accuracy, while samples of a Laplace with their order lose tens of points on LeNet. As what gates is the
accuracy under sampled noise, the learner goes on to smaller α where the printed one does not hold (`ladder`).
"""

from dataclasses import dataclass


def ladder(alpha: float) -> tuple[float, ...]:
    """The values of α that are tried, one after the other, until enough learned tensors can be sampled from."""
    return (alpha, alpha / 10, alpha / 100, 0.0) if alpha else (0.0,)


@dataclass(frozen=True)
class StartingValues:
    """learning_rate: Adam's. alpha: of Equations 3 to 5; the paper prints it with the minus sign of its term.
    gamma: of Equation 5."""

    learning_rate: float
    alpha: float
    gamma: float = 0.01


TABLE_2 = {
    "lenet": StartingValues(0.01, 0.01),
    "cifar10": StartingValues(0.01, 0.01),
    "svhn": StartingValues(0.001, 0.001),
    "alexnet": StartingValues(0.0001, 0.0001),
    "vgg16": StartingValues(0.0001, 0.0001, gamma=0.01),
    "newsgroups": StartingValues(0.01, 0.01),
}
#: For other networks: the rate of the small ones, and an α at which LeNet's samples hold.
ELSE = StartingValues(0.01, 0.001)


def starting_values(model_name: str) -> StartingValues:
    """Table 2's for a network of the zoo, else values that work for LeNet."""
    return TABLE_2.get(model_name, ELSE)
