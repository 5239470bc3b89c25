"""AIS and BDMC against exact log p(x): linear-Gaussian models, and a nonlinear one by quadrature."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    Categorical,
    Distribution,
    Gamma,
    Independent,
    MixtureSameFamily,
    Normal,
    OneHotCategorical,
    TransformedDistribution,
    VonMises,
)

from jensen.distributions import OneHot, RelaxedOneHot
from jensen.distributions.moments import moments
from jensen.evaluation import importance_weighted
from jensen.evaluation.ais import annealed_importance_sampling, sigmoid_schedule
from jensen.evaluation.bdmc import bidirectional, simulate
from jensen.families import FlowNormal
from jensen.models import VAE
from jensen.priors import Flow, Mixture, StandardNormal
from tests.chance import within_chance
from tests.oracles.linear_gaussian import DiagonalEncoder, ExactEncoder, LinearGaussian, random_model

CLOSE = 1e-2
"""Nats: how near the mean of log p(x) the estimates must come."""


def data(truth: LinearGaussian, n: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    D, M = truth.weight.shape
    z, noise = (torch.randn(n, d, generator=generator, dtype=torch.float64) for d in (M, D))
    return z @ truth.weight.T + truth.bias + truth.sigma * noise


linear_gaussian_models = pytest.mark.parametrize(
    ("M", "D", "n", "temperatures"),
    [(2, 5, 200, 200), (10, 20, 100, 300), pytest.param(50, 60, 64, 500, marks=pytest.mark.slow)],
)


class Encoder(nn.Module):
    """Any function of x as an encoder."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, context: Tensor | None = None):
        return self.function(x)


def test_schedule() -> None:
    betas = sigmoid_schedule(100)
    assert len(betas) == 101
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()
    torch.testing.assert_close(betas, 1 - betas.flip(0))
    assert sigmoid_schedule(1).tolist() == [0, 1]


@pytest.mark.parametrize("num_temperatures", [1, 2, 9])
def test_from_the_exact_posterior_every_weight_is_exact(num_temperatures: int) -> None:
    truth = random_model(8, 3)
    x = data(truth, 20)
    found = annealed_importance_sampling(
        truth.vae(ExactEncoder(truth)), x, num_temperatures=num_temperatures, num_chains=3
    )
    torch.testing.assert_close(found.log_w, truth.log_px(x).expand(3, 20), atol=1e-9, rtol=0)
    torch.testing.assert_close(found.effective_sample_size, torch.full((20,), 3.0).double())


def test_one_temperature_is_iwae() -> None:
    truth = random_model(8, 3)
    model = truth.vae(DiagonalEncoder(truth))
    x = data(truth, 4000)
    torch.manual_seed(0)
    iwae = importance_weighted(model, x, 4)["iwae"]
    ais = annealed_importance_sampling(model, x, num_temperatures=1, num_chains=4)
    assert ais.acceptance.isnan().all()  # no transitions
    assert within_chance(ais.log_px - iwae, 0.0)
    assert (ais.log_px - iwae).std() > 0.01


@pytest.mark.parametrize("start", ["posterior", "fitted", "prior"])
def test_weights_are_unbiased(start: str) -> None:
    # E w = p(x) at any number of temperatures; few, so that the weights are far from constant.
    truth = random_model(3, 2, sigma=0.7)
    model = truth.vae(ExactEncoder(truth, shift=0.3, stretch=1.4))
    x = data(truth, 3)
    found = annealed_importance_sampling(
        model, x, num_temperatures=6, num_chains=40_000, num_leapfrog=2, start=start
    )
    ratio = (found.log_w - truth.log_px(x)).exp()
    assert (ratio.std(0) > 0.1).all()
    assert within_chance(ratio, 1.0)


@linear_gaussian_models
def test_within_a_hundredth_of_exact_log_px(M: int, D: int, n: int, temperatures: int) -> None:
    truth = random_model(D, M)
    stretch = 1 + 0.7 / math.sqrt(M)
    model = truth.vae(ExactEncoder(truth, shift=0.1 / math.sqrt(M), stretch=stretch))
    x = data(truth, n)
    exact = truth.log_px(x)
    torch.manual_seed(0)
    elbo = importance_weighted(model, x, 200)["elbo"]
    assert (exact - elbo).mean() > 0.2  # the encoder is well off
    exactly = importance_weighted(truth.vae(ExactEncoder(truth)), x, 2)["iwae"]
    assert (exactly - exact).abs().max() < 1e-8
    found = annealed_importance_sampling(
        model, x, num_temperatures=temperatures, num_chains=20, num_leapfrog=2
    )
    assert abs((found.log_px - exact).mean().item()) < CLOSE
    assert (found.log_px - exact).abs().max() < 20 * CLOSE
    assert (found.effective_sample_size > 15).all()
    assert 0.55 < found.acceptance.mean() < 0.75


@linear_gaussian_models
def test_bidirectional_sandwiches_exact_log_px(M: int, D: int, n: int, temperatures: int) -> None:
    truth = random_model(D, M)
    stretch = 1 + 0.7 / math.sqrt(M)
    model = truth.vae(ExactEncoder(truth, shift=0.1 / math.sqrt(M), stretch=stretch))
    found = bidirectional(model, n, num_temperatures=temperatures, num_chains=20, num_leapfrog=2, block=100)
    exact = truth.log_px(found.x)
    assert abs((found.lower - exact).mean().item()) < CLOSE
    assert abs((found.upper - exact).mean().item()) < CLOSE
    assert abs(found.gap.value) < CLOSE
    assert found.gap.standard_error < CLOSE
    assert found.to_dict()["gap"] == found.gap.to_dict()


def test_lower_is_below_and_upper_above_when_annealing_is_quick() -> None:
    truth = random_model(12, 6)
    model = truth.vae(ExactEncoder(truth, shift=0.3, stretch=1.3))
    found = bidirectional(model, 400, num_temperatures=12, num_chains=2, block=400)
    exact = truth.log_px(found.x)
    for slack in (exact - found.lower, found.upper - exact):
        assert slack.mean() > 5 * slack.std() / math.sqrt(400)
    assert found.gap.value > 0.1


def test_reverse_weights_are_unbiased() -> None:
    # E 1/w = 1/p(x): one chain a datum, over many data, each with its exact posterior sample.
    truth = random_model(3, 2, sigma=0.7)
    model = truth.vae(ExactEncoder(truth, shift=0.1, stretch=1.2))
    n = 40_000
    found = bidirectional(model, n, num_temperatures=8, num_chains=1, num_leapfrog=2, block=n)
    ratio = (truth.log_px(found.x) - found.upper).exp()
    assert ratio.std() > 0.05
    assert within_chance(ratio, 1.0)


def test_simulated_pairs_have_the_joint_distribution() -> None:
    truth = random_model(4, 2)
    torch.manual_seed(0)
    x, z = simulate(truth.vae(DiagonalEncoder(truth)), 20_000)
    assert within_chance(z, 0.0)
    assert within_chance(z.square(), 1.0)
    residual = (x - truth.bias - z @ truth.weight.T) / truth.sigma
    assert within_chance(residual, 0.0)
    assert within_chance(residual.square(), 1.0)
    assert within_chance(residual * z[:, :1], 0.0)


class Words(nn.Module):
    """An encoder of whole numbers that looks them up, and the decoder beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.logits = nn.Embedding(3, 2), nn.Linear(2, 4 * 3)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Independent:
        return Independent(Normal(self.places(x).mean(-2), 0.8), 1)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Independent:
        return Independent(Categorical(logits=self.logits(z).unflatten(-1, (4, 3))), 1)


def test_bidirectional_gives_an_embedding_whole_numbers() -> None:
    torch.manual_seed(0)
    words = Words()
    found = bidirectional(VAE(StandardNormal(2), words, Encoder(words.decode)), 20, num_temperatures=20)
    assert found.x.dtype == torch.long
    assert abs(found.gap.value) < 0.5


class Decoder(nn.Module):
    """x ~ N(z, I / 4)."""

    def forward(self, z: Tensor, context: Tensor | None = None):
        return Independent(Normal(z, 0.5), 1)


class Parabola(nn.Module):
    """x ~ N(z^2, 0.5^2): the posterior of x > 0 has two modes, of which the encoder below knows one."""

    def forward(self, z: Tensor, context: Tensor | None = None):
        return Independent(Normal(z.square(), 0.5), 1)


def test_a_posterior_with_two_modes() -> None:
    prior = StandardNormal(1).double()
    model = VAE(prior, Encoder(lambda x: Independent(Normal(x.clamp(min=0).sqrt(), 0.5), 1)), Parabola())
    x = torch.linspace(-0.5, 3, 30).double().unsqueeze(1)
    grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64).reshape(-1, 1, 1)
    exact = torch.logsumexp(model.log_joint(x, (grid,)), 0) + math.log(16 / 20_000)
    found = annealed_importance_sampling(
        model, x, num_temperatures=300, num_chains=200, num_leapfrog=3, start="prior"
    )
    assert abs((found.log_px - exact).mean().item()) < CLOSE
    assert (found.log_px - exact).abs().max() < 10 * CLOSE


def test_a_posterior_without_moments_and_one_of_zero_width() -> None:
    truth = random_model(6, 2)
    x = data(truth, 10)
    exact = truth.log_px(x)
    options = {"num_temperatures": 200, "num_chains": 20}

    def flow(x: Tensor) -> TransformedDistribution:
        q = truth.posterior(x)
        base = Independent(Normal(torch.zeros(len(x), 2).double(), 1.0), 1)
        return TransformedDistribution(base, AffineTransform(q.loc, 1.3 * q.stddev, event_dim=1))

    model = truth.vae(Encoder(flow))
    with pytest.raises(NotImplementedError):
        _ = flow(x).mean
    torch.manual_seed(0)
    mean, spread = moments(flow(x), 4000)
    torch.testing.assert_close(mean, truth.posterior(x).mean, atol=0.1, rtol=0)
    torch.testing.assert_close(spread, 1.3 * truth.posterior(x).stddev, atol=0, rtol=0.1)
    for start in ("posterior", "fitted"):
        found = annealed_importance_sampling(model, x, start=start, **options)
        assert abs((found.log_px - exact).mean().item()) < 5 * CLOSE
    point = truth.vae(Encoder(lambda x: Independent(Normal(truth.posterior(x).mean, 1e-12), 1)))
    with pytest.raises(ValueError, match=r"point mass.*start='prior'"):
        annealed_importance_sampling(point, x, **options)
    found = annealed_importance_sampling(point, x, start="prior", **options)
    assert abs((found.log_px - exact).mean().item()) < 0.2


@pytest.mark.parametrize("prior", [Flow(2, num_transforms=2), Mixture(2, 3)], ids=["flow", "mixture"])
@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_learned_priors_and_flow_posteriors(prior: nn.Module, start: str) -> None:
    # p(z) = any density on the plane, x ~ N(z, I / 4): log p(x) by quadrature.
    torch.manual_seed(0)
    for parameter in prior.parameters():
        nn.init.normal_(parameter, std=0.2)
    family = FlowNormal(2)
    for parameter in family.parameters():
        nn.init.normal_(parameter, std=0.1)
    raw = torch.cat([torch.zeros(2), torch.full((2,), math.log(0.5)), torch.randn(16)])
    encoder = Encoder(lambda x: family(torch.cat([x, raw[2:].expand(len(x), -1)], 1)))
    model = VAE(prior, encoder, Decoder())
    x = torch.randn(6, 2)
    axis = torch.linspace(-7, 7, 281)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_prior = prior().log_prob(grid)
        exact = torch.stack(
            [(Decoder()(grid).log_prob(row) + log_prior).logsumexp(0) + math.log(0.05**2) for row in x]
        )
    temperatures = 60 if start == "posterior" else 200  # the prior is farther from p(z | x)
    found = annealed_importance_sampling(model, x, num_temperatures=temperatures, num_chains=40, start=start)
    assert abs((found.log_px - exact).mean().item()) < 10 * CLOSE
    gap = bidirectional(model, 6, num_temperatures=temperatures, num_chains=40, start=start).gap
    assert abs(gap.value) < 15 * CLOSE


def test_same_seed_same_figures_and_the_generator_is_left_alone() -> None:
    truth = random_model(6, 2)
    model = truth.vae(DiagonalEncoder(truth))
    x = data(truth, 5)
    before = torch.get_rng_state()
    options = {"num_temperatures": 5, "num_chains": 2}
    first, again, other = (
        annealed_importance_sampling(model, x, seed=seed, **options).log_px for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert (bidirectional(model, 4, **options).upper == bidirectional(model, 4, **options).upper).all()
    assert (torch.get_rng_state() == before).all()
    assert not first.requires_grad
    assert all(p.grad is None for p in model.parameters())


class TwoGroups:
    def __init__(self, model: VAE) -> None:
        self.model = model

    def trace(self, x: Tensor, num_samples: int = 1, **options):
        trace = self.model.trace(x, num_samples)
        return type(trace)(
            x, trace.z * 2, trace.posterior * 2, trace.prior * 2, trace.likelihood, trace.pathwise * 2
        )


def matrices() -> VAE:
    """Latents of event shape [2, 3], of which neither annealing nor the aggregate posterior knows."""
    standard = Independent(Normal(torch.zeros(2, 3).double(), 1.0), 2)
    decoder = Encoder(lambda z: Independent(Normal(z.flatten(-2), 1.0), 1))
    return VAE(Always(standard), Encoder(lambda x: standard.expand(x.shape[:1])), decoder)


class Always(nn.Module):
    """A prior without parameters."""

    def __init__(self, p: Distribution) -> None:
        super().__init__()
        self.p = p

    def forward(self) -> Distribution:
        return self.p


def test_what_cannot_be_annealed_is_refused() -> None:
    truth = random_model(6, 2)
    model = truth.vae(DiagonalEncoder(truth))
    x = data(truth, 5)
    with pytest.raises(ValueError, match="2 latent groups"):
        annealed_importance_sampling(TwoGroups(model), x)
    with pytest.raises(ValueError, match=r"event shape \(2, 3\), annealing needs vectors \[M\]; let prior"):
        annealed_importance_sampling(matrices(), x)
    half = torch.full((5, 2), 0.5).double()
    one_hot = OneHot(half.unsqueeze(1))
    for q in (
        OneHotCategorical(half),
        one_hot,
        RelaxedOneHot(one_hot.logits, 1.0),
        Independent(Gamma(half, half), 1),
        Independent(VonMises(half, half), 1),
        MixtureSameFamily(Categorical(half[:, :1]), Independent(VonMises(half[:, None], 1.0), 1)),
    ):
        with pytest.raises(
            ValueError, match=f"{type(q).__name__}(.* latents are not real|, is discrete|, is on a simplex)"
        ):
            annealed_importance_sampling(model, x, posterior=(q,))
    with pytest.raises(ValueError, match="start is 'middle'; it must be one of"):
        annealed_importance_sampling(model, x, start="middle")
