"""Models whose posterior is maximised for each datum."""

import copy
import functools
import re
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.evaluation import encode, importance_weighted
from jensen.families import Bernoulli, Conditional, FullNormal, NetworkScale, Normal, OneHotCategorical
from jensen.models import VAE
from jensen.models.local import Maximise, Neutral, semi_amortized, two_tier
from jensen.networks import mlp
from jensen.objectives import elbo, pathwise
from jensen.priors import StandardNormal
from jensen.training import two_tier as inference
from jensen.training.two_tier import refine
from tests.oracles.linear_gaussian import random_model

M, D, B = 2, 5, 7
QUICK = partial(refine, steps=5, every=5, measure_samples=8)


def decoder() -> Conditional:
    return Conditional(mlp(M, [8], D), Bernoulli([D]))


def encoder() -> Conditional:
    return Conditional(mlp(D, [8], 2 * M), Normal([M], NetworkScale(M)))


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    return torch.bernoulli(torch.full((B, D), 0.5))


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    return two_tier(StandardNormal(M), Normal([M], NetworkScale(M)), decoder(), QUICK)


@pytest.fixture
def semi() -> VAE:
    torch.manual_seed(0)
    return semi_amortized(StandardNormal(M), encoder(), decoder(), QUICK)


def test_raw_numbers_of_a_conditional_make_its_distribution() -> None:
    conditional, images = (
        Conditional(mlp(6, [4], 4), Normal([2], NetworkScale(2)), 2),
        torch.randn(3, 5, 2, 3),
    )
    raw = conditional.raw(images)
    assert raw.shape == (3, 5, 4)
    assert conditional.raw(images[:, :0]).shape == (3, 0, 4)
    torch.testing.assert_close(conditional.family(raw).mean, conditional(images).mean, atol=0, rtol=0)


@pytest.mark.parametrize("family", [Normal([M], NetworkScale(M)), FullNormal(M)])
def test_the_neutral_start_is_the_prior(family: nn.Module, x: Tensor) -> None:
    q = Neutral(family)(x)
    assert q.batch_shape == (B,)
    torch.testing.assert_close(q.mean, torch.zeros(B, M))
    torch.testing.assert_close(q.stddev, torch.ones(B, M), atol=1e-4, rtol=0)


def test_the_neutral_start_takes_images_and_integers() -> None:
    start = Neutral(OneHotCategorical(1, 3), event_dim=2)
    assert start.raw(torch.zeros(4, 2, 2, dtype=torch.long)).dtype == torch.float32
    assert start(torch.zeros(4, 2, 2)).batch_shape == (4,)


def test_the_posterior_is_the_refined_one_and_a_constant(model: VAE, x: Tensor) -> None:
    (q,) = model.posterior(x)
    (found,) = QUICK(model, x).posterior
    torch.testing.assert_close(q.mean, found.mean, atol=0, rtol=0)
    assert not q.mean.requires_grad
    assert (q.mean != 0).any()


def test_the_documented_inner_maximisation_reaches_the_best_diagonal_posterior() -> None:
    """Its maximum is known: the mean of p(z | x), and the diagonal of its precision."""
    (example,) = re.findall(r"``(functools.*)``", Maximise.__doc__ or "")
    maximise = eval(example, {"functools": functools, "jensen": jensen})
    truth = random_model(20, 5, sigma=0.3)
    torch.manual_seed(0)
    x = truth.bias + torch.randn(20, 5, dtype=torch.float64) @ truth.weight.T
    x = x + truth.sigma * torch.randn_like(x)
    plain = truth.vae(Neutral(Normal([5], NetworkScale(5))).double())
    model = two_tier(plain.prior, plain.encoder.family, plain.decoder, maximise)
    reached = importance_weighted(model.double(), x, 500)["elbo"].mean()
    precision = torch.linalg.inv(truth.posterior_scale())
    gap = (precision.diagonal().log().sum() - precision.logdet()) / 2
    assert (truth.log_px(x).mean() - gap - reached).item() < 0.1  # nats; 5 short by refine's own step size


def test_a_two_tier_model_has_the_weights_of_prior_and_decoder_alone(model: VAE) -> None:
    assert all(name.startswith("decoder.") for name in model.state_dict())
    assert len(list(model.parameters())) == len(list(model.decoder.parameters()))


def test_a_semi_amortized_model_has_each_weight_once(semi: VAE) -> None:
    names = {name.split(".")[0] for name in semi.state_dict()}
    assert names == {"encoder", "decoder"}
    assert all(name.startswith(("encoder.start.", "decoder.")) for name in semi.state_dict())


def test_a_copy_maximises_with_its_own_decoder(model: VAE, x: Tensor) -> None:
    before = model.posterior(x)[0].mean
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.mul_(5)
    assert (twin.posterior(x)[0].mean != before).any()
    torch.testing.assert_close(model.posterior(x)[0].mean, before, atol=0, rtol=0)


def test_a_model_follows_to_float64(model: VAE, x: Tensor) -> None:
    assert model.double().posterior(x.double())[0].mean.dtype == torch.float64


def test_evaluation_and_encoding_go_through_the_refined_posterior(model: VAE, x: Tensor) -> None:
    mean = model.posterior(x)[0].mean
    torch.testing.assert_close(encode(model, [x]).mean, mean, atol=0, rtol=0)
    values = importance_weighted(model, x, 10)
    assert all(torch.isfinite(value).all() for value in values.values())
    assert model.sample(3).shape == (3, D)


def test_any_estimator_trains_decoder_and_prior(model: VAE, x: Tensor) -> None:
    torch.manual_seed(3)
    value = pathwise(elbo, model, x, 3)
    value.mean().backward()
    torch.manual_seed(3)
    torch.testing.assert_close(value, elbo(model.trace(x, 3, posterior=model.posterior(x))), atol=0, rtol=0)
    assert all(weight.grad.abs().max() > 0 for weight in model.decoder.parameters())


def gradients(module: nn.Module) -> list[Tensor]:
    return [weight.grad.clone() for weight in module.parameters()]


def test_semi_amortized_gradients(semi: VAE, x: Tensor) -> None:
    plain = VAE(semi.prior, semi.encoder.start, semi.decoder)
    torch.manual_seed(3)
    value = inference.semi_amortized_estimator()(elbo, semi, x, 4)
    value.sum().backward()
    encoder, decoder = gradients(semi.encoder), gradients(semi.decoder)
    semi.zero_grad()

    torch.manual_seed(3)  # the same draws, in the same order: at the start, then at the refined posterior
    pathwise(elbo, plain, x, 4).sum().backward()
    torch.testing.assert_close(encoder, gradients(semi.encoder))
    semi.zero_grad()
    refined = elbo(semi.trace(x, 4, posterior=QUICK(plain, x).posterior))
    refined.sum().backward()
    torch.testing.assert_close(value, refined, atol=0, rtol=0)
    torch.testing.assert_close(decoder, gradients(semi.decoder))
    assert all(weight.grad is None for weight in semi.encoder.parameters())


def test_semi_amortized_estimates_refuse_a_plain_encoder(x: Tensor) -> None:
    plain = VAE(StandardNormal(M), encoder(), decoder())
    with pytest.raises(ValueError, match=r"jensen\.models\.local\.semi_amortized"):
        inference.semi_amortized_estimator()(elbo, plain, x, 1)
