import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from noise import objective
from noise.objective import alpha_at, equation_3, equation_4, equation_5, equation_11, laplace_scale, variance

# Two classes at equal logits have a cross-entropy of ln 2; at logits (1, 0) of ln(1 + e) − 1 for the first.
EQUAL = torch.zeros(2, 4, 2)
LABELS = torch.tensor([0, 1, 0, 1])
NOISE = [torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.tensor([[3.0], [1.0]])]


def test_equation_3_by_hand() -> None:
    # Of (1, −2, 3) the mean is 2/3 and σ² = 14/3 − 4/9 = 38/9; of (0.5, 0, 1) it is 1/6.
    found = equation_3(EQUAL, LABELS, NOISE, alpha=0.38)
    assert found.tolist() == pytest.approx([math.log(2) + 0.09, math.log(2) + 2.28])


def test_equation_4_by_hand() -> None:
    found = equation_4(EQUAL, LABELS, NOISE, alpha=0.01)
    assert found.tolist() == pytest.approx([math.log(2) - 0.06, math.log(2) - 0.015])


def test_equation_5_by_hand() -> None:
    private = torch.tensor([1.0, 0.0]).expand(2, 4, 2)
    right = math.log(1 + math.e) - 1
    found = equation_5(EQUAL, LABELS, private, torch.zeros(4, dtype=torch.int64), NOISE, alpha=0.01, gamma=0.5)
    assert found.tolist() == pytest.approx([math.log(2) - 0.5 * right - 0.06, math.log(2) - 0.5 * right - 0.015])


def test_equation_11_by_hand() -> None:
    # (1, −1) has σ² = 1, so b_w = √½; (2, −2, 2, −2) has b_w = √2. Weighted 2 : 4 by their elements.
    noise = [torch.tensor([[1.0, -1.0]]), torch.tensor([[2.0, -2.0, 2.0, -2.0]])]
    found = equation_11(EQUAL[:1], LABELS, noise, scales=[1.0, 3.0], weight=2.0)
    one, other = (math.log(b_y + b_w) - math.log(b_w) for b_y, b_w in ((1, math.sqrt(0.5)), (3, math.sqrt(2))))
    assert found.tolist() == pytest.approx([one / 3 + 2 * other / 3 + 2 * math.log(2)])


def test_the_step_of_equation_11_enlarges_the_noise_and_keeps_its_shape() -> None:
    # d/dwᵢ of log(b_y + b_w) − log b_w = −b_y / (b_w (b_y + b_w)) · (wᵢ − mean) / (2 n b_w): along w itself.
    noise = torch.tensor([[3.0, -1.0, 0.5, -2.5]], requires_grad=True)
    equation_11(torch.zeros(1, 4, 2), LABELS, [noise], scales=[2.0], weight=1.0).sum().backward()
    values = noise.detach()[0]
    b_w = math.sqrt(float(values.var(correction=0)) / 2)
    expected = -2.0 / (b_w * (2.0 + b_w)) * (values - values.mean()) / (2 * 4 * b_w)
    assert noise.grad is not None
    assert noise.grad[0].tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_the_scale_of_laplace_samples_is_found() -> None:
    samples = np.random.default_rng(0).laplace(1.0, 2.5, size=(3, 200_000))
    assert laplace_scale(torch.from_numpy(samples)).tolist() == pytest.approx([2.5] * 3, rel=0.02)


def test_variance_is_that_of_all_tensors_together() -> None:
    together = torch.cat(NOISE, dim=1)
    assert variance(NOISE).tolist() == pytest.approx(together.var(dim=1, correction=0).tolist())


Loss = Callable[[torch.Tensor, torch.Tensor, list[torch.Tensor]], torch.Tensor]


@pytest.mark.parametrize(
    "loss",
    [
        lambda logits, labels, noise: equation_3(logits, labels, noise, alpha=0.1),
        lambda logits, labels, noise: equation_4(logits, labels, noise, alpha=0.1),
        lambda logits, labels, noise: equation_5(logits, labels, logits, labels, noise, alpha=0.1, gamma=0.1),
        lambda logits, labels, noise: equation_11(logits, labels, noise, scales=[1.0], weight=2.0),
    ],
)
def test_each_noise_tensor_answers_for_itself(loss: Loss) -> None:
    noise = torch.randn(3, 5, requires_grad=True)
    weight = torch.randn(5, 4)
    logits = (torch.randn(6, 5)[None] + noise[:, None]) @ weight
    (gradient,) = torch.autograd.grad(loss(logits, torch.randint(4, (6,)), [noise])[1], noise)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0


def test_without_alpha_and_gamma_all_that_remains_is_the_cross_entropy() -> None:
    logits = torch.randn(2, 4, 3)
    plain = objective.cross_entropy(logits, LABELS).tolist()
    assert equation_4(logits, LABELS, NOISE, alpha=0).tolist() == plain
    assert equation_3(logits, LABELS, NOISE, alpha=0).tolist() == plain
    assert equation_5(logits, LABELS, logits, LABELS, NOISE, alpha=0, gamma=0).tolist() == plain


def test_alpha_is_a_tenth_every_500_iterations() -> None:
    assert [alpha_at(step, alpha=0.01) for step in (0, 499, 500, 999, 1000)] == pytest.approx(
        [0.01, 0.01, 0.001, 0.001, 0.0001]
    )
