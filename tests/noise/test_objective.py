import math

import pytest
import torch

from noise.objective import alpha_at, equation_4


def test_equation_4_by_hand() -> None:
    # Two classes at equal logits: a cross-entropy of ln 2; |n| sums to 3 and 0.5.
    logits = torch.zeros(2, 4, 2)
    noise = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    found = equation_4(logits, torch.tensor([0, 1, 0, 1]), [noise], alpha=0.01)
    assert found.tolist() == pytest.approx([math.log(2) - 0.03, math.log(2) - 0.005])


def test_each_noise_tensor_answers_for_itself() -> None:
    noise = torch.randn(3, 5, requires_grad=True)
    weight = torch.randn(5, 4)
    logits = (torch.randn(6, 5)[None] + noise[:, None]) @ weight
    loss = equation_4(logits, torch.randint(4, (6,)), [noise], alpha=0.1)
    (gradient,) = torch.autograd.grad(loss[1], noise)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0


def test_alpha_is_a_tenth_every_500_iterations() -> None:
    assert [alpha_at(step, alpha=0.01) for step in (0, 499, 500, 999, 1000)] == pytest.approx(
        [0.01, 0.01, 0.001, 0.001, 0.0001]
    )
