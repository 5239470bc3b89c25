"""Decoder families: shapes of events, grids of scaled images, and what is refused."""

import math

import pytest
import torch
from torch import nn

from jensen import families
from jensen.families import NetworkScale, PerDimensionScale
from jensen.networks import mlp

SHAPE = (2, 3)
MAKERS = [
    lambda: families.Laplace(SHAPE, NetworkScale(6)),
    lambda: families.StudentT(SHAPE, PerDimensionScale(6)),
    lambda: families.ContinuousBernoulli(SHAPE),
    lambda: families.Categorical(SHAPE, 4),
    lambda: families.DiscretizedLogistic(SHAPE, NetworkScale(6), 0.0, 1.0, 0.25),
    lambda: families.MixtureOfDiscretizedLogistics(SHAPE, 5, 0.0, 1.0, 0.25),
    lambda: families.Poisson(SHAPE),
    lambda: families.NegativeBinomial(SHAPE, PerDimensionScale(6)),
    lambda: families.ZeroInflatedNegativeBinomial(SHAPE, NetworkScale(6)),
]


@pytest.mark.parametrize("make", MAKERS)
def test_images_keep_their_shape_and_elements_their_own_numbers(make: type) -> None:
    family: nn.Module = make()
    raw = torch.randn(4, 5, family.num_outputs)
    p = family(raw)
    x = p.sample((2,))
    assert x.shape == (2, 4, 5, *SHAPE)
    assert p.log_prob(x).shape == (2, 4, 5)
    # An element's raw outputs are its own: where they lie, see jensen.families.
    size, each = math.prod(SHAPE), family.num_outputs // math.prod(SHAPE)
    for element in (0, 4):
        other = raw.clone()
        if getattr(family, "interleaved", False):
            other[..., element * each : (element + 1) * each] -= torch.arange(each) + 0.5
        else:
            other[..., element::size] -= 0.5
        moved = family(other).base_dist.log_prob(x) != p.base_dist.log_prob(x)
        assert moved.flatten(-2).flatten(0, -2).any(0).tolist() == [i == element for i in range(size)]


def test_masses_of_scaled_images_are_those_of_the_images_themselves() -> None:
    shift, scale = 33.0, 78.5
    scaled = families.DiscretizedLogistic(
        [6], NetworkScale(6), -shift / scale, (255 - shift) / scale, 1 / scale
    )
    plain = families.DiscretizedLogistic([6], NetworkScale(6), 0.0, 255.0, 1.0)
    x = torch.tensor([0.0, 1.0, 17.0, 128.0, 254.0, 255.0])
    raw = torch.randn(12).double()
    moved = torch.cat([raw[:6] * scale + shift, raw[6:] + torch.tensor(scale).log()])
    masses = plain.double()(moved).base_dist.log_prob(x)
    torch.testing.assert_close(
        scaled.double()(raw).base_dist.log_prob((x - shift) / scale), masses, atol=2e-3, rtol=1e-3
    )


def test_a_grid_may_differ_between_dimensions() -> None:
    low, step = torch.tensor([0.0, -2.0]), torch.tensor([1.0, 0.5])
    for family in (
        families.DiscretizedLogistic([2], NetworkScale(2), low, low + 3 * step, step),
        families.MixtureOfDiscretizedLogistics([2], 3, low, low + 3 * step, step),
    ):
        levels = [low[d] + step[d] * torch.arange(4) for d in range(2)]
        p = family(torch.randn(family.num_outputs))
        assert p.log_prob(torch.cartesian_prod(*levels)).exp().sum().item() == pytest.approx(1, abs=1e-5)
        draws = p.sample((100,))
        assert all(torch.isin(draws[:, d], levels[d]).all() for d in range(2))


@pytest.mark.parametrize("grid", [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.1)])
def test_impossible_grids_are_refused(grid: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="low < high"):
        families.MixtureOfDiscretizedLogistics([2], 3, *grid)


def test_a_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        families.Categorical([2], 1)


def test_the_degrees_of_freedom_are_learned_within_their_limits() -> None:
    family = families.StudentT([1], families.FixedScale(1.0))
    assert family.degrees_of_freedom.item() == pytest.approx(10, rel=0.15)
    for value, end in ((-1e4, 2.1), (1e4, 100.0)):
        family.log_excess.data.fill_(value)
        assert family.degrees_of_freedom.item() == pytest.approx(end, rel=2e-3)


def test_heavy_tails_are_learned() -> None:
    torch.manual_seed(0)
    family = families.StudentT([1], families.SharedScale())
    x = torch.distributions.StudentT(3.0).sample((2000, 1))
    optimizer = torch.optim.Adam(family.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-family(torch.zeros(2000, 1)).log_prob(x).mean()).backward()
        optimizer.step()
    assert 2.4 < family.degrees_of_freedom.item() < 4


@pytest.mark.parametrize("outputs", [1, 3, 4])
def test_a_network_with_another_number_of_outputs_is_refused(outputs: int) -> None:
    family = families.Normal([2], families.FixedScale(1.0))
    module = families.Conditional(nn.Linear(5, outputs), family)
    with pytest.raises(ValueError, match=f"gives {outputs} numbers for each datum, and Normal takes 2; give"):
        module(torch.zeros(3, 5))


def test_an_unknown_activation_is_refused_by_name():
    with pytest.raises(ValueError, match=r"activation is 'swish'; give one of tanh, .*silu"):
        mlp(3, [4], 2, "swish")


@pytest.mark.parametrize(
    "make",
    [
        lambda scale: families.Normal([5], scale),
        lambda scale: families.NegativeBinomial([5], scale),
        lambda scale: families.DiscretizedLogistic([5], scale, 0.0, 1.0, 0.25),
    ],
)
@pytest.mark.parametrize("scale", [1.0, families.FixedScale, torch.ones(5)])
def test_a_scale_is_an_object_of_its_kind(make, scale):
    with pytest.raises(ValueError, match=r"the scale of \w+ is .*; give an object .*: SharedScale\(\) for"):
        make(scale)


@pytest.mark.parametrize(
    "make",
    [
        lambda: families.Normal(5, families.SharedScale()),
        lambda: families.Bernoulli(5),
        lambda: families.Poisson(5),
        lambda: families.Categorical(5, 3),
        lambda: families.MixtureOfDiscretizedLogistics(5, 3, 0.0, 1.0, 0.25),
    ],
)
def test_an_event_shape_is_no_number(make):
    with pytest.raises(ValueError, match=r"the event shape of \w+ is 5; give a sequence: \[5\] for vectors"):
        make()


@pytest.mark.parametrize(
    "family", [torch.distributions.Normal, families.Normal, torch.distributions.Normal(0.0, 1.0)]
)
def test_a_class_or_a_distribution_is_no_family(family):
    with pytest.raises(ValueError, match=r"family is .*; give a family, .* such as jensen.families.Normal\("):
        families.Conditional(nn.Linear(2, 4), family)
