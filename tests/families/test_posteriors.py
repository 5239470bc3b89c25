"""Encoder families: covariance, conditioning, flows, and what is refused."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.distributions import Distribution

from jensen import families
from jensen.families import Conditional
from jensen.families.full_normal import JITTER
from jensen.models import VAE
from jensen.objectives import elbo, reconstruction
from jensen.priors import Categorical as CategoricalPrior
from jensen.priors import RelaxedCategorical, StandardNormal

EXTREMES = (1e6, -1e6, 30.0, 0.0)


@pytest.mark.parametrize("M", [1, 2, 7, 40])
@pytest.mark.parametrize("make", [families.FullNormal, lambda M: families.LowRankNormal(M, min(M, 3))])
def test_correlated_normals_have_the_standard_deviations_of_the_network(
    make: Callable[[int], nn.Module], M: int
) -> None:
    torch.manual_seed(0)
    family = make(M)
    raw = torch.randn(3, family.num_outputs)
    torch.testing.assert_close(family(raw).stddev.log(), raw[:, M : 2 * M], atol=2e-3, rtol=0)


@pytest.mark.parametrize("M", [1, 2, 7, 40])
def test_a_full_covariance_takes_no_more_numbers_than_it_has(M: int) -> None:
    assert families.FullNormal(M).num_outputs == M + M * (M + 1) // 2


@pytest.mark.parametrize("M", [2, 7, 40])
def test_a_full_covariance_keeps_its_condition_bound(M: int) -> None:
    family = families.FullNormal(M).double()
    signs = torch.sign(torch.randn(20, family.num_outputs, generator=torch.Generator().manual_seed(0)))
    for scale in EXTREMES:
        raw = scale * signs.double()
        raw[:, M : 2 * M] = 0  # equal standard deviations: what remains is the correlation matrix
        eigenvalues = torch.linalg.eigvalsh(family(raw).covariance_matrix)
        assert eigenvalues.min() >= JITTER / (1 + JITTER) * 0.99
        assert (eigenvalues[:, -1] / eigenvalues[:, 0]).max() <= M * (1 + JITTER) / JITTER


def test_a_full_covariance_reaches_strong_correlations() -> None:
    raw = torch.tensor([0.0, 0.0, 0.0, 0.0, 300.0])
    covariance = families.FullNormal(2)(raw).covariance_matrix
    assert covariance[0, 1].item() > 0.999


@pytest.mark.parametrize("dim", [5, 64])
def test_correlated_normals_are_finite_in_single_precision(dim: int) -> None:
    for family in (families.FullNormal(dim), families.LowRankNormal(dim, 3)):
        generator = torch.Generator().manual_seed(0)
        for scale in EXTREMES:
            raw = scale * torch.sign(torch.randn(8, family.num_outputs, generator=generator))
            raw.requires_grad_()
            q = family(raw)
            z = q.rsample((4,))
            value = q.log_prob(z.detach()).sum() + q.log_prob(torch.zeros(dim)).sum()
            (gradient,) = torch.autograd.grad(value, raw)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    "make",
    [families.FullNormal, lambda dim: families.LowRankNormal(dim, 1), families.PointMass, StandardNormal],
)
def test_a_number_of_latents_is_no_shape(make: type) -> None:
    with pytest.raises(ValueError, match=r"the dim of \w+ is \[2\]; give a whole number of 1 or more"):
        make([2])


def test_the_prior_shows_its_size() -> None:
    assert str(StandardNormal(2)) == "StandardNormal(dim=2)"


@pytest.mark.parametrize("rank", [0, 4])
def test_impossible_ranks_are_refused(rank: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the 3"):
        families.LowRankNormal(3, rank)


def test_a_fresh_flow_is_the_diagonal_normal() -> None:
    family = families.FlowNormal(3)
    raw = torch.randn(4, family.num_outputs)
    z = torch.randn(6, 4, 3)
    diagonal = families.Normal([3], families.NetworkScale(3))(raw[:, :6])
    torch.testing.assert_close(family(raw).log_prob(z), diagonal.log_prob(z), atol=1e-4, rtol=1e-4)


def test_the_flow_gives_its_own_draws_their_density() -> None:
    # log q(z) at a draw equals log N(eps) - log |det dz/deps|, with the Jacobian by autograd.
    torch.manual_seed(0)
    family = families.FlowNormal(2, 3, 2, [8]).double()
    for p in family.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    raw = torch.randn(family.num_outputs).double()
    q = family(raw)
    eps = torch.randn(2).double()

    def push(e: torch.Tensor) -> torch.Tensor:
        return q.loc + q.scale * q.transform(e)

    jacobian = torch.autograd.functional.jacobian(push, eps)
    expected = -0.5 * (eps.square().sum() + 2 * math.log(2 * math.pi)) - jacobian.det().abs().log()
    torch.testing.assert_close(q.log_prob(push(eps)), expected)


def test_the_flow_leaves_torch_distributions_as_they_were() -> None:
    before = Distribution._validate_args, Distribution.__dict__["arg_constraints"]
    families.FlowNormal(2)
    assert (Distribution._validate_args, Distribution.__dict__["arg_constraints"]) == before
    assert isinstance(before[1], property)
    with pytest.raises(ValueError, match="parameter"):
        torch.distributions.Normal(0.0, -1.0)


def vae(encoder_family: nn.Module, prior: nn.Module) -> VAE:
    size = math.prod(encoder_family.event_shape)
    encoder = Conditional(nn.Linear(4, encoder_family.num_outputs), encoder_family)
    decoder_family = families.Normal([4], families.SharedScale())
    return VAE(prior, encoder, Conditional(nn.Linear(size, decoder_family.num_outputs), decoder_family))


@pytest.mark.parametrize(
    ("family", "prior", "exact", "pathwise"),
    [
        (families.FullNormal(3), StandardNormal(3), True, True),
        (families.LowRankNormal(3, 1), StandardNormal(3), True, True),
        (families.FlowNormal(3), StandardNormal(3), False, True),
        (families.OneHotCategorical(2, 3), CategoricalPrior(2, 3), True, False),
        (families.StraightThrough(2, 3), CategoricalPrior(2, 3), True, True),
        (families.GumbelSoftmax(2, 3), RelaxedCategorical(2, 3), False, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_posteriors_in_a_model(family: nn.Module, prior: nn.Module, exact: bool, pathwise: bool) -> None:
    torch.manual_seed(0)
    model = vae(family, prior)
    trace = model.trace(torch.randn(5, 4), 3)
    assert trace.kl_is_exact == (exact,)
    assert trace.pathwise == (pathwise,)
    value = elbo(trace)
    assert value.shape == (5,)
    value.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.isfinite(trace.log_w).all()
    assert model.sample(6).shape == (6, 4)


def test_a_point_posterior_trains_by_reconstruction_only() -> None:
    model = vae(families.PointMass(2), StandardNormal(2))
    trace = model.trace(torch.randn(5, 4))
    assert reconstruction(trace).shape == (5,)
    with pytest.raises(NotImplementedError, match="reconstruction bound"):
        elbo(trace)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
@pytest.mark.parametrize("family", [families.GumbelSoftmax, families.StraightThrough])
def test_impossible_temperatures_are_refused(family: type, temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        family(2, 3, temperature)


def test_a_straight_through_draw_is_hard_in_value_and_soft_in_gradient() -> None:
    family = families.StraightThrough(2, 3)
    raw = torch.randn(4, 6, requires_grad=True)
    z = family(raw).rsample((5,))
    assert set(z.detach().unique().tolist()) == {0.0, 1.0}
    (gradient,) = torch.autograd.grad(z[..., 0].sum(), raw)
    assert (gradient[:, :3] != 0).all()
    assert (gradient[:, 3:] == 0).all()


def test_the_density_of_a_draw_is_the_same_remembered_or_found_anew() -> None:
    """Value, and gradient by the raw numbers and the flow's weights, of log q at a pathwise draw."""
    torch.manual_seed(0)
    family = families.FlowNormal(3, 4, 2, [8]).double()
    for parameter in family.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    raw = torch.randn(5, family.num_outputs, dtype=torch.float64, requires_grad=True)
    found = []
    for forget in (False, True):
        torch.manual_seed(1)
        q = family(raw)
        z = q.rsample((7,))
        if forget:
            q._drawn = None
        value = q.log_prob(z)
        found.append((value, *torch.autograd.grad(value.sum(), [raw, *family.parameters()])))
    for remembered, anew in zip(*found, strict=True):
        torch.testing.assert_close(remembered, anew, rtol=1e-8, atol=1e-8)


def test_a_draw_without_gradient_still_has_a_density_with_one() -> None:
    torch.manual_seed(0)
    family = families.FlowNormal(3, 4, 2, [8])
    raw = torch.randn(5, family.num_outputs, requires_grad=True)
    q = family(raw)
    z = q.sample((2,))
    assert torch.autograd.grad(q.log_prob(z).sum(), raw)[0].abs().sum() > 0
