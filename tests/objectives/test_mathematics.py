"""The lecture's formulas against autograd and by hand."""

import pytest
import torch

from jensen.objectives import decoder_gradient, elbo, gaussian_kl, pathwise, risk
from tests.chance import within_chance
from tests.oracles.linear_gaussian import DiagonalEncoder, random_model


def test_the_decoder_gradient_of_a_linear_gaussian_model_by_hand() -> None:
    # log p(x | z) = -|x - W z - b|^2 / 2 sigma^2: the gradient by W is mean_jk (x - W z - b) z' / sigma^2.
    truth = random_model(5, 2, sigma=0.7)
    model = truth.vae(DiagonalEncoder(truth))
    x = truth.bias + torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    torch.manual_seed(1)
    weight, bias = decoder_gradient(model, model.decoder, x, 4)
    torch.manual_seed(1)
    z = model.trace(x, 4).z[0]
    residual = (x - truth.bias - z @ truth.weight.T) / truth.sigma**2
    torch.testing.assert_close(weight, torch.einsum("kbd,kbm->dm", residual, z) / 24)
    torch.testing.assert_close(bias, residual.mean((0, 1)))


def test_the_decoder_gradient_is_of_what_can_move() -> None:
    truth = random_model(4, 2)
    model = truth.vae(DiagonalEncoder(truth))
    x = truth.bias + torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double()
    torch.manual_seed(0)
    _, bias = decoder_gradient(model, model.decoder, x, 2)
    first, *_ = model.decoder.parameters()
    first.requires_grad_(False)
    model.decoder.unused = torch.nn.Parameter(torch.ones(5))
    torch.manual_seed(0)
    found = decoder_gradient(model, model.decoder, x, 2, context=None)
    assert sorted(g.shape for g in found) == [bias.shape, (5,)]
    assert sum(g.abs().sum() for g in found) == bias.abs().sum()
    model.decoder.requires_grad_(False)
    with pytest.raises(ValueError, match=r"no parameter of .* requires a gradient; unfreeze some"):
        decoder_gradient(model, model.decoder, x)


def test_the_decoder_gradient_is_of_the_models_own_decoder() -> None:
    """That of the encoder, or of another model's decoder, would be zeros only."""
    truth = random_model(4, 2)
    model, other = (truth.vae(DiagonalEncoder(truth)) for _ in range(2))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double()
    for wrong in (torch.nn.Linear(4, 2), other.decoder):
        with pytest.raises(ValueError, match=r"uses no parameter of the .* own, such as model.decoder"):
            decoder_gradient(model, wrong, x)
    model.decoder.requires_grad_(False)
    with pytest.raises(ValueError, match="uses no parameter of the"):
        decoder_gradient(model, other.decoder, x)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_decoder_gradient_is_taken_where_torch_takes_none(mode: type) -> None:
    truth = random_model(4, 2)
    model, x = truth.vae(DiagonalEncoder(truth)), torch.ones(3, 4, dtype=torch.float64)
    torch.manual_seed(0)
    expected = decoder_gradient(model, model.decoder, x, 2)
    torch.manual_seed(0)
    with mode():
        found = decoder_gradient(model, model.decoder, x, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_decoder_gradient_is_that_of_the_elbo() -> None:
    truth = random_model(4, 2)
    model = truth.vae(DiagonalEncoder(truth))
    x = truth.bias + torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double()
    parameters = tuple(model.decoder.parameters())
    torch.manual_seed(0)
    ours = torch.stack([decoder_gradient(model, model.decoder, x, 2)[1] for _ in range(2000)])
    total = pathwise(elbo, model, x, 20_000).mean()
    exact = torch.autograd.grad(total, parameters)[1]
    assert within_chance(ours - exact, torch.zeros(4, dtype=torch.float64))


ZEROS, ONES = torch.zeros(4, 3), torch.ones(4, 3)


@pytest.mark.parametrize(
    ("eta", "sigma"),
    [
        (torch.zeros(3), torch.tensor(2.0)),  # A(sigma^2) would have one term instead of three: a KL of -0.19
        (torch.zeros(3), torch.ones(1)),
        (torch.zeros(1), torch.ones(3)),
        (torch.zeros(3), torch.ones(4)),
        (torch.tensor(0.0), torch.tensor(1.0)),
    ],
)
def test_the_kl_of_shapes_that_do_not_fit_is_refused(eta, sigma) -> None:
    with pytest.raises(ValueError, match=r"eta has shape .* and sigma .*; both must end in the same \[M\]: "):
        gaussian_kl(eta, sigma)


@pytest.mark.parametrize("bad", [-1.0, 0.0, float("nan")])
def test_a_standard_deviation_is_positive(bad) -> None:
    sigma = ONES.clone()
    sigma[1, 2] = bad
    for formula in (gaussian_kl, lambda eta, sigma: risk(ZEROS, ZEROS[None], eta, sigma)):
        with pytest.raises(ValueError, match=r"sigma has an entry of .* is above 0: give exp"):
            formula(ZEROS, sigma)


def test_the_blackboard_takes_any_batch_and_a_single_datum() -> None:
    assert gaussian_kl(torch.zeros(2, 4, 3), torch.ones(3)).shape == (2, 4)
    assert torch.func.vmap(gaussian_kl)(ZEROS, ONES).shape == (4,)
    assert risk(ZEROS[0], ZEROS, ZEROS[0], ONES[0]).shape == ()


@pytest.mark.parametrize("means", [ZEROS, ZEROS[None, :, :1], ZEROS[None, :1], ZEROS[None, None]])
def test_the_risk_needs_means_of_each_sample_and_datum(means) -> None:
    with pytest.raises(ValueError, match=r"means has shape .* for x of shape .*; .* give means\[None\]"):
        risk(ZEROS, means, ZEROS, ONES)


def test_the_risk_needs_a_posterior_of_each_datum() -> None:
    for eta, sigma in [(ZEROS[0], ONES[0]), (ZEROS[None], ONES[None]), (ZEROS, ONES[0])]:
        with pytest.raises(ValueError, match=r"eta has shape .* for x of shape .* use eta.expand\(B, M\)"):
            risk(ZEROS, ZEROS[None], eta, sigma)
