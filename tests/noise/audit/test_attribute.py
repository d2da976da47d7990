import math

import numpy as np
import pytest
import torch
from blobs import SMALL, Blobs, blobs, under_noise

from noise.audit.attribute import train_attribute_classifier


@pytest.fixture(scope="module")
def known() -> Blobs:
    return blobs(4000, seed=1)


@pytest.fixture(scope="module")
def unseen() -> Blobs:
    return blobs(1000, seed=2)


def test_without_noise_it_reads_the_label_and_a_fixed_tensor_hides_nothing(known: Blobs, unseen: Blobs) -> None:
    for fixed in (torch.zeros(20), 100 * torch.randn(20, generator=torch.Generator().manual_seed(0))):
        reader = train_attribute_classifier(
            lambda rows, fixed=fixed: known.tensors[rows] + fixed, known.attribute, seed=0, strength=SMALL
        )
        assert reader.accuracy_percent(unseen.tensors + fixed, unseen.attribute) > 97


def test_labels_may_be_truth_values(known: Blobs) -> None:
    reader = train_attribute_classifier(
        lambda rows: known.tensors[rows], known.attribute.astype(bool), seed=0, strength=SMALL
    )
    assert reader.accuracy_percent(known.tensors, known.attribute.astype(bool)) > 97


def test_noise_without_end_leaves_a_guess(known: Blobs, unseen: Blobs) -> None:
    reader = train_attribute_classifier(under_noise(known.tensors, 1e6), known.attribute, seed=0, strength=SMALL)
    observed = under_noise(unseen.tensors, 1e6)(torch.arange(1000))
    assert reader.accuracy_percent(observed, unseen.attribute) == pytest.approx(50, abs=5)


def test_of_gaussians_it_comes_to_the_best_that_can_be() -> None:
    # The sign of x from x + z: right with probability ½ + atan(1/σ) / π, and no reader beats that.
    generator = torch.Generator().manual_seed(0)
    x, unseen = (torch.randn(rows, 3, generator=generator) for rows in (8000, 8000))
    labels, answers = ((one[:, 0] > 0).numpy().astype(np.int64) for one in (x, unseen))
    reader = train_attribute_classifier(under_noise(x, 0.7), labels, seed=0, strength=SMALL)
    best = 100 * (0.5 + math.atan(1 / 0.7) / math.pi)
    found = reader.accuracy_percent(under_noise(unseen, 0.7)(torch.arange(8000)), answers)
    assert best - 1.5 < found < best + 1.2


def test_more_than_two_labels(known: Blobs, unseen: Blobs) -> None:
    quarter, answers = (2 * one.labels + one.attribute for one in (known, unseen))
    reader = train_attribute_classifier(lambda rows: known.tensors[rows], quarter, seed=0, strength=SMALL)
    assert reader.accuracy_percent(unseen.tensors, answers) > 93
    assert set(reader(unseen.tensors).tolist()) == {0, 1, 2, 3}
