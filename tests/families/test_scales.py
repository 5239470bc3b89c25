"""Where a scale comes from: limits, the optimal variance, and what is refused."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from jensen import families
from jensen.distributions.limits import LOG_SCALE_LIMITS, bounded_exp, soft_clamp
from jensen.families import (
    FixedScale,
    NetworkScale,
    NetworkVariance,
    OptimalScale,
    PerDimensionScale,
    SharedScale,
)

SCALES = [FixedScale, SharedScale, lambda sigma: PerDimensionScale(4, sigma)]


def test_soft_clamp_is_monotone_and_the_identity_inside() -> None:
    x = torch.linspace(-1e3, 1e3, 100_001).double()
    y = soft_clamp(x, -10, 12)
    assert (y.diff() >= 0).all()
    assert y.min() >= -10
    assert y.max() <= 12 + 1e-8
    inside = (x > -3) & (x < 5)
    torch.testing.assert_close(y[inside], x[inside], atol=2e-3, rtol=0)


@pytest.mark.parametrize("value", [-1e30, -1e8, 1e8, 1e30])
def test_soft_clamp_keeps_to_its_limits_in_single_precision(value: float) -> None:
    assert soft_clamp(torch.tensor(value), -10, 12).item() == pytest.approx(-10 if value < 0 else 12)
    assert bounded_exp(torch.tensor(value)).isfinite()


@pytest.mark.parametrize("make", SCALES)
def test_scales_start_where_they_are_told(make: type) -> None:
    normal = families.Normal([2, 2], make(0.3)).double()
    stddev = normal(torch.zeros(5, 3, 4).double()).stddev
    assert stddev.shape == (5, 3, 2, 2)
    torch.testing.assert_close(stddev, torch.full_like(stddev, 0.3), rtol=1e-3, atol=0)


@pytest.mark.parametrize("make", SCALES)
@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_impossible_scales_are_refused(make: type, sigma: float) -> None:
    with pytest.raises(ValueError, match="positive finite"):
        make(sigma)


@pytest.mark.parametrize("make", [NetworkScale, NetworkVariance, PerDimensionScale])
def test_a_number_of_dimensions_is_no_shape(make: type) -> None:
    with pytest.raises(ValueError, match=rf"num_dimensions of {make.__name__} is \[2\]; give a whole number"):
        make([2])


def test_a_scale_shows_its_size_or_its_sigma() -> None:
    shown = [NetworkVariance(3), PerDimensionScale(3), SharedScale(0.5), FixedScale(), OptimalScale()]
    assert [str(scale) for scale in shown] == [
        "NetworkVariance(num_dimensions=3)",
        "PerDimensionScale(num_dimensions=3)",
        "SharedScale(sigma=0.5)",
        "FixedScale(sigma=1)",
        "OptimalScale(sigma=1)",
    ]


def test_per_dimension_scales_belong_to_their_dimensions() -> None:
    scale = PerDimensionScale(4)
    scale.log_sigma.data = torch.tensor([0.0, 1.0, 2.0, 3.0])
    stddev = families.Normal([2, 2], scale)(torch.zeros(3, 4)).stddev
    torch.testing.assert_close(stddev[1].flatten().log(), scale.log_sigma.data, atol=2e-3, rtol=0)


def test_network_scales_follow_the_means_in_the_raw_outputs() -> None:
    raw = torch.arange(6.0).reshape(1, 6) / 10
    normal = families.Normal([3], NetworkScale(3))(raw)
    torch.testing.assert_close(normal.mean, raw[:, :3])
    torch.testing.assert_close(normal.stddev.log(), raw[:, 3:], atol=1e-3, rtol=0)
    normal = families.Normal([3], NetworkVariance(3))(raw)
    torch.testing.assert_close(normal.variance.log(), raw[:, 3:], atol=2e-3, rtol=0)


def optimal_normal(D: int = 3) -> tuple[families.Normal, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return families.Normal([D], OptimalScale()), torch.randn(5, 8, D), 2 * torch.randn(8, D)


def test_the_optimal_scale_maximises_the_likelihood_of_the_batch() -> None:
    normal, mean, x = optimal_normal()
    value = normal(mean).log_prob(x)
    assert value.shape == (5, 8)
    for sigma in torch.linspace(0.5, 5, 40):
        other = Independent(Normal(mean, sigma), 1).log_prob(x)
        assert value.mean() >= other.mean()
    best = (x - mean).square().mean().sqrt()
    torch.testing.assert_close(value, Independent(Normal(mean, best), 1).log_prob(x))


def test_the_gradient_at_the_optimal_scale_is_the_one_at_a_fixed_scale() -> None:
    # The envelope theorem: the best scale is stationary, so that its own movement does not count.
    normal, mean, x = optimal_normal()
    mean.requires_grad_()
    (ours,) = torch.autograd.grad(normal(mean).log_prob(x).mean(), mean)
    best = (x - mean).square().mean().sqrt().detach()
    (fixed,) = torch.autograd.grad(Independent(Normal(mean, best), 1).log_prob(x).mean(), mean)
    torch.testing.assert_close(ours, fixed)


def test_in_evaluation_the_optimal_scale_is_a_fixed_number() -> None:
    normal, mean, x = optimal_normal()
    for _ in range(300):
        normal(torch.zeros(1, 100, 3)).log_prob(2 * torch.randn(100, 3))
    normal.eval()
    before = normal(mean).log_prob(x)
    # sqrt of an average of 10 to 20 batches of 300 squares
    assert normal.scale.sigma.item() == pytest.approx(2, rel=0.05)
    torch.testing.assert_close(before, Independent(Normal(mean, normal.scale.sigma), 1).log_prob(x))
    normal(mean).log_prob(1000 * x)
    torch.testing.assert_close(normal(mean).log_prob(x), before)


def test_the_optimal_scale_remembers_steps_of_training_alone() -> None:
    normal, mean, x = optimal_normal()
    with torch.no_grad():
        best = normal(mean).log_prob(x)
    assert normal.scale.num_batches == 0
    torch.testing.assert_close(best, normal(mean).log_prob(x))
    assert normal.scale.num_batches == 1


def test_the_optimal_scale_of_laplace_is_the_mean_distance() -> None:
    laplace = families.Laplace([3], OptimalScale())
    _, mean, x = optimal_normal()
    laplace(mean).log_prob(x)
    assert laplace.scale.sigma.item() == pytest.approx((x - mean).abs().mean().item(), rel=1e-3)


@pytest.mark.parametrize("family", [families.Normal, families.Laplace])
def test_zero_residuals_are_finite_with_finite_gradients(family: type) -> None:
    module = family([3], OptimalScale())
    mean = torch.zeros(8, 3, requires_grad=True)
    value = module(mean).log_prob(torch.zeros(8, 3)).mean()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(mean.grad).all()
    assert value.item() < 3 * (-LOG_SCALE_LIMITS[0])
    assert torch.isfinite(module.scale.sigma)


@pytest.mark.parametrize(
    "make",
    [
        lambda scale: families.StudentT([2], scale),
        lambda scale: families.NegativeBinomial([2], scale),
        lambda scale: families.ZeroInflatedNegativeBinomial([2], scale),
        lambda scale: families.DiscretizedLogistic([2], scale, 0, 1, 0.1),
    ],
)
def test_the_optimal_scale_is_refused_where_it_has_no_formula(make: type) -> None:
    with pytest.raises(ValueError, match="use SharedScale"):
        make(OptimalScale())


def test_a_learned_scale_comes_back_from_its_limit() -> None:
    scale = SharedScale(math.exp(LOG_SCALE_LIMITS[0]))
    normal = families.Normal([2], scale)
    # The first gradients are 1e8 times the last: Adam with its usual memory of 1000 steps would crawl.
    optimizer = torch.optim.Adam(scale.parameters(), lr=0.1, betas=(0.9, 0.9))
    for _ in range(400):
        optimizer.zero_grad()
        (-normal(torch.zeros(64, 2)).log_prob(torch.randn(64, 2)).mean()).backward()
        optimizer.step()
    assert scale(torch.zeros(0)).item() == pytest.approx(1, abs=0.15)
