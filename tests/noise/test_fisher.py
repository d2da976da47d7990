import noise_networks
import numpy as np
import pytest

from noise import fisher
from noise.fisher import Sensitivity, inverse_fisher, sensitivities
from noise.task import Task


@pytest.fixture(autouse=True)
def _few_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fisher, "MOST_GRADIENTS", 300)


@pytest.fixture(scope="module")
def small() -> Task:
    return noise_networks.task(noise_networks.two_layers_plan(), noise_networks.data())


def exact(task: Task, rows: int | None = None) -> np.ndarray:
    """F of a linear layer and a softmax over the first rows: Wᵀ E[diag p − p pᵀ] W, its largest eigenvalue 1."""
    weight = noise_networks.CENTRES @ noise_networks.STEM.T
    logits = task.train.logits[:rows].astype(np.float64)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    middle = np.diag(p.mean(axis=0)) - p.T @ p / len(p)
    found = weight.T @ middle @ weight
    return found / np.linalg.eigvalsh(found)[-1]


def rebuilt(one: Sensitivity) -> np.ndarray:
    return (one.basis * one.eigenvalues) @ one.basis.T


@pytest.mark.parametrize("square", [fisher.MOST_SQUARE, 0])
def test_it_is_the_closed_form_of_a_linear_layer(small: Task, monkeypatch: pytest.MonkeyPatch, square: int) -> None:
    monkeypatch.setattr(fisher, "MOST_SQUARE", square)  # 0: the gradients themselves are held
    (found,) = sensitivities(small.cut, small.train, seed=0).values()
    rows = None if square else fisher.MOST_GRADIENTS // 3
    np.testing.assert_allclose(rebuilt(found), exact(small, rows), atol=1e-4)
    rank = found.basis.shape[1]
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(rank), atol=1e-5)
    assert (np.diff(found.eigenvalues) <= 0).all()
    assert found.eigenvalues[0] == pytest.approx(1)


def test_one_class_a_row_has_the_same_expectation(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fisher, "MOST_CLASSES", 1)
    (found,) = sensitivities(small.cut, small.train, seed=0).values()
    expected = exact(small)
    assert np.abs(rebuilt(found) - expected).max() < 0.12
    every = np.mean([rebuilt(sensitivities(small.cut, small.train, seed=s)["stem"]) for s in range(8)], axis=0)
    assert np.abs(every - expected).max() < 0.06


@pytest.mark.parametrize("square", [fisher.MOST_SQUARE, 0])
def test_a_low_rank_is_the_truncation(small: Task, monkeypatch: pytest.MonkeyPatch, square: int) -> None:
    monkeypatch.setattr(fisher, "MOST_SQUARE", square)
    (found,) = sensitivities(small.cut, small.train, seed=0, rank=1).values()
    values, vectors = np.linalg.eigh(exact(small, None if square else fisher.MOST_GRADIENTS // 3))
    assert found.basis.shape == (12, 1)
    np.testing.assert_allclose(rebuilt(found), values[-1] * np.outer(vectors[:, -1], vectors[:, -1]), atol=1e-4)


def test_the_inverse_is_of_that_covariance() -> None:
    random = np.random.default_rng(0)
    basis, _ = np.linalg.qr(random.normal(size=(9, 9)))
    values = np.array([1, 0.5, 0.1, 0.01])
    one = Sensitivity(basis[:, :4].astype(np.float32), values)
    normal = one.inverse(epsilon=0.03)
    root = np.diag(normal.scale) @ (np.eye(9) - normal.basis @ np.diag(normal.shrink) @ normal.basis.T)
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(rebuilt(one) + 0.03 * np.eye(9)), rtol=1e-3, atol=1e-3)


def test_crossing_tensors_share_one_scale() -> None:
    small = noise_networks.task(noise_networks.residual_plan(), noise_networks.data())
    found = sensitivities(small.cut, small.train, seed=0)
    assert tuple(found) == ("stem", "inner")
    # x + 0.3 · turnᵀ(turn x): the branch's gradients are 0.3 of the skip's.
    assert found["stem"].eigenvalues[0] == pytest.approx(1)
    assert found["inner"].eigenvalues[0] == pytest.approx(0.09, rel=1e-3)
    assert inverse_fisher(found, epsilon=0.1).nodes == ("stem", "inner")


@pytest.mark.parametrize("square", [fisher.MOST_SQUARE, 0])
def test_an_answer_that_depends_on_nothing_leaves_noise_alike_everywhere(
    small: Task, monkeypatch: pytest.MonkeyPatch, square: int
) -> None:
    monkeypatch.setattr(fisher, "MOST_SQUARE", square)
    deaf = noise_networks.task(noise_networks.two_layers_plan(), noise_networks.data())
    for parameter in deaf.cut.cloud.parameters():
        parameter.zero_()
    (found,) = sensitivities(deaf.cut, deaf.train, seed=0).values()
    normal = found.inverse(epsilon=0.25)
    white = normal.whitened(np.eye(12, dtype=np.float32))
    np.testing.assert_allclose(white, np.eye(12) / 2, atol=1e-5)
