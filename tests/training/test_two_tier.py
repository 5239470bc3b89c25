"""The inner maximisation and Compute_LL against exact answers."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, kl_divergence
from torch.distributions import Normal as TorchNormal
from torch.distributions import OneHotCategorical as TorchOneHotCategorical

from jensen.data.seeds import seeded
from jensen.families import (
    Bernoulli,
    Conditional,
    FixedScale,
    FullNormal,
    NetworkScale,
    NetworkVariance,
    Normal,
    OneHotCategorical,
    OptimalScale,
    PointMass,
    SharedScale,
)
from jensen.models import VAE
from jensen.models.local import Neutral, semi_amortized, two_tier
from jensen.networks import mlp
from jensen.objectives import (
    Bound,
    doubly_reparameterized,
    elbo_monte_carlo,
    iwae,
    pathwise,
    sticking_the_landing,
)
from jensen.priors import StandardNormal
from jensen.trace import Trace
from jensen.training.ascent import CUT, AdamSteps
from jensen.training.inner import _Search
from jensen.training.loop import TrainingData, train
from jensen.training.plan import Plan
from jensen.training.start import matching
from jensen.training.state import TrainingState
from jensen.training.two_tier import (
    compute_log_likelihood,
    inner_loop,
    refine,
    semi_amortized_estimator,
)
from tests.oracles.linear_gaussian import LinearGaussian, random_model

D, M, B = 6, 3, 20
CLOSE = 1e-3
"""Nats, for every datum."""


def diagonal(dim: int = M) -> Normal:
    return Normal([dim], NetworkScale(dim))


def gap(truth: LinearGaussian, x: Tensor, q: Distribution) -> Tensor:
    """log p(x) - ELBO = KL(q(z | x) || p(z | x)) in closed form, [B]."""
    if isinstance(q, Independent):
        q = MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.stddev))
    return kl_divergence(q, truth.posterior(x))


@pytest.fixture
def truth() -> LinearGaussian:
    return random_model(D, M)


@pytest.fixture
def uncorrelated() -> LinearGaussian:
    """A model whose exact posterior is diagonal: the columns of W are orthogonal."""
    model = random_model(D, M)
    basis = torch.linalg.qr(model.weight).Q
    return LinearGaussian(basis * torch.tensor([0.5, 1.0, 2.0]).double(), model.bias, model.sigma)


def draw(truth: LinearGaussian, n: int = B) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        z = torch.randn(n, truth.weight.shape[1], dtype=torch.float64)
        return z @ truth.weight.T + truth.bias + truth.sigma * torch.randn(n, len(truth.bias)).double()


def untrained(truth: LinearGaussian, family: nn.Module) -> VAE:
    """The true generator with an encoder of random weights."""
    torch.manual_seed(0)
    encoder = Conditional(mlp(D, [8], int(family.num_outputs)), family)
    return truth.vae(encoder).double()


def exactly_amortized(truth: LinearGaussian) -> VAE:
    model = truth.vae(Conditional(mlp(D, [], 2 * M), diagonal())).double()
    S = truth.posterior_scale()
    weight = S @ truth.weight.T / truth.sigma**2
    with torch.no_grad():
        affine = model.encoder.network[1]
        affine.weight.copy_(torch.cat([weight, torch.zeros(M, D)]))
        affine.bias.copy_(torch.cat([-weight @ truth.bias, S.diagonal().sqrt().log()]))
    return model


@pytest.fixture
def nonlinear() -> VAE:
    torch.manual_seed(2)
    encoder = Conditional(mlp(D, [16], 2 * M), diagonal())
    model = VAE(StandardNormal(M), encoder, Conditional(mlp(M, [16], D), Bernoulli([D])))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return model


@pytest.fixture
def bits() -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return torch.bernoulli(torch.full((B, D), 0.5))


def test_full_covariance_reaches_log_px_for_every_datum(truth: LinearGaussian) -> None:
    x = draw(truth)
    refined = refine(untrained(truth, FullNormal(M)), x, 300)
    assert gap(truth, x, refined.posterior[0]).max() < CLOSE
    torch.testing.assert_close(refined.bound, truth.log_px(x), atol=0.01, rtol=0)


def test_diagonal_reaches_log_px_where_the_posterior_is_diagonal(uncorrelated: LinearGaussian) -> None:
    x = draw(uncorrelated)
    refined = refine(untrained(uncorrelated, diagonal()), x, 300)
    assert gap(uncorrelated, x, refined.posterior[0]).max() < CLOSE


def test_diagonal_reaches_the_mean_field_optimum_of_a_correlated_posterior(truth: LinearGaussian) -> None:
    # min over diagonal q of KL(q || N(m, P^-1)): mean m, variances 1 / P_ii, and
    # KL = (sum_i log P_ii - log det P) / 2 (Bishop 2006, section 10.1.2).
    x = draw(truth)
    precision = torch.linalg.inv(truth.posterior_scale())
    least = 0.5 * (precision.diagonal().log().sum() - precision.logdet())
    (q,) = refine(untrained(truth, diagonal()), x, 400, num_samples=32).posterior
    excess = gap(truth, x, q) - least
    assert least > 0.05
    assert excess.min() > -1e-9
    assert excess.max() < 5 * CLOSE
    assert excess.mean() < CLOSE
    torch.testing.assert_close(q.variance.mean(0), 1 / precision.diagonal(), atol=0, rtol=0.02)


def of_columns(size: int, num_latents: int, spread: float, sigma: float) -> LinearGaussian:
    """W with entries of one spread, so that more latents, or a smaller sigma, give a sharper posterior."""
    truth = random_model(size, num_latents, sigma)
    return LinearGaussian(truth.weight * num_latents**0.5 * spread, truth.bias, sigma)


HARD = pytest.mark.parametrize(
    "given", [(4, 8, 1.0, 1.0), (30, 20, 0.5, 0.5), (5, 2, 1.0, 0.05)], ids=["M > D", "M = 20", "sharp"]
)
"""(D, M, spread, sigma)."""


@HARD
def test_the_default_steps_reach_the_exact_posterior(given: Any) -> None:
    truth = of_columns(*given)
    x, M = draw(truth), given[1]
    model = truth.vae(Neutral(FullNormal(M))).double()
    assert gap(truth, x, refine(model, x).posterior[0]).max() < CLOSE


@HARD
def test_the_default_steps_reach_the_mean_field_optimum(given: Any) -> None:
    truth = of_columns(*given)
    x, M = draw(truth), given[1]
    precision = torch.linalg.inv(truth.posterior_scale())
    least = 0.5 * (precision.diagonal().log().sum() - precision.logdet())
    model = truth.vae(Neutral(diagonal(M))).double()
    excess = gap(truth, x, refine(model, x).posterior[0]) - least
    assert excess.min() > -1e-9
    assert excess.max() < CLOSE


@pytest.mark.parametrize("steps", [1, 20, 200])
@pytest.mark.parametrize("near", [0.0, 0.05])
def test_no_exact_bound_is_lowered(truth: LinearGaussian, steps: int, near: float) -> None:
    """By the closed form, not by the draws that the search compares: from the best diagonal q, or near it."""
    x = draw(truth, 100)
    best = truth.posterior(x).mean, torch.linalg.inv(truth.posterior_scale()).diagonal().rsqrt()
    family = diagonal().double()
    start = family.inverse(Independent(TorchNormal(best[0], best[1].expand(100, M)), 1))
    with seeded(0):
        start = start + near * torch.randn_like(start)
    refined = refine(untrained(truth, diagonal()), x, steps, family=family, start=start)
    lowered = gap(truth, x, refined.posterior[0]) - gap(truth, x, refined.start[0])
    assert lowered.max() < (CLOSE if steps > 1 else 0.1)  # one step from four draws is mostly noise
    assert lowered.mean() < (CLOSE / 100 if steps > 1 else 5 * CLOSE)


@pytest.mark.parametrize("off", [0.1, 0.2])
def test_a_small_gain_is_kept(truth: LinearGaussian, off: float) -> None:
    """Gains of 0.015 and 0.06 nats, by the closed form: the draws alone measure many of them as losses."""
    x, family = draw(truth, 100), FullNormal(M).double()
    best = truth.posterior(x)
    start = family.inverse(MultivariateNormal(best.mean + off * best.stddev, scale_tril=best.scale_tril))
    refined = refine(untrained(truth, FullNormal(M)), x, family=family, start=start)
    assert gap(truth, x, refined.start[0]).mean() > off**2 / 2
    assert gap(truth, x, refined.posterior[0]).mean() < CLOSE


def test_steps_that_end_too_early_are_told(truth: LinearGaussian) -> None:
    x, model = draw(truth), untrained(truth, FullNormal(M))
    short, long = (compute_log_likelihood(model, [x], steps) for steps in (3, 300))
    assert short.rising.float().mean() > 0.5
    assert not long.rising.any()
    assert not refine(model, x, 0).rising.any()


@pytest.mark.parametrize("family", [FullNormal(M), diagonal(), Normal([M], NetworkVariance(M))])
def test_raw_outputs_follow_from_the_posterior(family: Any) -> None:
    with seeded(0):
        raw = 2 * torch.randn(7, family.num_outputs)
    torch.testing.assert_close(family.inverse(family(raw)), raw, atol=2e-3, rtol=0)
    far = family(30 * raw)  # at the limits
    torch.testing.assert_close(family(family.inverse(far)).mean, far.mean)
    assert torch.isfinite(family.inverse(far)).all()


def test_a_scale_that_is_given_is_refined_by_adam(nonlinear: VAE, bits: Tensor) -> None:
    fixed = Normal([M], FixedScale(0.5))
    refined = refine(nonlinear, bits, 40, family=fixed)
    assert refined.bound.mean() > refined.course[0].mean()
    assert (refined.posterior[0].stddev == 0.5).all()


def test_another_family_begins_at_the_encoder_and_ends_better(truth: LinearGaussian) -> None:
    x = draw(truth)
    model = untrained(truth, diagonal())
    refined = refine(model, x, 300, family=FullNormal(M).double())
    own, start = model.posterior(x)[0], refined.start[0]
    torch.testing.assert_close(start.mean, own.mean, atol=1e-3, rtol=0)
    torch.testing.assert_close(start.stddev, own.stddev, atol=0, rtol=1e-3)
    assert gap(truth, x, refined.posterior[0]).max() < CLOSE


def test_a_family_without_moments_begins_neutral() -> None:
    class Shapeless(Distribution):
        def __init__(self, raw: Tensor) -> None:
            super().__init__(raw.shape[:-1], raw.shape[-1:], validate_args=False)

    q = diagonal()(torch.randn(4, 2 * M))
    assert matching(Shapeless, q, 5).eq(0).all()


@pytest.mark.parametrize("steps", [1, 7, 60])
@pytest.mark.parametrize("lr", [0.05, 3.0])
def test_no_bound_is_lowered(nonlinear: VAE, bits: Tensor, steps: int, lr: float) -> None:
    refined = refine(nonlinear, bits, steps, lr=lr, every=5)
    assert (refined.bound >= refined.course[0]).all()
    torch.testing.assert_close(refined.course[-1], refined.bound, atol=0, rtol=0)
    again = refine(nonlinear, bits, 0, start=refined.raw)  # no step: measures with the same noise
    torch.testing.assert_close(again.bound, refined.bound, atol=0, rtol=0)


def test_the_same_seed_gives_the_same_result(nonlinear: VAE, bits: Tensor) -> None:
    first = refine(nonlinear, bits, 20)
    with torch.no_grad():
        second = refine(nonlinear, bits, 20)
    torch.testing.assert_close(first.raw, second.raw, atol=0, rtol=0)
    assert (refine(nonlinear, bits, 20, seed=1).raw != first.raw).any()


def test_data_do_not_mind_their_neighbours(truth: LinearGaussian) -> None:
    # The noise differs with the batch; the maxima do not.
    x, model = draw(truth), untrained(truth, FullNormal(M))
    whole = compute_log_likelihood(model, [x], 300)
    parts = compute_log_likelihood(model, x.split(7), 300)
    torch.testing.assert_close(whole.values, parts.values, atol=5 * CLOSE, rtol=0)
    assert (whole.iwae >= whole.values - 1e-6).all(), "Jensen's inequality, on the same samples"


def test_one_bad_datum_spoils_no_other(nonlinear: VAE, bits: Tensor) -> None:
    raw = nonlinear.encoder.raw(bits).detach()
    bad = raw.clone()
    bad[0] = math.nan
    refined = refine(nonlinear, bits, 20, start=bad)
    assert torch.isfinite(refined.bound[1:]).all()
    torch.testing.assert_close(refined.raw[1:], refine(nonlinear, bits, 20, start=raw).raw[1:])


def test_the_model_and_the_generators_are_left_alone(nonlinear: VAE, bits: Tensor) -> None:
    torch.manual_seed(9)
    before = torch.get_rng_state()
    refined = refine(nonlinear, bits, 10)
    compute_log_likelihood(nonlinear, [bits], 10)
    assert torch.get_rng_state().equal(before)
    assert all(weight.grad is None and weight.requires_grad for weight in nonlinear.parameters())
    assert not refined.raw.requires_grad


def test_each_datum_stops_by_itself(uncorrelated: LinearGaussian) -> None:
    x = draw(uncorrelated)
    model = exactly_amortized(uncorrelated)
    start = model.encoder.raw(x).detach()
    start[B // 2 :, :M] += 2.0
    refined = refine(model, x, 1000, start=start, every=10, patience=3)
    assert len(refined.steps.unique()) > 1
    assert refined.steps[: B // 2].float().mean() < refined.steps[B // 2 :].float().mean()
    assert refined.steps.max() < 1000
    assert len(refined.course) == refined.steps.max() // 10 + 1  # the loop ended with its last datum
    for steps, course in zip(refined.steps.tolist(), refined.course.T, strict=True):
        assert (course[steps // 10 : -1] == course[steps // 10]).all()


def test_an_exactly_amortized_model_has_no_amortization_gap(uncorrelated: LinearGaussian) -> None:
    x = draw(uncorrelated)
    found = compute_log_likelihood(exactly_amortized(uncorrelated), [x], 100)
    torch.testing.assert_close(found.values, found.start, atol=CLOSE, rtol=0)
    torch.testing.assert_close(found.values, uncorrelated.log_px(x), atol=CLOSE, rtol=0)


def test_the_log_likelihood_is_a_mean_with_its_standard_error(nonlinear: VAE, bits: Tensor) -> None:
    rows: list[int] = []
    found = compute_log_likelihood(nonlinear, bits.split(8), 20, log_det=2.0, on_block=rows.append)
    plain = compute_log_likelihood(nonlinear, bits.split(8), 20)
    assert rows == [8, 8, 4]
    assert found.value == pytest.approx(found.values.mean().item())
    assert found.standard_error == pytest.approx(found.values.std().item() / math.sqrt(B))
    torch.testing.assert_close(found.values, plain.values + 2.0)
    torch.testing.assert_close(found.start, plain.start + 2.0)
    assert (found.steps == 20).all()
    alone = compute_log_likelihood(nonlinear, [bits[:1]], 1)
    assert (alone.value, math.isnan(alone.standard_error)) == (alone.values.item(), True)


def test_data_are_judged_draw_by_draw() -> None:
    """One datum each: a gain, one below the tolerance, noise about zero, a small loss, a sure one, NaN."""
    noise = torch.tensor([9.0, -9.0, 3.0, -3.0])
    changes = [noise * 0 + 1, noise * 0 + 1e-5, noise, noise - 1, noise / 9 - 9, noise * math.nan]
    gained, lost = (torch.tensor(flags).bool() for flags in ([1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]))
    first = torch.randn(4, 6).double()
    steps = Uphill()
    search = _Search(torch.zeros(6, 2), first, steps)
    search.climb(lr=0.1)
    moved, second = search.raw, first + torch.stack(changes, 1)
    assert (moved > 0).all()

    search.judge(second, tolerance=1e-4, patience=2)
    assert torch.equal(search.raw, torch.where(lost[:, None], 0.0, moved)), "who lost goes back"
    assert torch.equal(search.safe, search.raw)
    assert torch.equal(search.log_w, torch.where(lost, first, second))
    assert torch.equal(steps.slope == 0, lost[:, None].expand(6, 2)), "nor is it driven there again"
    assert torch.equal(steps.rate[:, 0], torch.where(gained, 1.0, CUT))
    assert search.active.all()

    search.judge(search.log_w, tolerance=1e-4, patience=2)
    assert torch.equal(search.active, gained), "two measurements without a gain"
    stopped = search.raw
    search.climb(lr=0.1)
    assert torch.equal((search.raw != stopped).all(1), gained)


class Uphill(AdamSteps):
    """Adam where every slope is 1."""

    def __init__(self) -> None:
        super().__init__(None, None, None, None, 1)

    def step(self, raw: Tensor, lr: float) -> Tensor:
        return self.moved(raw, torch.ones_like(raw), lr)


@pytest.mark.parametrize(
    ("estimator", "bound"),
    [
        (pathwise, elbo_monte_carlo),
        (sticking_the_landing, elbo_monte_carlo),
        (partial(doubly_reparameterized, backward_samples=2), iwae),
    ],
    ids=["pathwise", "sticking", "two followed"],
)
@pytest.mark.parametrize("inference", ["amortized", "two-tier", "semi-amortized"])
def test_a_step_teaches_an_optimal_scale_once(inference: str, estimator: Any, bound: Bound) -> None:
    """And by the posterior that the step ends with, not by those that a search has passed."""
    torch.manual_seed(0)
    x, prior = 3 * torch.randn(B, D), StandardNormal(M)
    decoder = Conditional(mlp(M, [8], D), Normal([D], OptimalScale()))
    encoder = Conditional(mlp(D, [8], 2 * M), diagonal())
    models = {
        "amortized": lambda: VAE(prior, encoder, decoder),
        "two-tier": lambda: two_tier(prior, diagonal(), decoder, inner_loop(20)),
        "semi-amortized": lambda: semi_amortized(prior, encoder, decoder, inner_loop(20)),
    }
    model = models[inference]().train()
    means: list[Tensor] = []
    decoder.register_forward_hook(lambda module, given, out: means.append(out.mean))
    step = semi_amortized_estimator(estimator) if inference == "semi-amortized" else estimator
    step(bound, model, x, 4 if bound is iwae else 2).sum().backward()
    scale = decoder.family.scale
    assert scale.num_batches == 1
    best = (x - means[-1]).square().mean().sqrt()
    torch.testing.assert_close(scale.sigma, best.detach(), rtol=1e-4, atol=0)
    assert all(module.training for module in model.modules())


class Back(nn.Module):
    """An encoder of x - context."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.family = encoder, encoder.family

    def raw(self, x: Tensor, context: Tensor) -> Tensor:
        raw: Tensor = self.encoder.raw(x - context)
        return raw

    def forward(self, x: Tensor, context: Tensor) -> Distribution:
        q: Distribution = self.encoder(x - context)
        return q


class Moved(nn.Module):
    """A decoder whose mean is moved by the context."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor, context: Tensor) -> Distribution:
        p = self.decoder(z).base_dist
        return Independent(TorchNormal(p.loc + context, p.scale), 1)


def test_the_log_likelihood_under_a_condition(uncorrelated: LinearGaussian) -> None:
    x, model = draw(uncorrelated), exactly_amortized(uncorrelated)
    moved = VAE(model.prior, Back(model.encoder), Moved(model.decoder))
    by = torch.randn_like(x)
    plain = compute_log_likelihood(model, x.split(8), 20)
    given = compute_log_likelihood(moved, (x + by).split(8), 20, contexts=by.split(8))
    torch.testing.assert_close(given.values, plain.values)
    with pytest.raises(ValueError, match="zip"):
        compute_log_likelihood(moved, (x + by).split(8), 20, contexts=by.split(8)[:1])


class UniformCategory(nn.Module):
    def forward(self) -> Distribution:
        return TorchOneHotCategorical(torch.full((4,), 0.25).double())


def test_a_categorical_posterior_is_refined_by_its_score() -> None:
    torch.manual_seed(0)
    family = OneHotCategorical(1, 4)
    decoder = Conditional(mlp(4, [], 2), Normal([2], FixedScale(1.0)))
    model = VAE(UniformCategory(), Neutral(family), decoder).double()
    x = torch.randn(5, 2).double()
    log_joint = model.log_joint(x, (torch.eye(4).double()[:, None].expand(4, 5, 4),))
    refined = refine(model, x, 300, num_samples=16, measure_samples=256)
    exact = log_joint.logsumexp(0)
    probabilities = refined.posterior[0].mean
    achieved = (probabilities * (log_joint.T - probabilities.log())).sum(-1)
    assert (exact - achieved).max() < CLOSE
    with pytest.raises(ValueError, match="leave-one-out"):
        refine(model, x, 10, num_samples=1)


def test_what_cannot_be_refined_is_refused(nonlinear: VAE, bits: Tensor) -> None:
    class Foreign(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
            return nonlinear.encoder(x, context)

    foreign = VAE(nonlinear.prior, Foreign(), nonlinear.decoder)
    with pytest.raises(ValueError, match="give refine a family, and a start where"):
        refine(foreign, bits)
    start = torch.zeros(B, 2 * M)
    assert refine(foreign, bits, 5, family=diagonal(), start=start).raw.shape == start.shape
    own = refine(foreign, bits, 0, family=diagonal()).start[0]  # begins where the own encoder's posterior is
    torch.testing.assert_close(own.mean, foreign.posterior(bits)[0].mean, atol=0.05, rtol=0)
    with pytest.raises(ValueError, match="no density"):
        refine(VAE(nonlinear.prior, Neutral(PointMass(M)), nonlinear.decoder), bits)


class Groups:
    """A model without an encoder, of so many latent groups."""

    def __init__(self, model: VAE, groups: int) -> None:
        self.model, self.groups = model, groups

    def posterior(self, x: Tensor, **options: Any) -> Any:
        return self.model.posterior(x, **options) * self.groups

    def trace(self, x: Tensor, num_samples: int = 1, **options: Any) -> Trace:
        (*_,) = options.pop("posterior", None) or self.posterior(x)
        one = self.model.trace(x, num_samples, **options)
        names = ("z", "posterior", "prior", "pathwise")
        return replace(one, **{name: self.groups * getattr(one, name) for name in names})


@pytest.mark.parametrize("options", [{}, {"family": FullNormal(M)}])
def test_a_hierarchy_is_not_refined_and_the_message_says_why(
    nonlinear: VAE, bits: Tensor, options: dict[str, Any]
) -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="2 latent groups, refining needs one; the bounds of"):
        compute_log_likelihood(Groups(nonlinear, 2), [bits], 1, **options)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"the model has no encoder with a family and raw\(x, context\), which"
    ):
        refine(Groups(nonlinear, 1), bits)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_two_tier_gradient_is_that_of_the_log_likelihood(truth: LinearGaussian) -> None:
    # The envelope theorem: with q at its maximum, here exact, the decoder's gradient at fixed q is
    # d/dtheta log p(x), which this model has in closed form.
    x = draw(truth, 3)

    model = two_tier(
        StandardNormal(M), FullNormal(M), truth.vae(nn.Identity()).decoder, inner_loop(300)
    ).double()
    with seeded(0):
        pathwise(elbo_monte_carlo, model, x, 40_000).sum().backward()
    weight = truth.weight.clone().requires_grad_()
    LinearGaussian(weight, truth.bias, truth.sigma).log_px(x).sum().backward()
    error = model.decoder.network[1].weight.grad - weight.grad
    assert error.norm() / weight.grad.norm() < 0.03


def test_two_tier_training_reaches_pca(uncorrelated: LinearGaussian) -> None:
    x = draw(uncorrelated, 100).float()
    score = PCA(2, svd_solver="full").fit(x.numpy()).score(x.numpy())

    torch.manual_seed(0)
    decoder = Conditional(mlp(2, [], D), Normal([D], SharedScale()))
    model = two_tier(StandardNormal(2), diagonal(2), decoder, inner_loop(10))
    plan = Plan(epochs=80, batch_size=100, num_samples=8, lr=0.1, lr_schedule="cosine", patience=0)
    data = TrainingData(x, lambda rows, generator: rows, lambda: iter([x[:20]]))
    state = train(TrainingState.start(model, plan), data, elbo_monte_carlo, pathwise, plan)
    assert state.epoch == plan.epochs
    reached = compute_log_likelihood(model, [x], 300).value
    assert score - 0.05 < reached < score + 0.01
