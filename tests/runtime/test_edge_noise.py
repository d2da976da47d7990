"""What leaves an edge half, seen by a real server that answers with just what it was sent."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from servers import serving

from noise.keyed import DrawKey
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.randomness import Randomness
from profiles import codec
from profiles.codec import Quantisation
from profiles.errors import NoiseError
from runtime.client import CloudClient
from runtime.cloud import ServedModel
from runtime.contract import TensorContract
from runtime.edge import EdgeHalf

#: Two tensors that take noise, and token ids between them that do not.
CONTRACTS = (
    TensorContract("left", "float32", (-1, 2, 5)),
    TensorContract("ids", "int64", (-1, 3)),
    TensorContract("right", "float32", (-1, 7)),
)
KEY = DrawKey(b"s" * 32, "sha256:noise")
INPUTS = np.random.default_rng(0).normal(size=(40, 10)).astype(np.float32)


class Half:
    """A half as arrays: what comes out of what goes in."""

    name = "arrays"

    def __init__(self, compute: Callable[[Sequence[Any]], list[Any]]) -> None:
        self.run = compute


def edge_tensors(inputs: Sequence[Any]) -> list[Any]:
    (one,) = inputs
    relu = np.maximum(one, 0).reshape(-1, 2, 5)
    return [relu, np.rint(100 * one[:, :3]).astype(np.int64), one[:, 3:].copy(), one]


class Channel:
    """a' = W a + b + s z for both tensors, not in the order in which they cross."""

    kind, distributions, elements, nodes = "channel", 1, 17, ("right", "left")

    def __init__(self, strength: float = 1.0) -> None:
        random = np.random.default_rng(1)
        self.maps = [random.normal(size=(n, n)).astype(np.float32) for n in (7, 10)]
        self.strength = strength

    def draw(self, rows: int, random: Randomness) -> list[Any]:
        return [np.float32(self.strength) * random.normal((rows, n)) for n in (7, 10)]

    def carried(self, tensors: Sequence[Any]) -> list[Any]:
        return [np.matmul(one, map.T) + np.float32(1) for one, map in zip(tensors, self.maps, strict=True)]


def samplers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "sampler"]


def laplace(scale: float = 1.0, **sizes: int) -> LaplaceNoise:
    def one(elements: int) -> OrderedLaplace:
        return OrderedLaplace(np.zeros(2), np.full(2, scale), np.stack([np.arange(elements)] * 2))

    return LaplaceNoise({name: one(elements) for name, elements in sizes.items()})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ServedModel("echo", Half(list), CONTRACTS, CONTRACTS)) as found:
        yield found


def sender(client: CloudClient, noise: Any, engine: Any = edge_tensors, **options: Any) -> EdgeHalf:
    crossing = [one.name for one in CONTRACTS]
    return EdgeHalf(
        Half(engine), noise, client, **{"crossing": crossing, "beside": ["ids"], "replies": CONTRACTS} | options
    )


def sent(url: str, noise: Any, batches: Sequence[Any], **options: Any) -> list[list[Any]]:
    """What the server was sent for each batch: left, ids, right."""
    with CloudClient(url, "echo") as client, sender(client, noise, **options) as edge:
        return [edge.infer([one]).outputs for one in batches]


@pytest.mark.parametrize("noise", [laplace(left=10, right=7), Channel()], ids=["laplace", "channel"])
def test_every_float_is_noised_anew_in_many_inferences_and_integers_are_sent_as_they_are(
    url: str, noise: Any
) -> None:
    sizes = np.random.default_rng(2).integers(1, 4, size=120)
    # One and the same input in every row of every batch.
    left, ids, right = zip(*sent(url, noise, [np.repeat(INPUTS[:1], rows, axis=0) for rows in sizes]), strict=True)
    clean = edge_tensors([INPUTS[:1]])
    assert (np.concatenate(ids) == clean[1]).all()
    tensors = {"left": clean[0], "right": clean[2]}
    carried = dict(
        zip(noise.nodes, noise.carried([tensors[node].reshape(1, -1) for node in noise.nodes]), strict=True)
    )
    for name, got in (("left", left), ("right", right)):
        rows = np.concatenate(got).reshape(sizes.sum(), -1)
        assert (rows == tensors[name].reshape(1, -1)).mean() < 0.02  # zero is on the grid
        assert (rows == carried[name]).mean() < 0.02
        # Numbers on a grid of some thousand repeat by chance; a draw that is used again repeats in every element.
        assert all(len(np.unique(column)) > 0.9 * len(rows) for column in rows.T)
        assert len(np.unique(rows, axis=0)) == len(rows)
        assert np.median(rows - carried[name]) == pytest.approx(0, abs=0.2)


def test_keyed_noise_is_the_same_for_one_input_however_it_is_batched(url: str) -> None:
    noise = laplace(left=10, right=7)
    once = sent(url, noise, [INPUTS], key=KEY)[0]
    for batches in ([INPUTS], [INPUTS[:1], INPUTS[1:]], [INPUTS[:20], INPUTS[20:]]):
        again = [np.concatenate(column) for column in zip(*sent(url, noise, batches, key=KEY), strict=True)]
        assert all((one == other).all() for one, other in zip(once, again, strict=True))
    for key in (None, DrawKey(b"t" * 32, KEY.noise)):
        other = sent(url, noise, [INPUTS], key=key)[0]
        assert (other[2] == once[2]).mean() < 0.02
    difference = once[2] - edge_tensors([INPUTS])[2]
    assert all(len(np.unique(column)) > 35 for column in difference.T)


LEVELS = {"left": Quantisation(0.08, 0), "right": Quantisation(0.1, -3)}


def in_int8() -> tuple[TensorContract, ...]:
    return tuple(replace(one, dtype=codec.wire_dtype(one.dtype, "int8")) for one in CONTRACTS)


def test_a_row_is_sent_in_int8_alone_as_in_a_batch() -> None:
    """By the noise file's levels, whatever else is in the message; and what they tell is the noisy tensor's."""
    noise, options = laplace(left=10, right=7), {"key": KEY, "wire": "int8", "quantisation": LEVELS}
    with serving(ServedModel("echo", Half(list), CONTRACTS, CONTRACTS)) as url:
        floats = sent(url, noise, [INPUTS], key=KEY)[0]
    with serving(ServedModel("echo", Half(list), in_int8(), in_int8())) as url:
        batch = sent(url, noise, [INPUTS], replies=in_int8(), **options)[0]
        rows = sent(url, noise, [one[None] for one in INPUTS], replies=in_int8(), **options)
    assert [str(one.dtype) for one in batch] == ["int8", "int64", "int8"]
    for together, alone in zip(batch, zip(*rows, strict=True), strict=True):
        assert together.tobytes() == np.concatenate(alone).tobytes()
    for tensor, noisy, levels in zip(batch[::2], floats[::2], LEVELS.values(), strict=True):
        ends = levels.scale * (np.array([-128, 127]) - levels.zero_point)
        back = levels.scale * (tensor.astype(float) - levels.zero_point)
        assert np.abs(back - noisy.clip(*ends)).max() <= 0.501 * levels.scale


def test_int8_noise_without_levels_makes_no_edge_half(url: str) -> None:
    for levels in (None, {"right": LEVELS["right"]}):
        with CloudClient(url, "echo") as client, pytest.raises(NoiseError, match="left is to cross as int8"):
            sender(client, laplace(left=10, right=7), wire="int8", quantisation=levels)


@pytest.mark.parametrize(
    ("noise", "word"),
    [
        (laplace(left=10), "the noise is for left; what crosses and takes noise is left, right"),
        (laplace(left=10, ids=3, right=7), "the noise is for left, ids, right"),
        (laplace(left=10, middle=7), "the noise is for left, middle"),
    ],
)
def test_noise_for_other_tensors_makes_no_edge_half(url: str, noise: Any, word: str) -> None:
    before = len(samplers())
    with CloudClient(url, "echo") as client, pytest.raises(NoiseError) as refused:
        sender(client, noise)
    assert word in str(refused.value)
    assert len(samplers()) == before


def one_for_all(noise: Any) -> Any:
    """The same noise for every row of a batch: NumPy would spread it in silence."""

    class Spread(type(noise)):  # type: ignore[misc]
        def draw(self, rows: int, random: Randomness) -> list[Any]:
            return super().draw(1, random)  # type: ignore[no-any-return]

    return Spread()


@pytest.mark.parametrize(
    ("noise", "engine", "word"),
    [
        (laplace(1e-12, left=10, right=7), edge_tensors, "left: the noise is too weak"),
        (laplace(1e38, left=10, right=7), edge_tensors, "left: with its noise it is no finite number"),
        (Channel(0.0), edge_tensors, "right: the noise is too weak"),
        (Channel(1e-12), edge_tensors, "right: the noise is too weak"),
        (Channel(0.0), lambda inputs: [0 * one for one in edge_tensors(inputs)], "right: the noise is too weak"),
        (
            laplace(0.0, left=10, right=7),
            lambda inputs: [0 * one for one in edge_tensors(inputs)],
            "left: the noise is",
        ),
        (Channel(), lambda inputs: edge_tensors([np.inf * inputs[0]]), "no finite number"),
        (one_for_all(Channel()), edge_tensors, "right: noise of shape [1, 7] for a tensor of [40, 7]"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_noise_does_not_hide_is_not_sent(url: str, noise: Any, engine: Any, word: str) -> None:
    with CloudClient(url, "echo") as client, sender(client, noise, engine) as edge:
        with pytest.raises(NoiseError) as refused:
            edge.infer([INPUTS])
        assert client.bytes_sent == 0
    assert word in str(refused.value)


def low_bits(url: str, level: float) -> Any:
    """The lowest four bits, as float32 has them, of sums near zero: where one level is everywhere."""

    def engine(inputs: Sequence[Any]) -> list[Any]:
        clean = np.full((len(inputs[0]), 17), level, np.float32)
        return [clean[:, :10].reshape(-1, 2, 5), np.zeros((len(clean), 3), np.int64), clean[:, 10:], inputs[0]]

    found = sent(url, laplace(4.0, left=10, right=7), [INPUTS] * 40, engine=engine)
    sums = np.concatenate([one.reshape(-1) for left, _, right in found for one in (left, right)])
    near = sums[(np.abs(sums) > 0.25) & (np.abs(sums) < 0.5)].astype(np.float32)
    assert len(near) > 100
    return near.view(np.uint32) & 15


@pytest.mark.parametrize("level", [5.3, 1.0, 0.0])
def test_the_low_bits_of_a_sum_do_not_tell_how_large_the_tensor_was(url: str, level: float) -> None:
    assert not low_bits(url, level).any()


def test_numbers_whose_squares_overflow_are_sent(url: str) -> None:
    ((left, _, right),) = sent(url, laplace(1e25, left=10, right=7), [INPUTS])
    assert np.isfinite(left).all()
    assert np.abs(right).max() > 1e25


def test_what_goes_wrong_in_drawing_is_raised_by_the_inference(url: str) -> None:
    class Failing(Channel):
        def draw(self, rows: int, random: Randomness) -> list[Any]:
            raise MemoryError("no room for noise")

    with pytest.raises(MemoryError, match="no room for noise"):
        sent(url, Failing(), [INPUTS])


def test_the_thread_ends_with_the_edge_half(url: str) -> None:
    before = len(samplers())
    with CloudClient(url, "echo") as client:
        with sender(client, Channel()) as edge:
            assert len(samplers()) == before + 1
            edge.infer([INPUTS])
        assert len(samplers()) == before
