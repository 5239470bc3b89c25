"""The law of a table's components: normal up to three deviations, exponential beyond."""

import math

import pytest
import torch

from jensen.distributions import near_normal
from jensen.distributions.near_normal import END, STEEPNESS, A, B

Z = torch.cat([torch.linspace(-12, 12, 4801), torch.tensor([-1e6, -1e3, 1e3, 1e6])]).double()


def test_its_distribution_function_is_nearly_the_normal_one() -> None:
    gap = near_normal.log_odds(Z).sigmoid() - torch.special.ndtr(Z)
    assert gap.abs().max() < 1.5e-4  # 1.4e-4 in the source, up to three deviations
    assert near_normal.log_odds(torch.zeros(1)).item() == 0


def test_the_density_is_the_derivative_of_the_distribution_function() -> None:
    z = Z[Z.abs() < 12].requires_grad_()
    (slope,) = torch.autograd.grad(near_normal.log_odds(z).sigmoid().sum(), z)
    density = (near_normal.log_tails(z, z) + near_normal.log_slope(z)).exp()
    # sigma rounds to 1 far to the right, where its derivative is 0: compare on the left, and by symmetry.
    left = (z < 0).nonzero()[:, 0]
    assert torch.allclose(density[left], slope[left], rtol=1e-9)
    assert torch.allclose(density, density.flip(0), rtol=1e-9)


def test_the_density_integrates_to_one() -> None:
    z = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    density = (near_normal.log_tails(z, z) + near_normal.log_slope(z)).exp()
    assert torch.trapezoid(density, z).item() == pytest.approx(1, abs=1e-8)
    assert torch.trapezoid(density * z**2, z).item() == pytest.approx(1, abs=2e-3)  # a deviation of one


def test_quantiles_undo_the_log_odds() -> None:
    assert torch.allclose(near_normal.quantile(near_normal.log_odds(Z)), Z, rtol=1e-12, atol=1e-12)


PAIRS = [(-1.0, 2.0), (-7.0, 0.5), (2.9, 3.1), (3.5, 9.0), (-1e6, -4.0), (1.0, 1e6)]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_probabilities_between_two_points(a: float, b: float) -> None:
    low, high = torch.tensor([a, b]).double()
    d = near_normal.log_odds_between(low, high, high - low)
    difference = near_normal.log_odds(high) - near_normal.log_odds(low)
    assert d.item() == pytest.approx(difference.item(), rel=1e-12)
    log_p = near_normal.log_tails(low, high) + near_normal.log1mexp(d)
    # Of the upper tail where both are there: 1 - F keeps its digits.
    ends = near_normal.log_odds(torch.stack([-high, -low] if a > 0 else [low, high])).sigmoid()
    assert log_p.exp().item() == pytest.approx((ends[1] - ends[0]).item(), rel=1e-9)


@pytest.mark.parametrize("z", [0.0, 1.5, -2.999999, 3.0, -40.0])
def test_a_narrow_cell_has_its_width_times_the_density_in_float32(z: float) -> None:
    width = torch.tensor(1e-9)
    a = torch.tensor(z)
    d = near_normal.log_odds_between(a, a, width)  # float32 cannot tell its ends apart
    log_p = near_normal.log_tails(a, a) + near_normal.log1mexp(d)
    density = near_normal.log_tails(a, a) + near_normal.log_slope(a)
    assert log_p.item() == pytest.approx(density.item() + math.log(1e-9), rel=1e-5)


def test_the_force_of_a_far_value_is_bounded() -> None:
    z = torch.tensor([-1e9, -50.0, 50.0, 1e9]).requires_grad_()
    density = near_normal.log_tails(z, z) + near_normal.log_slope(z)
    (force,) = torch.autograd.grad(density.sum(), z)
    assert torch.allclose(force.abs(), torch.full_like(force, STEEPNESS))
    assert pytest.approx(A + 3 * B * END**2) == STEEPNESS
