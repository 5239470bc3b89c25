"""Laws of densities: they integrate to one, and draws follow them."""

import pytest
import torch
from scipy.stats import chi2, kstwo

from tests.chance import FALSE_ALARM, within_chance
from tests.laws.cases import ALL, Case
from tests.laws.integration import probabilities, smooth

DRAWS = 20_000
COMPARISONS = 1000
"""More than there are statistical comparisons in this folder: all of them together fail by chance with
probability below `FALSE_ALARM`."""

LEVEL = FALSE_ALARM / COMPARISONS

densities = [case for case in ALL if case.support != "point"]
each = pytest.mark.parametrize("case", densities, ids=lambda case: case.name)


@each
def test_the_density_integrates_to_one(case: Case) -> None:
    module = case.build()
    for seed in range(2):
        _, p = probabilities(case, case.at(module, case.raw(module, seed=seed)))
        # Where a density has a cusp (Laplace) or its slope a jump (splines), the rule is of second order.
        assert p.sum().item() == pytest.approx(1, abs=5e-4 if "flow" in case.name else 1e-4)


@each
def test_draws_follow_the_density(case: Case) -> None:
    module = case.build()
    distribution = case.at(module, case.raw(module))
    x, p = probabilities(case, distribution)
    torch.manual_seed(1)
    draws = distribution.sample((DRAWS,)).double()
    exact = (p.unsqueeze(-1) * smooth(x)).sum(0)
    assert within_chance(smooth(draws), exact, tests=COMPARISONS)
    if case.support in ("real", "unit"):
        for d in range(x.shape[-1]):
            assert kolmogorov_smirnov(draws[:, d].contiguous(), x[:, d], p) > LEVEL
    elif case.support != "simplex":
        assert chi_square(draws, x, p) > LEVEL


def kolmogorov_smirnov(draws: torch.Tensor, x: torch.Tensor, p: torch.Tensor) -> float:
    """P-value of draws ``[n]`` under the distribution with probability p ``[N]`` in the cells about x."""
    points, inverse = x.unique(return_inverse=True)
    mass = torch.zeros_like(points).index_add(0, inverse, p)
    cdf = mass.cumsum(0) - mass / 2
    place = torch.searchsorted(points, draws).clamp(1, len(points) - 1)
    left, right = points[place - 1], points[place]
    t = ((draws - left) / (right - left)).clamp(0, 1)
    at = (cdf[place - 1] + t * (cdf[place] - cdf[place - 1])).sort().values
    n = len(draws)
    steps = torch.arange(n + 1).double() / n
    statistic = torch.maximum((at - steps[:-1]).max(), (steps[1:] - at).max()).item()
    return float(kstwo.sf(statistic, n))


def chi_square(draws: torch.Tensor, x: torch.Tensor, p: torch.Tensor) -> float:
    """P-value of discrete draws ``[n, D]`` under probabilities p of the values x ``[N, D]``."""
    place = torch.cdist(draws, x).argmin(-1) if x.shape[-1] > 1 else _nearest(draws, x)
    assert torch.allclose(x[place], draws, atol=1e-6), "a draw is not among the values of the support"
    counts = torch.bincount(place, minlength=len(x)).double()
    expected = p * len(draws)
    # Cells where few are expected are joined, as the chi-square approximation asks for.
    common = expected >= 10
    counts = torch.cat([counts[common], counts[~common].sum(0, keepdim=True)])
    expected = torch.cat([expected[common], expected[~common].sum(0, keepdim=True)])
    kept = expected > 1
    statistic = ((counts - expected).square() / expected)[kept].sum().item()
    return float(chi2.sf(statistic, max(int(kept.sum()) - 1, 1)))


def _nearest(draws: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    values = x[:, 0].contiguous()
    place = torch.searchsorted(values, draws[:, 0] - 1e-9)
    return place.clamp_max(len(values) - 1)


@each
def test_mean_and_standard_deviation_are_those_of_the_density(case: Case) -> None:
    if case.support == "categories":
        pytest.skip("class indices have no mean")
    module = case.build()
    distribution = case.at(module, case.raw(module))
    x, p = probabilities(case, distribution)
    mean = (p.unsqueeze(-1) * x).sum(0)
    variance = (p.unsqueeze(-1) * (x - mean).square()).sum(0)
    # 256 draws: six standard errors of a mean, and of a variance with moderate tails.
    tolerance = 6 * variance.sqrt() / 16 if case.sampled_moments else 1e-4 * (1 + mean.abs())
    assert ((distribution.mean - mean).abs() <= tolerance).all()
    if case.support != "grid":
        allowed = 0.8 if case.sampled_moments else 1e-3
        assert (distribution.stddev / variance.sqrt() - 1).abs().max().item() <= allowed


@each
def test_asking_for_the_mean_leaves_the_random_state_alone(case: Case) -> None:
    if case.support == "categories":
        pytest.skip("class indices have no mean")
    module = case.build()
    distribution = case.at(module, case.raw(module))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(distribution.mean, distribution.mean)
    assert torch.equal(torch.rand(1), expected)
