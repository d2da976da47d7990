import pytest

from noise.starting_values import TABLE_2, ladder, starting_values
from profiles.zoo.catalog import ZOO


@pytest.mark.parametrize(
    ("name", "rate", "alpha"),
    [
        ("lenet", 0.01, 0.01),
        ("cifar10", 0.01, 0.01),
        ("svhn", 0.001, 0.001),
        ("alexnet", 0.0001, 0.0001),
        ("vgg16", 0.0001, 0.0001),
        ("newsgroups", 0.01, 0.01),
    ],
)
def test_they_are_those_of_table_2(name: str, rate: float, alpha: float) -> None:
    found = starting_values(name)
    assert (found.learning_rate, found.alpha) == (rate, alpha)


def test_all_six_are_in_the_zoo_and_gamma_is_vggs() -> None:
    assert set(ZOO) > set(TABLE_2)
    assert starting_values("vgg16").gamma == 0.01


def test_other_networks_start_somewhere_too() -> None:
    found = starting_values("my.own:network")
    assert found.learning_rate > 0
    assert found.alpha > 0


def test_the_ladder_falls_to_nothing() -> None:
    assert ladder(0.01) == pytest.approx((0.01, 0.001, 0.0001, 0.0))
    assert ladder(0.0) == (0.0,)
    assert ladder(float("inf"))[-1] == 0.0
