"""The bottleneck: what is drawn and told of it, and learning of one on a network whose best accuracy is known."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import noise_networks
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise import checkpoint
from noise.audit.covariance_bound import held_out_bounds
from noise.bottleneck import BottleneckMap, CodeNormal
from noise.bottleneck_learning import learn_bottleneck
from noise.bottleneck_parameters import LearnedBottleneck
from noise.channel import ChannelNoise
from noise.checkpoint import Checkpoint
from noise.covariance import batch_separation
from noise.gaussian_kinds import learn_channel
from noise.gaussian_schedule import GaussianSchedule
from noise.learning import learn
from noise.learning_options import Options
from noise.randomness import SeededRandom
from noise.task import Task
from noise.tensors import to_arrays
from profiles.errors import InfeasibleError

BRIEF = GaussianSchedule(steps=600, batch=128)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 3000)


def task(**changes: Any) -> Task:
    return noise_networks.task(noise_networks.two_layers_plan(), noise_networks.data(), **changes)


def some(n: int = 12, hidden: int = 5, width: int = 3, *, gain: float = 0.75, seed: int = 0) -> ChannelNoise:
    random = np.random.default_rng(seed)
    shapes = ((hidden, n), (hidden,), (width, hidden), (n, width))
    one = BottleneckMap(*(random.normal(size=shape).astype(np.float32) for shape in shapes))
    offset = random.normal(size=n).astype(np.float32)
    return ChannelNoise({"a": one}, {"a": offset}, {"a": CodeNormal(one.decoder, gain)})


@given(st.integers(1, 4), st.integers(0, 8), st.floats(0.1, 4), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_what_crosses_tells_the_numbers_and_nothing_else(width: int, more: int, gain: float, seed: int) -> None:
    """Whitened, what crosses is g(a) / s + z, whatever z was: D loses nothing and adds nothing."""
    noise = some(width + more + 1, 6, width, gain=gain, seed=seed)
    a = np.random.default_rng(seed).normal(size=(7, noise.elements)).astype(np.float32)
    one, offset = noise.maps["a"], noise.offsets["a"]
    assert isinstance(one, BottleneckMap)
    g = np.maximum(a @ one.encoder.T + one.bias, 0) @ one.code.T
    (drawn,), z = noise.draw(7, SeededRandom(seed)), SeededRandom(seed).normal((7, width))
    sent = noise.carried([a])[0] + drawn - offset
    condition = np.linalg.cond(one.decoder.astype(np.float64))
    tolerance = 1e-5 * condition * (1 + np.abs(g).max() / gain)
    np.testing.assert_allclose(noise.normals["a"].whitened(sent), g / gain + z, atol=tolerance)
    assert noise.normals["a"].whitened(sent).shape == (7, width)


def test_a_gain_makes_the_noise_stronger_and_leaves_the_map() -> None:
    noise = some()
    twice = noise.scaled(2)
    assert twice.maps is noise.maps
    np.testing.assert_allclose(twice.draw(4, SeededRandom(1))[0], 2 * noise.draw(4, SeededRandom(1))[0], rtol=1e-5)
    a = np.random.default_rng(2).normal(size=(9, 12)).astype(np.float32)
    np.testing.assert_allclose(2 * twice.whitened([a]), noise.whitened([a]), rtol=1e-9)


def test_what_is_learned_is_what_the_edge_draws_from() -> None:
    mean, spread = torch.linspace(-1, 1, 24), torch.linspace(0.5, 2, 24)
    learned = LearnedBottleneck(mean, spread, hidden=6, width=4, seed=3)
    tensors = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    mapped, offset = learned.mapped()
    with torch.no_grad():
        expected, white = learned.carried(tensors).numpy(), learned.whitened(tensors)
        z = torch.from_numpy(SeededRandom(1).normal((5, 4)))
        noise = learned.noise(z).numpy()
    np.testing.assert_allclose(mapped(tensors.numpy()) + offset, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(learned.normal().draw(5, SeededRandom(1)), noise, rtol=1e-4, atol=1e-6)
    found = torch.from_numpy(learned.normal().whitened(mapped(tensors.numpy()) + offset))
    torch.testing.assert_close((found - found[0]).float(), white - white[0], rtol=1e-3, atol=1e-4)


def test_a_seed_repeats_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (
        LearnedBottleneck(torch.zeros(8), torch.ones(8), hidden=4, width=2, seed=seed).encoder.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_the_budget_holds_and_the_bound_is_below_the_linear_maps() -> None:
    work = task(points=3.0)
    found = learn_bottleneck(work, schedule=BRIEF)
    assert found is not None
    assert work.needed_points(found.noise) <= 3.0
    assert found.settings["map"] == "bottleneck"
    linear = learn_channel(work, schedule=replace(BRIEF, steps=120))
    nats = [
        held_out_bounds(*(one.noise.whitened(rows.tensors) for rows in (work.train, work.holdout)), repeats=[1])[
            0
        ].nats  # type: ignore[attr-defined]
        for one in (found, linear)
    ]
    assert nats[0] < nats[1]


def test_where_no_perceptron_keeps_the_budget_the_map_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.learning.learn_bottleneck", lambda *_, **__: None)
    data, plan = noise_networks.data(), noise_networks.two_layers_plan()
    asked: dict[str, Any] = {"budget_points": 1.5, "seed": 1}
    made = learn(plan, data, options=Options(gaussian=replace(BRIEF, steps=60)), **asked)
    assert "flatten" not in made.noise.nodes
    assert not any(name.endswith(".encoder") for name in to_arrays(made.noise))
    with pytest.raises(InfeasibleError, match="--map linear"):
        learn(plan, data, options=Options(gaussian=BRIEF, map="bottleneck"), **asked)


def test_too_short_a_learning_finds_none() -> None:
    """A map that was hardly learned answers at random: it must not pass for one that keeps the budget."""
    assert learn_bottleneck(task(points=1.0), schedule=GaussianSchedule(steps=2, batch=16), hidden=2) is None


class _Killed(Exception):
    pass


@pytest.mark.parametrize("private", [False, True])
def test_what_was_killed_ends_as_what_was_not(private: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", -1.0)
    side = noise_networks.data().without_holdout().private["side"] if private else None

    def run(file: Path, killed_after: int | None = None) -> ChannelNoise:
        calls = 0

        def progress(done: int, of: int) -> None:
            nonlocal calls
            calls += 1
            if calls == killed_after:
                raise _Killed

        kept = Checkpoint(file, key="k")
        work = replace(task(checkpoint=kept, progress=progress, points=20.0), private=side, gamma=1.0)
        found = learn_bottleneck(work, schedule=replace(BRIEF, steps=240), hidden=8)
        assert found is not None
        assert isinstance(found.noise, ChannelNoise)
        return found.noise

    with tempfile.TemporaryDirectory() as folder:
        undisturbed = run(Path(folder) / "one")
        with pytest.raises(_Killed):
            run(Path(folder) / "other", killed_after=3)
        continued = run(Path(folder) / "other")
    first, second = to_arrays(undisturbed), to_arrays(continued)
    assert first.keys() == second.keys()
    assert all(first[key].tobytes() == second[key].tobytes() for key in first)


def test_separation_is_the_squared_distance_of_means_in_what_blurs_them() -> None:
    """One dimension, one public class: (m1 − m0)² / (1 + variance within)."""

    class One:
        def whitened(self, tensors: torch.Tensor) -> torch.Tensor:
            return tensors

    rows = np.random.default_rng(0).normal(size=(400, 1))
    private = np.arange(400) % 2
    rows[private == 1] += 3
    means = [rows[private == kind].mean() for kind in (0, 1)]
    within = np.mean((rows[:, 0] - np.where(private == 1, means[1], means[0])) ** 2)
    expected = (means[1] - means[0]) ** 2 / (1 + within)
    found = batch_separation([One()], [torch.from_numpy(rows)], np.zeros(400), private)  # type: ignore[list-item]
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_where_the_map_spends_the_budget_a_wider_one_is_tried_and_the_better_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gains and bounds as learning found them, by width: starved, worse and starved, enough."""
    from noise import bottleneck_learning
    from noise.gaussian_start import Settled

    work = task()
    tried: list[int] = []
    results = {16: (0.4, 9.0), 64: (0.5, 11.0), 512: (0.9, 5.0), 8: (0.3, 4.0)}

    def settled(self: Any, retreats: Any) -> Settled:
        width = int(self.stage.split("-")[1])
        tried.append(width)
        gain, nats = results[width]
        return Settled(some(), {"gain": gain}, nats)

    monkeypatch.setattr(bottleneck_learning.Work, "settled", settled)
    monkeypatch.setattr(bottleneck_learning, "_share", lambda task, hidden: 0.1)
    found = learn_bottleneck(work, schedule=BRIEF)
    assert tried == [16, 64, 512]
    assert found is not None
    assert found.settings["hidden"] == 512
    results[512] = (0.9, 10.0)
    again = learn_bottleneck(work, schedule=BRIEF)
    assert again is not None
    assert again.settings["hidden"] == 16
    results[16] = (0.8, 9.0)
    tried.clear()
    learn_bottleneck(work, schedule=BRIEF)
    assert tried == [16]
