"""The power mean of the likelihood over the prior, where it has a closed form, and its two ends."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.testing import assert_close

from jensen.evaluation import tempered
from jensen.evaluation.score import log_prob_of_columns
from jensen.evaluation.tempered import tempered_score

SIGMA, W = 0.7, torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)


class Linear(nn.Module):
    """z ~ N(0, 1), x = W z + N(0, sigma^2 I), in three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(W)

    def prior(self) -> Distribution:
        return Independent(Normal(torch.zeros(1).double(), torch.ones(1).double()), 1)

    def likelihood(self, z: tuple[Tensor, ...]) -> Distribution:
        return Independent(Normal(z[0] @ self.weight, SIGMA), 1)


def exact(x: Tensor, t: float) -> Tensor:
    """N(x; Wz, s^2)^t is N(x; Wz, s^2 / t) times a constant, whose mean over z is a normal density."""
    D = x.shape[1]
    variance = SIGMA**2 / t
    constant = -t * D / 2 * math.log(2 * math.pi * SIGMA**2) + D / 2 * math.log(2 * math.pi * variance)
    cov = W.T @ W + variance * torch.eye(D).double()
    p = torch.distributions.MultivariateNormal(torch.zeros(D).double(), cov)
    return (p.log_prob(x) + constant) / t


@pytest.fixture
def x() -> Tensor:
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("power", [1.0, 0.3, 0.02])
def test_the_closed_form_of_a_linear_model(x: Tensor, power: float) -> None:
    found = tempered_score(Linear(), x.split(4), [power], 200_000, seed=1)
    assert_close(found[0], exact(x, power), atol=0.03, rtol=0)


def test_towards_zero_it_is_the_mean_log_likelihood_and_it_grows_with_the_power(x: Tensor) -> None:
    by_power = tempered_score(Linear(), [x], [1e-9, 0.1, 0.5, 1.0], 1000, seed=1)
    spread = x.square().sum(1) + W.square().sum()  # E |x - W z|^2
    limit = -spread / (2 * SIGMA**2) - 1.5 * math.log(2 * math.pi * SIGMA**2)
    assert_close(by_power[0], limit, rtol=0.1, atol=0)
    for smaller, larger in itertools.pairwise(by_power):
        assert bool((smaller < larger).all())


def test_a_row_is_scored_alike_in_any_block_and_missing_cells_add_nothing(x: Tensor) -> None:
    whole = tempered_score(Linear(), [x], [0.5], 50, log_det=2.0, seed=3)
    assert_close(tempered_score(Linear(), x.split(2), [0.5], 50, log_det=2.0, seed=3), whole)
    holes = x.clone()
    holes[:, 1] = math.nan
    found = tempered_score(Linear(), [holes], [0.5], 200_000, seed=3)
    narrow = Linear()
    narrow.weight.data = W[:, [0, 2]]
    assert_close(found, tempered_score(narrow, [x[:, [0, 2]]], [0.5], 200_000, seed=3))


def test_entries_come_as_those_of_a_trace_do(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def noted(p: Distribution, rows: Tensor) -> Tensor:
        found = log_prob_of_columns(p, rows)
        shapes.append((p.batch_shape, rows.shape, found.shape))
        return found

    monkeypatch.setattr(tempered, "log_prob_of_columns", noted)
    tempered_score(Linear(), [x], [0.5], 50)
    assert shapes == [((50, 1), (7, 3), (50, 7, 3))]
