from typing import Any

import numpy as np
import pytest
import torch

from noise import covariance
from noise.activations import Activations
from noise.covariance import Separation, covariance_root, root, separation_roots, spread
from noise.gaussian import LowRankNormal
from noise.gaussian_parameters import DenseFactor, Learnable, LearnedMap, LinearLearnable
from noise.task import Budget, Task


def activations(rows: int, *sizes: int, seed: int = 0) -> Activations:
    random = np.random.default_rng(seed)
    whole = random.normal(size=(rows, sum(sizes))) @ random.normal(size=(sum(sizes), sum(sizes)))
    parts = np.split(whole.astype(np.float32) + 1, np.cumsum(sizes)[:-1], axis=1)
    logits = random.normal(size=(rows, 2)).astype(np.float32)
    return Activations(tuple(parts), (), np.zeros(rows, np.int64), logits)


@pytest.mark.parametrize("rows", [2, 5, 12, 300])
def test_a_root_squared_is_the_covariance(rows: int) -> None:
    (tensor,) = activations(rows, 12).tensors
    found = root(tensor)
    assert len(found) <= max(rows, 12)
    np.testing.assert_allclose(found.T @ found, np.cov(tensor.T), rtol=1e-3, atol=1e-3)


def test_of_many_elements_the_leading_directions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covariance, "MOST_ROWS", 3)
    (tensor,) = activations(300, 12).tensors
    values, vectors = np.linalg.eigh(np.cov(tensor.T.astype(np.float64)))
    leading = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    found = root(tensor)
    assert found.shape == (3, 12)
    np.testing.assert_allclose(found.T @ found, leading, rtol=1e-3, atol=1e-2)


def test_tensors_that_depend_on_one_another_share_their_rows() -> None:
    on = activations(200, 5, 7)
    one, other = covariance_root(on)
    joint = np.cov(np.concatenate(on.tensors, axis=1).T)
    np.testing.assert_allclose((one.T @ other).numpy(), joint[:5, 5:], rtol=1e-3, atol=1e-2)


def test_the_spread_of_an_element_that_never_changes_is_not_zero() -> None:
    on = activations(100, 4)
    on.tensors[0][:, 2] = 0
    (found,) = spread(on)
    assert found[2] > 0
    np.testing.assert_allclose(found.numpy()[[0, 1, 3]], on.tensors[0].std(axis=0)[[0, 1, 3]], rtol=0.2)


def learnables(*sizes: int, gain: float = 1.0, mapped: bool = False) -> list[Learnable]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for n in sizes:
        start = torch.tril(torch.randn(n, n, generator=generator), -1) + torch.diag(torch.arange(1.0, n + 1))
        one = None
        if mapped:
            one = LearnedMap(torch.ones(n), (n,), "dense")
            with torch.no_grad():
                one.weight.add_(torch.randn(n, n, generator=generator))
        none = np.zeros((n, 0), dtype=np.float32)
        factor = DenseFactor(torch.ones(n), LowRankNormal(np.ones(n, dtype=np.float32), none, none[0]))
        with torch.no_grad():
            factor.lower.copy_(gain * torch.tril(start, -1))
            factor.log_diagonal.copy_((gain * start.diagonal()).log())
        made.append(LinearLearnable(factor, one))
    return made


def block_diagonal(parts: list[np.ndarray]) -> np.ndarray:
    from scipy.linalg import block_diag

    made: np.ndarray = block_diag(*parts)
    return made


@pytest.mark.parametrize("mapped", [False, True])
def test_separation_is_the_mahalanobis_distance_written_out(mapped: bool) -> None:
    random = np.random.default_rng(0)
    within, differences = random.normal(size=(9, 8)), random.normal(size=(3, 8))
    made = learnables(3, 5, mapped=mapped)
    halves = [
        [torch.from_numpy(part.astype(np.float32)) for part in np.split(one, [3], axis=1)]
        for one in (within, differences)
    ]
    with torch.no_grad():
        found = float(Separation(*halves)(made))
        noise = block_diagonal([one.factor.factor().numpy() for one in made])  # type: ignore[attr-defined]
        weight = block_diagonal(
            [one.map.weight.numpy() if one.map else np.eye(n) for one, n in zip(made, (3, 5), strict=True)]
        )
    inverse = np.linalg.inv(noise @ noise.T + weight @ within.T @ within @ weight.T)
    moved = differences @ weight.T
    assert found == pytest.approx(float(np.einsum("ij,jk,ik->", moved, inverse, moved)), rel=1e-3)


def test_more_noise_separates_less() -> None:
    random = np.random.default_rng(0)
    within, differences = (torch.from_numpy(random.normal(size=(k, 8)).astype(np.float32)) for k in (9, 3))
    with torch.no_grad():
        found = [float(Separation([within], [differences])(learnables(8, gain=gain))) for gain in (0.5, 1, 2, 8)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.1 * found[0]


def task(on: Activations, private: Any) -> Task:
    return Task(None, on, on, Budget(1.0), 0, private=private)  # type: ignore[arg-type]


def test_separation_is_between_private_classes_of_one_public_class() -> None:
    on = activations(400, 3, 5)
    private = np.random.default_rng(1).integers(3, size=400)
    on.tensors[0][private == 2, 0] += 50
    found = separation_roots(task(on, private))
    joint = np.concatenate(on.tensors, axis=1).astype(np.float64)
    centred, expected = joint.copy(), []
    for public in (0, 1):
        here = on.clean == public
        means = [joint[here & (private == kind)].mean(axis=0) for kind in range(3)]
        for kind in range(3):
            centred[here & (private == kind)] -= means[kind]
        weight = np.sqrt(here.mean() / 3)
        expected += [weight * (means[b] - means[a]) for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(torch.cat(found.differences, dim=1), np.stack(expected), rtol=1e-3, atol=1e-3)
    # What is learned is float32: torch multiplies nothing else with it.
    assert {one.dtype for one in (*found.within, *found.differences)} == {torch.float32}
    h = torch.cat(found.within, dim=1).numpy()
    np.testing.assert_allclose(h.T @ h, np.cov(centred.T), rtol=1e-2, atol=1e-2)


def test_of_large_tensors_the_root_within_classes_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gram matrix of its rows is made at every step."""
    monkeypatch.setattr(covariance, "MOST_SQUARE", 10)
    monkeypatch.setattr(covariance, "MOST_ROWS", 40)
    on = activations(400, 12)
    private = np.random.default_rng(1).integers(2, size=400)
    found = separation_roots(task(on, private))
    assert found.within[0].shape[0] <= 40
    # The means, which cost nothing later, are of all rows.
    here = on.clean == 0
    tensor = on.tensors[0]
    difference = tensor[here & (private == 1)].mean(axis=0) - tensor[here & (private == 0)].mean(axis=0)
    np.testing.assert_allclose(found.differences[0][0], np.sqrt(here.mean()) * difference, rtol=1e-3, atol=1e-3)


def test_a_private_label_that_the_class_decides_has_nothing_to_separate() -> None:
    on = activations(100, 4)
    found = separation_roots(task(on, on.clean))
    assert not found.differences[0].any()
