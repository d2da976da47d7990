"""Cuts with several crossing tensors, and networks with several inputs."""

from typing import Any

import numpy as np
import pytest
import several
import torch
from numpy.typing import NDArray

from noise import task
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.datasets.own import as_split
from noise.datasets.records import Split
from noise.gaussian_schedule import GaussianSchedule
from noise.laplace_learning import Schedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_options import Options
from noise.randomness import SeededRandom
from planner.constraints import Constraints
from planner.plan import Plan
from planner.planning import cut
from profiles.errors import DataError, NoiseError
from profiles.link import presets
from profiles.profiling import profile

KINDS = ("channel", "gaussian", "laplace")
QUICK = Options(count=2, laplace=Schedule(steps=10, alpha=0), gaussian=GaussianSchedule(steps=300, batch=64))
#: At this cut the mask crosses twice beside the hidden state: as it came, and as 0 and −inf.
ENCODER_CUT = "attention_mask+project+unsqueeze"


def planned(source: str, at: str, *, public: str = "") -> Plan:
    measured = profile(source, seconds=0.02, pause_ms=0)
    constraints = Constraints(public_inputs=frozenset(filter(None, [public])))
    return cut(measured, measured, presets()["wifi"], at=at, constraints=constraints)


def learned(plan: Plan, data: str, kind: str, *, budget: float = 5) -> Learned:
    return learn(plan, catalog.load_dataset(data), kind=kind, budget_points=budget, seed=0, options=QUICK)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judgement of fewer draws: what is tested is what takes noise, not how much."""
    monkeypatch.setattr(task, "JUDGED_ROWS", 2000)


@pytest.fixture(scope="module")
def encoder() -> Plan:
    return planned("several:encoder", ENCODER_CUT, public="attention_mask")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("source", "at", "data", "crossing"),
    [
        ("several:residual", "stem+relu", "several:vectors", {"stem": 8, "relu": 5}),
        ("several:dense", "one+two+three", "several:vectors_of_dense", {"one": 4, "two": 3, "three": 3}),
    ],
    ids=["residual", "dense"],
)
def test_every_crossing_tensor_takes_noise_and_together_they_keep_the_budget(
    source: str, at: str, data: str, crossing: dict[str, int], kind: str
) -> None:
    plan = planned(source, at)
    found = learned(plan, data, kind)
    assert found.result().crossing == found.noise.nodes == tuple(crossing)
    assert found.result().left_alone == ()
    drawn = found.noise.draw(50, SeededRandom(1))
    assert [one.shape for one in drawn] == [(50, size) for size in crossing.values()]
    network = CutNetwork.of(plan)
    given = network.activations(catalog.load_dataset(data).holdout(), origin=data)
    for noise, tensor in zip(drawn, found.noise.carried(given.tensors), strict=True):
        # Strong everywhere: no element is left nearly clean for the sake of another tensor's.
        assert (noise.std(0) > 0.01 * tensor.std(0)).all()
    accuracy, _ = network.judge(found.noise, given, random=SeededRandom(2), draws=20)
    assert accuracy.clean == 100  # labels are the network's own answers
    assert accuracy.loss_points is not None
    assert 0 < accuracy.loss_points <= 6.5  # with other draws than those that gated


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_and_what_public_inputs_decide_are_left_alone_and_listed(encoder: Plan, kind: str) -> None:
    found = learned(encoder, "several:texts", kind)
    assert found.noise.nodes == ("project",)
    assert found.result().left_alone == ("attention_mask", "unsqueeze")
    assert found.noise.elements == several.LENGTH * several.WIDTH
    # Whatever is to be divided by or added to infinity would have come out here.
    assert np.isfinite(found.facts.snr_inverse)
    assert found.facts.accuracy.clean == 100


def test_a_tensor_of_private_inputs_that_holds_infinity_is_named() -> None:
    plan = planned("several:masked", "masked_fill")
    word = "masked_fill crosses and holds -inf on several:vectors, which no noise hides; cut elsewhere"
    with pytest.raises(NoiseError, match=word) as caught:
        learned(plan, "several:vectors", "channel")
    assert len(str(caught.value).splitlines()) == 1


def test_inputs_by_name_and_in_order_are_the_same(encoder: Plan) -> None:
    network = CutNetwork.of(encoder)
    named, ordered = (catalog.load_dataset(name).test for name in ("several:texts", "several:texts_in_order"))
    assert list(named.inputs) == ["attention_mask", "input_ids"]
    one, other = (network.activations(split, origin="texts") for split in (named, ordered))
    for here, there in zip((*one.tensors, *one.beside), (*other.tensors, *other.beside), strict=True):
        np.testing.assert_array_equal(here, there)
    ids, mask = network.fitting(named.inputs, origin="texts")
    assert (ids.dtype, mask.dtype) == (np.int64, np.int64)
    np.testing.assert_array_equal(mask, ordered.inputs[1])


def test_a_parameter_is_known_by_its_owners_name_and_by_the_graphs() -> None:
    network = CutNetwork.of(planned("several:time_first", "relu+beside"))
    x, y = np.zeros((3, 4, 3), np.float32), np.ones((3, 2), np.float32)
    for name in ("input", "input_1"):
        given = network.fitting({"readings": y, name: x}, origin="own")
        assert [one.shape for one in given] == [x.shape, y.shape]


IDS, MASK = np.zeros((3, several.LENGTH), np.int64), np.ones((3, several.LENGTH), np.int64)


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        (IDS, "one array of inputs, the model takes input_ids, attention_mask"),
        ((IDS, MASK, MASK), "3 arrays of inputs, the model takes input_ids, attention_mask"),
        ({"input_ids": IDS}, "no attention_mask among the inputs"),
        ({"input_ids": IDS, "mask": MASK}, "mask among the inputs, the model takes input_ids, attention_mask"),
        ({"input_ids": IDS, "attention_mask": MASK[:, :2]}, r"attention_mask: inputs of shape \[2\]"),
        ((IDS, MASK.astype(np.float32)), "attention_mask: inputs of type float32, the model takes int64"),
    ],
)
def test_inputs_that_are_not_the_networks_are_one_line(encoder: Plan, inputs: Any, word: str) -> None:
    with pytest.raises(DataError, match=word) as caught:
        CutNetwork.of(encoder).fitting(inputs, origin="own")
    assert len(str(caught.value).splitlines()) == 1


def rows(count: int = 12) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return np.arange(count)[:, None], 10.0 * np.arange(count)[:, None], np.arange(count) % 2


def test_rows_of_all_inputs_stay_together() -> None:
    x, y, labels = rows()
    for inputs in ((x, y), {"x": x, "y": y}):
        split = as_split((inputs, labels), origin="own")
        for taken in (split.shuffled(seed=1), split[3:7]):
            one, other = taken.by_input.values()
            assert type(taken.inputs) is type(split.inputs)
            np.testing.assert_array_equal(10 * one, other)
            np.testing.assert_array_equal(one[:, 0] % 2, taken.labels)


def test_items_of_a_data_set_have_several_inputs() -> None:
    x, y, labels = rows()

    def inputs_of(split: Split) -> list[NDArray[Any]]:
        return list(split.by_input.values())

    class Items:
        def __init__(self, item: Any) -> None:
            self._item = item

        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int) -> Any:
            return self._item(index), labels[index]

    by_name = as_split(Items(lambda i: {"x": x[i], "y": torch.from_numpy(y[i])}), origin="own")
    in_order = as_split(Items(lambda i: (x[i], y[i])), origin="own")
    assert list(by_name.inputs) == ["x", "y"]
    assert isinstance(in_order.inputs, tuple)
    for split in (by_name, in_order):
        np.testing.assert_array_equal(inputs_of(split), [x, y])
    with pytest.raises(DataError, match="expected the same in every item"):
        as_split(Items(lambda i: {"x": x[i]} if i else {"z": x[i]}), origin="own")


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ((rows()[0], rows()[1][:11]), "11 rows of input 1 and 12 labels, expected as many"),
        ({"x": rows()[0], "y": np.full((12, 1), np.inf)}, "own, input 'y': the inputs hold NaN or infinity"),
        ({}, "expected two arrays"),
        (3, "expected two arrays"),
    ],
)
def test_several_inputs_are_checked_one_by_one(inputs: Any, word: str) -> None:
    with pytest.raises(DataError, match=word):
        as_split((inputs, rows()[2]), origin="own")


def test_a_list_as_long_as_the_labels_holds_rows() -> None:
    x, _, labels = rows()
    split = as_split((list(x), labels), origin="own")
    np.testing.assert_array_equal(split.inputs, x)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_network_of_two_inputs_and_one_row_a_call(kind: str) -> None:
    plan = planned("several:time_first", "relu+beside")
    network = CutNetwork.of(plan)
    assert network.rows == 1  # time stands before the batch where it is cut
    series = catalog.load_dataset("several:series")
    test = series.test[:100]
    logits = network.activations(test, origin="series").logits
    with torch.inference_mode():
        expected = network.network.model.module(*map(torch.from_numpy, test.inputs)).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    found = learned(plan, "several:series", kind)
    assert found.noise.nodes == ("relu", "beside")
    accuracy, _ = network.judge(
        found.noise, network.activations(series.holdout(), origin="series"), random=SeededRandom(2), draws=5
    )
    assert accuracy.loss_points is not None
    assert 0 < accuracy.loss_points <= 6.5
