"""Estimators: their value is the bound, and what cannot be right is refused."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

import jensen.objectives as objectives
from jensen.objectives import (
    Bound,
    RunningMean,
    beta,
    cubo,
    doubly_reparameterized,
    elbo,
    elbo_monte_carlo,
    free_bits,
    iwae,
    pathwise,
    reconstruction,
    renyi,
    score_function,
    sticking_the_landing,
)
from jensen.objectives.baselines import advantage, find_baseline
from tests.objectives.exact_models import CHAINS, PROBLEMS, Point
from tests.objectives.rows import RowModel

AVERAGES = (elbo, elbo_monte_carlo, beta(0.5), reconstruction)
WEIGHTED = (iwae, renyi(0.5), cubo(2))
ESTIMATORS = {
    "pathwise": (pathwise, (*AVERAGES, *WEIGHTED, free_bits(0.5)), True),
    "score": (score_function, (*AVERAGES, *WEIGHTED, free_bits(0.5)), False),
    "leave-one-out": (partial(score_function, baseline="leave-one-out"), (*AVERAGES, *WEIGHTED), False),
    "running-mean": (partial(score_function, baseline=RunningMean()), (*AVERAGES, *WEIGHTED), False),
    "sticking-the-landing": (sticking_the_landing, AVERAGES, True),
    "doubly-reparameterized": (doubly_reparameterized, WEIGHTED, True),
    "two followed": (partial(doubly_reparameterized, backward_samples=2), WEIGHTED, True),
    "all followed": (partial(doubly_reparameterized, backward_samples=3), WEIGHTED, True),
}
CASES = [
    pytest.param(name, bound, problem, id=f"{name}-{bound.name}-{problem}")
    for name, (_, bounds, by_path) in ESTIMATORS.items()
    for bound in bounds
    for problem in PROBLEMS
    if not (by_path and problem == "categorical")
]


@pytest.mark.parametrize(("name", "bound", "problem"), CASES)
def test_the_value_is_the_bound(name, bound, problem):
    estimator, _, by_path = ESTIMATORS[name]
    model = RowModel(PROBLEMS[problem], 5)
    torch.manual_seed(0)
    value = estimator(bound, model, model.x, 3)
    torch.manual_seed(0)
    expected = bound(model.trace(model.x, 3, pathwise=by_path))
    assert value.shape == (5,)
    assert torch.equal(value, expected)
    assert value.requires_grad
    with torch.no_grad():
        assert not estimator(bound, model, model.x, 3).requires_grad


def test_a_frozen_encoder_needs_no_gradient():
    for estimator, bound in [(doubly_reparameterized, iwae), (sticking_the_landing, elbo), (pathwise, elbo)]:
        model = RowModel(PROBLEMS["diagonal"], 3)
        for name in ("loc", "log_scale"):
            model.parameters[name].requires_grad_(False)
        estimator(bound, model, model.x, 4).sum().backward()
        assert model.parameters["W"].grad.abs().sum() > 0


def test_running_mean_is_of_the_past_and_is_saved():
    baseline = RunningMean(decay=0.5)
    ones = torch.ones(2, 3)
    assert baseline(4 * ones).eq(0).all()
    assert baseline(1 * ones).eq(4).all()
    assert baseline(0 * ones).eq((0.5 * 4 + 1) / 1.5).all()
    other = RunningMean(decay=0.5)
    other.load_state_dict(baseline.state_dict())
    assert torch.equal(other(ones), baseline(ones))
    with pytest.raises(ValueError, match="decay is 1; it must be at least 0 and below 1"):
        RunningMean(decay=1)


def point_model() -> RowModel:
    problem = PROBLEMS["diagonal"]
    return RowModel(
        type(problem)(
            problem.start, (lambda p, z: Point(p["loc"]),), problem.prior, problem.likelihood, problem.x
        ),
        4,
    )


def test_a_point_mass_can_reconstruct_and_nothing_else():
    model = point_model()
    pathwise(reconstruction, model, model.x, 1).sum().backward()
    assert model.parameters["loc"].grad.abs().sum() > 0
    for estimator, bound in [(pathwise, elbo), (pathwise, iwae), (doubly_reparameterized, iwae)]:
        with pytest.raises(
            ValueError, match=f"{bound.name} needs the density .* Point has none; use the bound"
        ):
            estimator(bound, model, model.x, 1)
    with pytest.raises(ValueError, match=r"score-function estimator needs the density .* Point has none"):
        score_function(reconstruction, model, model.x, 1)


@pytest.mark.parametrize("estimator", [pathwise, sticking_the_landing, doubly_reparameterized])
def test_no_path_without_rsample(estimator):
    model = RowModel(PROBLEMS["categorical"], 4)
    bound = iwae if estimator is doubly_reparameterized else elbo
    with pytest.raises(
        ValueError, match=r"posterior \(OneHotCategorical\) has none; use the score_function estimator"
    ):
        estimator(bound, model, model.x, 2)


@pytest.mark.parametrize("bound", [iwae, renyi(0.5), free_bits(1.0)], ids=lambda b: b.name)
def test_sticking_the_landing_is_for_averages(bound):
    model = RowModel(PROBLEMS["diagonal"], 4)
    with pytest.raises(
        ValueError, match=f"given {bound.name}; .* PowerMean.0., .* use doubly_reparameterized for iwae"
    ):
        sticking_the_landing(bound, model, model.x, 2)


def test_sticking_the_landing_is_not_for_integrands_bent_in_the_kl():
    """The left-out score does not have mean zero there: measured, a gradient wrong in sign."""
    model = RowModel(PROBLEMS["diagonal"], 4)
    capacity = Bound("cap", lambda t: t.log_px - 4 * (t.kl.sum(-1) - 1.0).abs(), objectives.mean)
    with pytest.raises(ValueError, match=r"given cap; .* linear in the KL; .* pathwise for others, or"):
        sticking_the_landing(capacity, model, model.x, 2)


def test_a_reduction_over_the_data_too_is_refused():
    """``v.mean()`` was broadcast to the batch, and the sum over data was wrong by the batch's size."""
    model = RowModel(PROBLEMS["diagonal"], 4)
    for reduction in (lambda v: v.mean(), lambda v: v.mean(1), lambda v: v.mean(0, keepdim=True)):
        bound = Bound("mine", lambda t: t.log_px, reduction)
        for value in (pathwise, score_function, lambda bound, *how: bound(model.trace(*how[1:]))):
            with pytest.raises(ValueError, match=r"reduction makes .* must be \(4,\): .* v.mean\(0\)"):
                value(bound, model, model.x, 3)


CUSTOM = Bound("custom", lambda t: t.log_px, objectives.PowerMean(1))


@pytest.mark.parametrize(
    "bound", [elbo, elbo_monte_carlo, renyi(1), reconstruction, beta(2.0), CUSTOM], ids=lambda b: b.name
)
def test_double_reparameterization_is_for_weighted_bounds(bound):
    model = RowModel(PROBLEMS["diagonal"], 4)
    with pytest.raises(ValueError, match=f"given {bound.name}; .* alpha = 1 .* use sticking_the_landing"):
        doubly_reparameterized(bound, model, model.x, 2)


def test_double_reparameterization_is_not_for_hierarchies():
    model = RowModel(CHAINS["normal-normal"], 4)
    with pytest.raises(
        ValueError, match=r"the posterior of one latent group depends on another .* use pathwise"
    ):
        doubly_reparameterized(iwae, model, model.x, 2)


def test_leave_one_out_needs_two():
    model = RowModel(PROBLEMS["diagonal"], 4)
    with pytest.raises(ValueError, match="with 1 latent sample, and needs 2 or more"):
        score_function(elbo, model, model.x, 1, baseline="leave-one-out")


def test_free_bits_with_a_sampled_kl_has_no_score_function():
    problem = PROBLEMS["categorical"]
    mixed = type(problem)(
        problem.start | {"loc": torch.zeros(3).double()},
        (lambda p, z: Point(p["loc"]),),
        problem.prior,
        problem.likelihood,
        problem.x,
    )
    model = RowModel(mixed, 4)
    with pytest.raises(ValueError, match="free-bits couples its samples where the KL has no closed form"):
        score_function(free_bits(1.0), model, model.x, 2)


class Linear(nn.Module):
    """x -> N(A x, 1), to try the estimators with `jensen.models.VAE`."""

    def __init__(self, inputs: int, outputs: int, event_dim: int = 1) -> None:
        super().__init__()
        self.layer, self.event_dim = nn.Linear(inputs, outputs), event_dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        mean = self.layer(x)
        normal = torch.distributions.Normal(mean, torch.ones_like(mean))
        return torch.distributions.Independent(normal, self.event_dim)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_trains_a_vae(name):
    from jensen.models import VAE
    from jensen.priors import StandardNormal

    estimator, (bound, *_), _ = ESTIMATORS[name]
    torch.manual_seed(0)
    model = VAE(StandardNormal(2), Linear(3, 2), Linear(2, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x = torch.randn(64, 1) * torch.tensor([2.0, -1.0, 1.0]) + torch.randn(64, 3)
    history = []
    for _ in range(150):
        value = estimator(bound, model, x, 8).mean()
        optimizer.zero_grad()
        (-value).backward()
        optimizer.step()
        history.append(value.item())
    assert sum(history[-20:]) / 20 > sum(history[:5]) / 5 + 0.5


def test_which_groups_of_a_vae_are_pathwise():
    from jensen.models import VAE
    from jensen.priors import StandardNormal

    model = VAE(StandardNormal(2), Linear(3, 2), Linear(2, 3))
    x = torch.randn(4, 3)
    assert model.trace(x, 2, pathwise=[True]).pathwise == (True,)
    assert model.trace(x, 2, pathwise=[False]).pathwise == (False,)
    assert not model.trace(x, 2, pathwise=False).z[0].requires_grad
    with pytest.raises(ValueError, match="pathwise has 2 entries, and a VAE one latent group"):
        model.trace(x, 2, pathwise=(True, False))


def test_the_score_of_a_posterior_that_remembers_its_draws():
    from jensen.models import VAE
    from jensen.priors import StandardNormal

    mu = torch.zeros(4, 2, requires_grad=True)
    base = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4, 2), 1.0), 1)
    move = torch.distributions.AffineTransform(mu, 2.0, event_dim=1, cache_size=1)
    model = VAE(StandardNormal(2), Linear(3, 2), Linear(2, 3))
    posterior = (torch.distributions.TransformedDistribution(base, move),)
    trace = model.trace(torch.zeros(4, 3), 5, pathwise=False, posterior=posterior)
    (score,) = torch.autograd.grad(trace.log_qz.sum(), mu)
    torch.testing.assert_close(score, trace.z[0].sum(0) / 4)


@pytest.mark.parametrize("baseline", ["none", "leave-one-out"])
@pytest.mark.parametrize("order", [0, 0.5, 1, 2])
def test_the_credit_of_many_samples_keeps_its_digits(order, baseline):
    torch.manual_seed(0)
    values = torch.randn(300, 4) * 3 - 900
    find, reduction = find_baseline(baseline), objectives.PowerMean(order)
    single, double = (advantage(v, find, reduction).double() for v in (values, values.double()))
    torch.testing.assert_close(single, double, atol=2e-3 / 300, rtol=1e-6)


def test_the_credit_of_an_average_takes_no_square_of_the_samples():
    values = torch.zeros(200_000, 1)  # whose square would be 160 GB
    assert advantage(values, find_baseline("leave-one-out"), objectives.PowerMean(0)).eq(0).all()


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("part", ["prior", "posterior", "likelihood"])
def test_a_distribution_of_single_numbers_is_refused(part, size):
    from jensen.models import VAE
    from jensen.priors import StandardNormal

    dims = {name: 0 if name == part else 1 for name in ("prior", "posterior", "likelihood")}
    prior = StandardNormal(size)
    if part == "prior":
        prior.forward = lambda: torch.distributions.Normal(torch.zeros(size), 1.0)
    model = VAE(prior, Linear(size, size, dims["posterior"]), Linear(size, size, dims["likelihood"]))
    with pytest.raises(ValueError, match=rf"the {part}, .* event shape \({size},\): wrap it in .*\(d, 1\)"):
        pathwise(elbo, model, torch.zeros(4, size), 4)


def test_an_own_bound_made_of_these_parts_is_accepted():
    model = RowModel(PROBLEMS["diagonal"], 4)
    average = Bound("mine", lambda t: t.log_w, objectives.mean, linear=True)
    sticking_the_landing(average, model, model.x, 2).sum().backward()
    weighted = Bound("mine", objectives.log_weight, objectives.PowerMean(0.7))
    doubly_reparameterized(weighted, model, model.x, 2).sum().backward()


def test_an_own_estimator_is_made_of_what_objectives_exports():
    """A score-function estimator of IWAE in three lines, and the path derivative's density."""
    model = RowModel(PROBLEMS["diagonal"], 4)
    torch.manual_seed(0)
    trace = model.trace(model.x, 3, pathwise=False)
    baseline: objectives.Baseline = objectives.leave_one_out
    log_q = trace.log_qz.sum(-1)
    mine = objectives.score_surrogate(trace.log_w, log_q, objectives.log_mean_exp, baseline)
    torch.manual_seed(0)
    theirs = score_function(iwae, model, model.x, 3, baseline="leave-one-out")
    torch.testing.assert_close(mine, theirs)
    q = trace.posterior[0]
    torch.testing.assert_close(objectives.PathDensity(q).log_prob(trace.z[0]), q.log_prob(trace.z[0]))


def test_an_integrand_of_another_shape_is_refused():
    model = RowModel(PROBLEMS["diagonal"], 4)
    for integrand in (lambda t: t.log_qz, lambda t: t.log_px.mean(0)):
        bound = Bound("mine", integrand, objectives.PowerMean(0))
        with pytest.raises(
            ValueError, match=r"integrand of mine has shape .* it must be \(3, 4\): one number"
        ):
            pathwise(bound, model, model.x, 3)


@pytest.mark.parametrize(
    "estimator", [pathwise, score_function, sticking_the_landing, doubly_reparameterized]
)
def test_a_name_and_a_function_are_no_bounds(estimator):
    model = RowModel(PROBLEMS["diagonal"], 4)
    for bound, given in (("iwae", "'iwae'"), (lambda t: t.log_px.mean(0), "a function")):
        with pytest.raises(
            ValueError, match=rf"the bound is {given}; give a Bound, such as jensen.obj.*Bound\("
        ):
            estimator(bound, model, model.x, 2)


def test_a_distribution_is_no_prior():
    from jensen.models import VAE

    standard = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 1.0), 1)
    with pytest.raises(
        ValueError, match=r"a distribution, Independent, and must be a module whose forward\(\)"
    ):
        VAE(standard, Linear(3, 2), Linear(2, 3))
