"""What is typed in from the paper: its fractions give its speed-ups, and sizes give its ratios where they should."""

import pytest

from reproduction.printed import FIGURE_6, IMAGE_BYTES, lte_over_wifi, mean_speed_up, ratio


def test_the_fractions_give_the_printed_speed_ups() -> None:
    found = {name: round(one.speed_up(), 2) for name, one in FIGURE_6.items()}
    assert found == {"lenet": 1.75, "cifar10": 1.65, "svhn": 1.41, "alexnet": 3.44, "vgg16": 0.81}
    assert round(mean_speed_up(), 2) == 1.81
    assert round(mean_speed_up(itemsize=1), 1) == 4.2


def test_lte_is_what_vgg16_makes_it() -> None:
    assert round(lte_over_wifi(), 2) == 1.90
    assert FIGURE_6["vgg16"].speed_up(slower=lte_over_wifi()) == pytest.approx(1.03)
    assert round(mean_speed_up(slower=lte_over_wifi()), 2) == 2.08


@pytest.mark.parametrize(("name", "elements"), [("svhn", 256), ("vgg16", 25_088)])
def test_a_ratio_of_sizes_is_the_printed_one(name: str, elements: int) -> None:
    assert round(4 * elements / IMAGE_BYTES[name], 4) == round(ratio(name), 4)


@pytest.mark.parametrize(("name", "elements"), [("lenet", 120), ("cifar10", 400)])
def test_two_ratios_are_smaller_than_their_sizes_by_one_factor(name: str, elements: int) -> None:
    # The padded digit's 1024 bytes: with the 784 of MNIST's own it would not be the same factor.
    assert ratio(name) / (4 * elements / IMAGE_BYTES[name]) == pytest.approx(93 / 98, abs=3e-4)


def test_bars_are_of_the_cloud_only_total() -> None:
    edge, comm, cloud = FIGURE_6["vgg16"].bars(itemsize=1)
    at_four = FIGURE_6["vgg16"].bars()
    assert (edge, cloud) == (at_four[0], at_four[2])
    assert comm == pytest.approx(at_four[1] / 4)
