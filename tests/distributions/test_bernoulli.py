"""The Bernoulli likelihood written for a compiler is torch's, with its first and second derivatives."""

from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Independent

from jensen.distributions.bernoulli import IndependentBernoulli
from jensen.distributions.recording import is_recorded, recorded

SHAPES = [(1,), (5,), (7, 3), (28, 28), (2, 101), (113,)]


def case(shape: Any) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = 30 * torch.randn(4, 6, *shape, dtype=torch.float64)
    logits[0, 0] = 1e4
    logits[1, 1] = -1e4
    logits[2, 2] = 0.3 * torch.randn(shape, dtype=torch.float64)
    return logits, (torch.rand(6, *shape) < 0.5).double()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_those_of_torch(shape: Any) -> None:
    logits, x = case(shape)
    plain = Independent(Bernoulli(logits=logits), len(shape)).log_prob(x)
    with recorded():
        grouped = IndependentBernoulli(logits, len(shape)).log_prob(x)
        single = IndependentBernoulli(logits.float(), len(shape)).log_prob(x.float())
    torch.testing.assert_close(grouped, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(single.double(), plain, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_that_of_torch(shape: Any) -> None:
    logits, x = case(shape)
    weights = torch.randn(4, 6, dtype=torch.float64)

    def gradients(distribution: Any) -> tuple[torch.Tensor, ...]:
        inputs = logits.clone().requires_grad_(), x.clone().requires_grad_()
        value = (weights * distribution(inputs[0], len(shape)).log_prob(inputs[1])).sum()
        return torch.autograd.grad(value, inputs)

    plain = gradients(lambda raw, dims: Independent(Bernoulli(logits=raw, validate_args=False), dims))
    with recorded():
        grouped = gradients(IndependentBernoulli)
    for found, expected in zip(grouped, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_second_derivatives_are_right() -> None:
    logits = torch.tensor([[-3.0, -0.2, 0.1, 2.0]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    with recorded():
        assert torch.autograd.gradgradcheck(lambda raw: IndependentBernoulli(raw, 1).log_prob(x), (logits,))


def test_recording_ends_with_its_block() -> None:
    assert not is_recorded()
    with recorded():
        assert is_recorded()
    assert not is_recorded()
