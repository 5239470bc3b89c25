"""Log-densities, moments and probabilities against scipy's and torch's, and digits kept in float32."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats as st
import torch
from torch.distributions import LowRankMultivariateNormal, RelaxedOneHotCategorical
from torch.testing import assert_close

from jensen.distributions import (
    ContinuousBernoulli,
    Delta,
    DiscretizedLogistic,
    LowRankNormal,
    NegativeBinomial,
    OneHot,
    Poisson,
    RelaxedOneHot,
    StudentT,
    ZeroInflated,
    center,
)
from jensen.distributions.counts import negative_binomial_log_prob


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_student_t() -> None:
    df, loc, scale = double(2.1, 5.0, 100.0), double(0.0, -1.0, 3.0), double(1.0, 0.3, 2.0)
    ours, scipys = StudentT(df, loc, scale), st.t(df, loc, scale)
    for x in (-7.0, 0.0, 0.4, 1e4):
        assert_close(ours.log_prob(double(x)), torch.tensor(scipys.logpdf(x)), rtol=1e-12, atol=1e-12)
    assert_close(ours.mean, torch.tensor(scipys.mean()))
    assert_close(ours.stddev, torch.tensor(scipys.std()))


COUNTS = double(0.0, 1.0, 2.0, 9.0, 10.0, 57.0, 1234.0, 1e5)


@pytest.mark.parametrize("rate", [1e-6, 0.5, 9.7, 60.0, 1000.0, 1e5])
def test_poisson(rate: float) -> None:
    ours = Poisson(double(rate)).log_prob(COUNTS)
    assert_close(ours, torch.tensor(st.poisson(rate).logpmf(COUNTS)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mean", [1e-4, 0.5, 60.0, 1e4])
@pytest.mark.parametrize("r", [1e-3, 0.7, 12.0, 3000.0])
def test_negative_binomial(mean: float, r: float) -> None:
    ours = NegativeBinomial(double(mean), double(r))
    scipys = st.nbinom(r, r / (r + mean))
    # Our remainder of Stirling's series stops at y^-5: its error at y = 10 is 6e-11.
    assert_close(ours.log_prob(COUNTS), torch.tensor(scipys.logpmf(COUNTS)), rtol=1e-8, atol=1e-8)
    assert_close(ours.variance.item(), float(scipys.var()), rtol=1e-7, atol=0)


def test_negative_binomial_without_dispersion_is_poisson() -> None:
    mean = double(3.0)
    limit = NegativeBinomial(mean, double(1e9)).log_prob(COUNTS[:6])
    assert_close(limit, Poisson(mean).log_prob(COUNTS[:6]), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_whole_formula_where_most_counts_are_zero() -> None:
    torch.manual_seed(0)
    x = torch.poisson(torch.full((50, 8), 0.3)).double()
    m, r = torch.rand(3, 50, 8).double().requires_grad_(), torch.rand(8).double().requires_grad_()
    whole = negative_binomial_log_prob(*torch.broadcast_tensors(x, m, r))
    parted = NegativeBinomial(m, r).log_prob(x)
    assert_close(parted, whole)
    weights = torch.randn_like(whole)
    expected = torch.autograd.grad(whole, (m, r), weights)
    assert_close(torch.autograd.grad(parted, (m, r), weights), expected)


def test_counts_keep_their_digits_in_single_precision() -> None:
    # A draw near the mean, where the textbook formula subtracts terms of 1e7.
    for x, mean in ((100_300.0, 100_000.0), (1_000_500.0, 1_000_000.0)):
        single = Poisson(torch.tensor(mean)).log_prob(torch.tensor(x)).item()
        assert single == pytest.approx(st.poisson(mean).logpmf(x), abs=1e-4)
        single = NegativeBinomial(torch.tensor(mean), torch.tensor(50.0)).log_prob(torch.tensor(x)).item()
        assert single == pytest.approx(st.nbinom(50, 50 / (50 + mean)).logpmf(x), abs=1e-4)


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 3e-6), (torch.float64, 1e-9)], ids=str)
@pytest.mark.parametrize("inflated", [False, True])
def test_negative_binomial_far_from_its_mean(dtype: torch.dtype, digits: float, inflated: bool) -> None:
    grid = torch.cartesian_prod(
        double(1.0, 3.0, 30.0, 1e3, 1e5, 1e6),
        double(1e-6, 0.1, 3.0, 1e2, 1e4, 1e6),
        double(1e-3, 0.1, 3.0, 1e2, 1e5, 1e7),
    ).to(dtype)
    x, m, r = grid.unbind(1)
    m, r = m.requires_grad_(), r.requires_grad_()
    base = NegativeBinomial(m, r)
    ours = (ZeroInflated(base, torch.zeros_like(m)) if inflated else base).log_prob(x)
    slopes = torch.autograd.grad(ours.sum(), (m, r))
    with mpmath.workdps(40):
        exact = torch.stack([double(*map(float, _exactly(*row))) for row in grid.tolist()])
    expected = exact[:, 0] - (math.log(2) if inflated else 0)
    assert ((ours.double() - expected).abs() / (1 + expected.abs())).max() < digits
    for ours, place, theirs in zip(slopes, (m, r), exact.T[1:], strict=True):
        # The slopes by log m and log r are small differences of terms up to this size.
        slope, size = (ours * place).detach().double(), torch.minimum(x, place).detach().double()
        assert ((slope - theirs).abs() / (1 + theirs.abs() + size)).max() < 100 * digits


def _exactly(x: float, m: float, r: float) -> tuple[mpmath.mpf, ...]:
    """log p, and its derivatives by log m and log r."""
    x, m, r = (mpmath.mpf(part) for part in (x, m, r))
    log_p = mpmath.loggamma(r + x) - mpmath.loggamma(r) - mpmath.loggamma(x + 1)
    log_p += r * mpmath.log(r / (r + m)) + x * mpmath.log(m / (r + m))
    by_r = mpmath.digamma(r + x) - mpmath.digamma(r) + mpmath.log(r / (r + m)) + (m - x) / (r + m)
    return log_p, r * (x - m) / (r + m), r * by_r


@pytest.mark.parametrize("x", [math.nan, -1.0, -3.0])
def test_what_is_no_count_is_not_scored_as_one(x: float) -> None:
    one = double(1.0)
    for q in (Poisson(one), NegativeBinomial(one, one), ZeroInflated(Poisson(one), one)):
        assert q.log_prob(double(x)).isnan().all()


def test_zero_inflation() -> None:
    base, odds = Poisson(double(2.0)), double(-0.4)
    pi = 1 / (1 + math.exp(0.4))
    f = st.poisson(2.0)
    ours = ZeroInflated(base, odds)
    expected = [math.log(pi + (1 - pi) * f.pmf(0)), math.log((1 - pi) * f.pmf(3))]
    assert_close(ours.log_prob(double(0.0, 3.0)), double(*expected))


@pytest.mark.parametrize("odds", [-1e4, -40.0, -0.6, -0.011, -0.009, 0.0, 1e-7, 0.0099, 0.4, 7.0, 900.0])
def test_continuous_bernoulli_normaliser_by_quadrature(odds: float) -> None:
    x, w = np.polynomial.legendre.leggauss(60)
    # The mass lies within a few 1/|l| of one end: panels that shrink towards both ends.
    edges = np.concatenate([[0], np.logspace(-7, math.log10(0.5), 40)])
    edges = np.concatenate([edges, (1 - edges)[::-1][1:]])
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    points = torch.tensor((middle[:, None] + half[:, None] * x).ravel())
    weights = torch.tensor((half[:, None] * w).ravel())
    distribution = ContinuousBernoulli(double(odds))
    p = weights * distribution.log_prob(points).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    mean = (p * points).sum()
    assert distribution.mean.item() == pytest.approx(mean.item(), abs=1e-9)
    variance = (p * (points - mean).square()).sum().item()
    assert distribution.variance.item() == pytest.approx(variance, rel=1e-6)


def test_continuous_bernoulli_is_smooth_where_the_series_takes_over() -> None:
    edge = 1e-2
    for x in (0.0, 0.3, 1.0):
        for sign in (-1.0, 1.0):
            odds = sign * double(edge * (1 - 1e-9), edge * (1 + 1e-9)).requires_grad_()
            value = ContinuousBernoulli(odds).log_prob(double(x))
            (slope,) = torch.autograd.grad(value.sum(), odds)
            assert_close(value[0], value[1], rtol=1e-9, atol=1e-9)
            assert_close(slope[0], slope[1], rtol=1e-7, atol=1e-7)


def test_continuous_bernoulli_has_the_right_slope_at_zero() -> None:
    odds = torch.zeros(3, requires_grad=True)
    ContinuousBernoulli(odds).log_prob(torch.tensor([0.0, 0.5, 1.0])).sum().backward()
    assert_close(odds.grad, torch.tensor([-0.5, 0.0, 0.5]))


def test_continuous_bernoulli_quantiles() -> None:
    u = torch.linspace(0.001, 0.999, 11).double()
    for odds in (-30.0, -0.5, -0.001, 0.0, 0.002, 1.0, 50.0):
        x = ContinuousBernoulli(double(odds)).icdf(u)
        cdf = torch.expm1(odds * x) / math.expm1(odds) if odds else x
        assert_close(cdf, u, rtol=1e-8, atol=1e-8)


def test_discretized_logistic_against_differences_of_the_distribution_function() -> None:
    low, high, step = double(-1.0)[0], double(1.5)[0], double(0.5)[0]
    loc, scale = double(-0.3, 0.2, 4.0), double(0.2, 2.0, 0.1)
    ours = DiscretizedLogistic(loc, scale, low, high, step)
    f = st.logistic(loc, scale)
    assert_close(ours.log_prob(double(-1.0)), torch.tensor(f.logcdf(-0.75)))
    assert_close(ours.log_prob(double(1.5)), torch.tensor(f.logsf(1.25)))
    inner = np.log(f.cdf(0.25) - f.cdf(-0.25))[:2]
    assert_close(ours.log_prob(double(0.0))[:2], torch.tensor(inner))


def test_discretized_logistic_of_dimensions_with_levels_of_their_own() -> None:
    low, high, step = double(0.0, -1.0, 0.0), double(1.0, 2.0, 10.0), double(1.0, 0.5, 2.0)
    p = DiscretizedLogistic(double(5.0, 0.3, 4.0), double(1.0, 2.0, 3.0), low, high, step)
    levels = low + step * torch.arange(7).double()[:, None]
    masses = torch.where(levels <= high, p.log_prob(levels).exp(), 0.0)
    assert_close(p.mean, (levels * masses).sum(0))


def test_discretized_logistic_far_in_the_tail_keeps_its_digits() -> None:
    # F(b) - F(a) underflows here, yet log P = -(distance - h)/s + log(1 - exp(-step/s)) to high accuracy.
    low, high, step = (torch.tensor(v) for v in (0.0, 255.0, 1.0))
    for sign, x in ((1, 200.0), (-1, 20.0)):
        loc = torch.tensor([x + sign * 150.0])
        value = DiscretizedLogistic(loc, torch.tensor([0.5]), low, high, step).log_prob(torch.tensor(x))
        expected = -(150.0 - 0.5) / 0.5 + math.log1p(-math.exp(-2.0))
        assert value.item() == pytest.approx(expected, rel=1e-6)


def test_low_rank_normal_against_torch() -> None:
    torch.manual_seed(0)
    loc, factors, scale = torch.randn(4, 5), torch.randn(4, 5, 2), torch.rand(4, 5) + 0.2
    loc, factors, scale = loc.double(), factors.double(), scale.double()
    ours = LowRankNormal(loc, factors, scale)
    torchs = LowRankMultivariateNormal(loc, scale.unsqueeze(-1) * factors, scale.square())
    x = torch.randn(3, 4, 5).double()
    assert_close(ours.log_prob(x), torchs.log_prob(x))
    assert_close(ours.variance, torchs.variance)


def test_relaxed_one_hot_against_torch() -> None:
    torch.manual_seed(0)
    logits, t = torch.randn(4, 3).double(), 0.6
    ours, torchs = RelaxedOneHot(logits, t), RelaxedOneHotCategorical(torch.tensor(t).double(), logits=logits)
    z = torchs.sample((7,))
    assert_close(ours.log_prob(z.flatten(-2)), torchs.log_prob(z).sum(-1))


def test_one_hot_draws_are_one_hot() -> None:
    z = OneHot(torch.randn(5, 2, 4)).sample((6,)).unflatten(-1, (2, 4))
    assert_close(z.sum(-1), torch.ones(6, 5, 2))
    assert set(z.unique().tolist()) == {0.0, 1.0}


def test_a_point_mass_names_the_remedy() -> None:
    point = Delta(torch.randn(3, 2, requires_grad=True))
    assert point.rsample((4,)).requires_grad
    assert not point.sample((4,)).requires_grad
    assert_close(point.stddev, torch.zeros(3, 2))
    with pytest.raises(NotImplementedError, match="reconstruction bound"):
        point.log_prob(torch.zeros(3, 2))


def test_center_is_the_mean_or_the_mode() -> None:
    from torch.distributions import Categorical, Independent, Normal

    indices = Independent(Categorical(logits=torch.tensor([[0.0, 2.0, 1.0]])), 1)
    assert center(indices).tolist() == [1]
    assert center(Normal(3.0, 1.0)).item() == 3.0


@pytest.mark.parametrize(
    "distribution",
    [
        Poisson(torch.ones(2)),
        NegativeBinomial(torch.ones(2), torch.ones(2)),
        ZeroInflated(Poisson(torch.ones(2)), torch.zeros(2)),
        ContinuousBernoulli(torch.ones(2)),
        StudentT(torch.tensor(5.0), torch.ones(2), torch.tensor(2.0)),
        DiscretizedLogistic(torch.ones(2), torch.tensor(1.0), *torch.tensor([0.0, 3.0, 1.0])),
        OneHot(torch.zeros(2, 2, 3)),
        RelaxedOneHot(torch.zeros(2, 2, 3), 1.0),
        LowRankNormal(torch.zeros(2, 3), torch.zeros(2, 3, 1), torch.ones(2, 3)),
        Delta(torch.zeros(2, 3)),
    ],
    ids=lambda d: type(d).__name__,
)
def test_expand_and_repr(distribution: torch.distributions.Distribution) -> None:
    wider = distribution.expand((4, 2))
    assert wider.batch_shape == (4, 2)
    assert wider.event_shape == distribution.event_shape
    assert wider.sample().shape == (4, 2, *distribution.event_shape)
    assert type(distribution).__name__ in repr(distribution)
