"""The linear-Gaussian VAE against exact answers and against scikit-learn's probabilistic PCA."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from jensen.evaluation import evaluate, importance_weighted
from jensen.objectives import elbo, gaussian_kl, iwae, pathwise, risk
from jensen.objectives.mathematics import elbo_from_risk
from tests.chance import within_chance
from tests.oracles.linear_gaussian import DiagonalEncoder, ExactEncoder, from_pca, random_model


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return torch.tensor(load_digits().data, dtype=torch.float64)


def test_elbo_with_the_exact_posterior_is_pca_score(digits: torch.Tensor) -> None:
    truth, pca = from_pca(digits, 8)
    model = truth.vae(ExactEncoder(truth))
    torch.manual_seed(0)
    # With q = p(z | x) every importance weight is p(x), so even one sample is exact.
    values = importance_weighted(model, digits, 1)
    score = pca.score(digits.numpy())
    assert values["iwae"].mean().item() == pytest.approx(score, abs=1e-6)
    torch.testing.assert_close(values["iwae"], truth.log_px(digits), atol=1e-6, rtol=0)
    trace = model.trace(digits, 3)
    assert trace.log_w.mean().item() == pytest.approx(score, abs=1e-6)


def test_closed_form_elbo_with_the_exact_posterior_has_pca_score_for_its_mean(digits: torch.Tensor) -> None:
    # E_q log p(x | z) in closed form: the residual at the mean plus the spread of W z, no sampling.
    truth, pca = from_pca(digits, 8)
    q = truth.posterior(digits)
    residual = digits - truth.bias - q.loc @ truth.weight.T
    spread = torch.trace(truth.weight @ truth.posterior_scale() @ truth.weight.T)
    D = digits.shape[1]
    log_px = -0.5 * (
        (residual.square().sum(-1) + spread) / truth.sigma**2 + D * math.log(2 * math.pi * truth.sigma**2)
    )
    prior = Independent(Normal(torch.zeros(8).double(), torch.ones(8).double()), 1)
    bound = log_px - kl_divergence(q, prior)
    assert bound.mean().item() == pytest.approx(pca.score(digits.numpy()), abs=1e-6)
    # and jensen's sampled ELBO has that expectation
    torch.manual_seed(1)
    model = truth.vae(ExactEncoder(truth))
    draws = torch.stack([elbo(model.trace(digits[:50], 1)) for _ in range(400)])
    assert within_chance(draws.mean(1), bound[:50].mean().item())


def test_closed_form_kl_is_its_monte_carlo_estimate() -> None:
    torch.manual_seed(0)
    M = 5
    root = torch.randn(M, M).double().tril(-1) + torch.rand(M).double().add(0.3).diag()
    full = MultivariateNormal(torch.randn(M).double(), scale_tril=root)
    diagonal = Independent(Normal(torch.randn(M).double(), torch.rand(M).double() + 0.3), 1)
    standard = Independent(Normal(torch.zeros(M).double(), torch.ones(M).double()), 1)
    for q, p in [(full, standard), (diagonal, standard), (diagonal, full), (full, diagonal)]:
        z = q.sample((20_000,))
        assert within_chance(q.log_prob(z) - p.log_prob(z), kl_divergence(q, p).item())


def test_gaussian_kl_is_the_registered_one() -> None:
    torch.manual_seed(0)
    eta, sigma = torch.randn(7, 3).double(), torch.rand(7, 3).double() + 0.1
    q = Independent(Normal(eta, sigma), 1)
    p = Independent(Normal(torch.zeros(3).double(), torch.ones(3).double()), 1)
    torch.testing.assert_close(gaussian_kl(eta, sigma), kl_divergence(q, p), atol=1e-14, rtol=1e-13)


def test_risk_is_minus_two_elbo_plus_a_constant() -> None:
    # R = -2 ELBO - D log(2 pi) + M, with the same latent samples, to machine precision.
    truth = random_model(12, 4, sigma=1.0)
    model = truth.vae(DiagonalEncoder(truth))
    x = truth.weight.new_empty(9, 12).normal_(generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    trace = model.trace(x, 6)
    q = trace.posterior[0]
    value = risk(x, trace.likelihood.mean, q.mean, q.stddev)
    expected = -2 * elbo(trace) - 12 * math.log(2 * math.pi) + 4
    torch.testing.assert_close(value, expected, atol=1e-12, rtol=1e-13)
    torch.testing.assert_close(elbo_from_risk(value, 12, 4), elbo(trace), atol=1e-12, rtol=1e-13)


def test_iwae_with_one_sample_is_the_monte_carlo_elbo() -> None:
    truth = random_model(10, 3)
    model = truth.vae(DiagonalEncoder(truth))
    x = truth.bias + torch.randn(20, 10).double()
    torch.manual_seed(5)
    one = pathwise(iwae, model, x, 1)
    torch.manual_seed(5)
    trace = model.trace(x, 1)
    torch.testing.assert_close(one, trace.log_w[0], atol=0, rtol=0)


def test_iwae_rises_with_the_number_of_samples_to_log_px() -> None:
    truth = random_model(10, 3)
    model = truth.vae(ExactEncoder(truth, shift=0.15, stretch=1.3))
    torch.manual_seed(0)
    x = truth.bias + torch.randn(4000, 10).double()
    values = [importance_weighted(model, x, K)["iwae"].mean().item() for K in (1, 3, 10, 100)]
    assert values == sorted(values)
    exact = truth.log_px(x).mean().item()
    assert values[-1] < exact + 0.01
    assert exact - values[-1] < 0.05 < exact - values[0]


class Replay:
    """A model whose posterior draws are slices of one table, so that chunks see what the whole sees."""

    def __init__(self, model, z: torch.Tensor) -> None:
        self.model, self.table, self.used = model, z, 0

    def posterior(self, x, *, context=None):
        return self.model.posterior(x, context=context)

    def trace(self, x, num_samples=1, *, context=None, pathwise=True, posterior=None):
        trace = self.model.trace(x, num_samples, posterior=posterior)
        z = self.table[self.used : self.used + num_samples]
        self.used += num_samples
        return type(trace)(
            x=x,
            z=(z,),
            posterior=trace.posterior,
            prior=trace.prior,
            likelihood=self.model.decoder(z),
            pathwise=(True,),
        )


def test_chunked_evaluation_equals_unchunked() -> None:
    truth = random_model(6, 2)
    model = truth.vae(ExactEncoder(truth, shift=0.3, stretch=1.5))
    torch.manual_seed(0)
    x = truth.bias + torch.randn(15, 6).double()
    z = model.posterior(x)[0].sample((37,))
    whole = importance_weighted(Replay(model, z), x, 37, chunks=[37])
    chunked = importance_weighted(Replay(model, z), x, 37, chunks=[1, 20, 7, 9])
    log_w = model.log_joint(x, (z,)) - model.posterior(x)[0].log_prob(z)
    weights = log_w.softmax(0)
    assert whole.keys() == chunked.keys()
    for name in whole:
        torch.testing.assert_close(chunked[name], whole[name], atol=1e-11, rtol=1e-12)
    torch.testing.assert_close(whole["iwae"], log_w.logsumexp(0) - math.log(37))
    torch.testing.assert_close(whole["effective_sample_size"], 1 / weights.square().sum(0))


def test_figures_are_in_nats_of_the_data_as_given() -> None:
    # Scaling x by 10 and shifting it changes log p(x) by -D log 10; log_det puts that back.
    x = torch.tensor(load_digits().data[:300], dtype=torch.float64)
    pca = PCA(4, svd_solver="full").fit(x.numpy())
    scaled = (x - 5) / 10
    small, _ = from_pca(scaled, 4)
    model = small.vae(ExactEncoder(small))
    values = evaluate(model, [scaled], 1, log_det=-64 * math.log(10.0))
    assert values["iwae"].mean().item() == pytest.approx(pca.score(x.numpy()), abs=1e-6)
    assert values["elbo"].add(values["distortion"]).add(values["rate"]).abs().max() < 1e-9


def test_training_a_linear_vae_reaches_probabilistic_pca(tmp_path) -> None:
    # jensen train digits --network linear, 8 latents, one learned sigma: the training rows' bound comes
    # to within 0.5 % of the maximum of the likelihood that PCA finds in closed form.
    from jensen.config.evaluation import EvaluationSettings
    from jensen.figures import evaluate_run
    from jensen.recipes import recipe
    from jensen.session import start

    run = start(recipe("probabilistic-pca"), tmp_path / "run")
    dataset = run.dataset()
    quick = EvaluationSettings(split="train", num_samples=20, refine_steps=0)
    figures = evaluate_run(run, dataset, quick, aggregate_too=False)
    rows = dataset.rows("train").reshape(-1, 64).double().numpy()
    score = PCA(8, svd_solver="full").fit(rows).score(rows)
    assert figures["elbo"]["value"] == pytest.approx(score, rel=0.005)
    assert figures["elbo"]["value"] <= figures["iwae"]["value"] <= score + 0.2
