from typing import Any

import msgspec
import numpy as np
import pytest

from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Split
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.laplace_learning import Schedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_options import Options
from noise.randomness import SeededRandom, SystemRandom
from planner.plan import Plan
from profiles.errors import DataError, InfeasibleError, NoiseError


def test_learned_noise_keeps_the_budget_on_real_digits(
    lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset
) -> None:
    assert lenet_learned.noise.distributions == 4
    assert lenet_learned.noise.elements == 120
    cut = CutNetwork.of(lenet_plan)
    accuracy, snr_inverse = cut.judge(
        lenet_learned.noise, cut.activations(mnist.test, origin="mnist"), random=SystemRandom()
    )
    assert accuracy.clean is not None
    assert accuracy.clean >= 99.1
    assert accuracy.interval_points is not None
    # Judged on other inputs than those that gate: within the budget, up to what the two samples may differ by.
    assert accuracy.interval_points[0] <= 1.5 + 0.5
    assert accuracy.loss_points == pytest.approx(lenet_learned.facts.accuracy.loss_points, abs=0.5)
    # The noise is of the signal's size, or it would hide nothing.
    assert snr_inverse > 0.5


def test_no_noise_gives_the_base_accuracy(lenet_plan: Plan, mnist: Dataset) -> None:
    cut = CutNetwork.of(lenet_plan)
    nothing = LaplaceNoise({"flatten": OrderedLaplace(np.zeros(1), np.zeros(1), np.arange(120)[None])})
    accuracy, snr_inverse = cut.judge(nothing, cut.activations(mnist.test, origin="mnist"), random=SeededRandom(0))
    assert accuracy.loss_points == 0
    assert snr_inverse == 0


def test_a_seed_repeats_learning(lenet_plan: Plan, mnist: Dataset) -> None:
    small = Dataset("small", mnist.train[:2000], mnist.test[:500])
    options = Options(count=2, laplace=Schedule(steps=30))
    one, same, other = (
        learn(lenet_plan, small, kind="laplace", budget_points=5, seed=seed, options=options) for seed in (3, 3, 4)
    )
    assert (one.noise.tensors["flatten"].order == same.noise.tensors["flatten"].order).all()
    assert one.facts == same.facts
    assert (one.noise.tensors["flatten"].order != other.noise.tensors["flatten"].order).any()


def test_weights_never_change(lenet_plan: Plan, mnist: Dataset) -> None:
    from profiles.models import load_model

    before = load_model("lenet").weights
    small = Dataset("small", mnist.train[:1000], mnist.test[:100])
    options = Options(count=1, laplace=Schedule(steps=5))
    learned = learn(lenet_plan, small, kind="laplace", budget_points=20, seed=0, options=options)
    assert learned.facts.weights == before


def test_a_budget_that_no_noise_meets_names_one_that_would_do(lenet_plan: Plan, mnist: Dataset) -> None:
    # Two digits laid over each other, labelled as the network sees them: the least disturbance changes answers.
    mixed = (mnist.train.inputs[:20000] + mnist.train.inputs[20000:40000]) / 2
    unlabelled = Split(mixed, mnist.train.labels[:20000])
    seen = CutNetwork.of(lenet_plan).activations(unlabelled, origin="mixed").clean
    data = Dataset("mixed", Split(mixed, seen.astype(np.int64)), mnist.test[:100])
    options = Options(count=6, laplace=Schedule(steps=1))
    with pytest.raises(InfeasibleError, match=r"raise --budget to that") as caught:
        learn(lenet_plan, data, kind="laplace", budget_points=1e-6, seed=0, options=options)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"architecture": "sha256:other"}, "not the network that was planned"),
        ({"weights": "sha256:other"}, "other weights than were planned"),
        ({"source": None}, "does not say where its model is"),
    ],
)
def test_a_plan_of_another_model_is_refused(lenet_plan: Plan, change: Any, word: str) -> None:
    other = msgspec.structs.replace(lenet_plan, model=msgspec.structs.replace(lenet_plan.model, **change))
    with pytest.raises(NoiseError, match=word):
        CutNetwork.of(other)


def test_data_of_another_shape_is_refused(lenet_plan: Plan) -> None:
    odd = Split(np.zeros((50, 1, 32, 32), dtype=np.float32), np.zeros(50, dtype=np.int64))
    with pytest.raises(DataError, match=r"the model takes \[1, 28, 28\]"):
        learn(lenet_plan, Dataset("odd", odd, odd), budget_points=1)


def test_learning_that_runs_away_says_at_which_step(lenet_plan: Plan, mnist: Dataset) -> None:
    small = Dataset("small", mnist.train[:1000], mnist.test[:100])
    options = Options(count=1, laplace=Schedule(steps=5, alpha=float("inf")))
    with pytest.raises(NoiseError, match=r"NaN or infinity at step \d+"):
        learn(lenet_plan, small, kind="laplace", budget_points=1, seed=0, options=options)
