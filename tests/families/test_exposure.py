"""Counts given their total: the same figures as without, at the means that the shares and the total give."""

from collections.abc import Callable

import pytest
import scipy.stats as st
import torch
from torch import nn
from torch.testing import assert_close

from jensen import families
from jensen.families.counts import FLOOR
from jensen.families.scales import NetworkScale, PerDimensionScale
from jensen.networks import NormalizedLog1p

D = 6
MAKERS: list[Callable[[], nn.Module]] = [
    lambda: families.Poisson([D]),
    lambda: families.NegativeBinomial([D], PerDimensionScale(D)),
    lambda: families.NegativeBinomial([D], NetworkScale(D)),
    lambda: families.ZeroInflatedNegativeBinomial([D], NetworkScale(D)),
]


@pytest.fixture
def rows() -> torch.Tensor:
    """Counts whose totals are about 40, 400 and 4,000."""
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(60, D, generator=generator) * 10 ** torch.randint(1, 4, (60, 1), generator=generator)
    return torch.poisson(means, generator=generator)


def test_the_mean_is_the_share_of_the_total() -> None:
    family = families.Exposed(families.NegativeBinomial([D], PerDimensionScale(D, 2.0))).double()
    raw, x = torch.randn(4, D).double(), torch.tensor([0.0, 3, 0, 1, 96, 0]).double()
    share = (1 - FLOOR) * raw.softmax(-1) + FLOOR / D
    r = family.family.inverse_dispersion(raw).detach().numpy()
    exact = st.nbinom(r, r / (r + 100 * share.numpy())).logpmf(x.numpy())
    assert_close(family(raw).log_prob(x), torch.tensor(exact).sum(-1), rtol=1e-6, atol=1e-6)
    assert_close(family(raw).log_prob_of_columns(x), torch.tensor(exact), rtol=1e-6, atol=1e-6)


def test_the_mean_is_that_at_the_median_total(rows: torch.Tensor) -> None:
    p = families.Exposed(families.Poisson([D]), rows)(torch.randn(3, D))
    totals = rows.sum(-1).sort().values
    assert_close(p.mean.sum(-1), totals[len(totals) // 2].expand(3))


@pytest.mark.parametrize("make", MAKERS)
def test_depth_alone_moves_no_share(make: Callable[[], nn.Module], rows: torch.Tensor) -> None:
    family = families.Exposed(make(), rows)
    p = family(torch.randn(3, family.num_outputs))
    x = p.sample((5,))
    assert x.shape == (5, 3, D)
    assert p.log_prob(x).shape == (5, 3)
    assert p.batch_shape == (3,)
    assert p.event_shape == (D,)
    assert_close(p.shares.sum(-1), torch.ones(3))


def test_draws_have_the_totals_of_the_rows(rows: torch.Tensor) -> None:
    torch.manual_seed(0)
    drawn = families.Exposed(families.Poisson([D]), rows)(torch.zeros(D)).sample((4000,)).sum(-1)
    for q in (0.1, 0.5, 0.9):
        assert drawn.quantile(q).item() == pytest.approx(rows.sum(1).quantile(q).item(), rel=0.15)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_finite_at_any_raw_outputs(make: Callable[[], nn.Module], size: float, rows: torch.Tensor) -> None:
    family = families.Exposed(make(), rows)
    raw = (size * torch.randn(50, family.num_outputs)).requires_grad_()
    x = torch.cat([rows[:48], torch.zeros(1, D), 1e6 * torch.ones(1, D)])
    value = family(raw).log_prob(x)
    value.sum().backward()
    assert raw.grad is not None
    assert torch.isfinite(value).all()
    assert torch.isfinite(raw.grad).all()


def test_the_encoder_does_not_see_the_depth(rows: torch.Tensor) -> None:
    inputs = NormalizedLog1p(rows)
    assert_close(inputs(7 * rows), inputs(rows))
    median = rows[rows.sum(1) == rows.sum(1).median()]
    assert_close(inputs(median), torch.log1p(median))


def test_the_marginal_is_the_shares_of_all_counts_together() -> None:
    rows = torch.tensor([[1.0, 0.0, 7.0], [1.0, 0.0, 3.0]])
    family = families.Exposed(families.Poisson([3]), rows)
    torch.testing.assert_close(family.marginal(rows).exp(), torch.tensor([2.5, 0.5, 10.5]).double() / 13.5)
