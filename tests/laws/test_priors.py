"""What priors promise besides the laws: where they start, and whose parameters they hold."""

import copy
import math

import pytest
import torch
from torch import nn

from jensen import families, priors
from jensen.families import Conditional, NetworkScale
from jensen.models import VAE
from jensen.objectives import elbo


def shared_encoder() -> tuple[VAE, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(20, 4)
    encoder = Conditional(nn.Linear(4, 4), families.Normal([2], NetworkScale(2)))
    decoder = Conditional(nn.Linear(2, 4), families.Normal([4], families.SharedScale()))
    return VAE(priors.VampPrior(encoder, x[:5]), encoder, decoder), x


def test_the_vamp_prior_is_the_average_posterior_of_its_pseudo_inputs() -> None:
    model, x = shared_encoder()
    z = torch.randn(3, 7, 2)
    q = model.encoder(x[:5])
    expected = q.log_prob(z.unsqueeze(-2)).logsumexp(-1) - torch.tensor(5.0).log()
    torch.testing.assert_close(model.prior().log_prob(z), expected)


def test_the_vamp_prior_registers_the_encoder_once() -> None:
    model, x = shared_encoder()
    names = [name for name, _ in model.named_parameters()]
    assert [name for name in names if name.startswith("prior")] == ["prior.pseudo_inputs"]
    assert len(model.state_dict()) == len(set(names))
    elbo(model.trace(x, 2)).sum().backward()
    assert model.prior.pseudo_inputs.grad.abs().sum() > 0


def test_a_copied_vamp_prior_uses_the_copied_encoder() -> None:
    model, _ = shared_encoder()
    twin = copy.deepcopy(model)
    assert twin.prior._encoder[0] is twin.encoder
    assert twin.encoder is not model.encoder


@pytest.mark.parametrize(
    "family", [families.FullNormal(2), families.LowRankNormal(2, 1), families.FlowNormal(2, 3)]
)
def test_the_vamp_prior_takes_any_posterior_with_a_density(family: nn.Module) -> None:
    encoder, pseudo_inputs = Conditional(nn.Linear(4, family.num_outputs), family), torch.randn(5, 4)
    prior = priors.VampPrior(encoder, pseudo_inputs)()
    z = prior.sample((3, 7))
    assert z.shape == (3, 7, 2)
    parts = torch.stack([encoder(u[None]).log_prob(z[:, :, None])[..., 0] for u in pseudo_inputs])
    torch.testing.assert_close(prior.log_prob(z), parts.logsumexp(0) - math.log(5))


def test_a_fresh_flow_prior_is_standard_normal() -> None:
    z = torch.randn(10, 3)
    fresh, standard = priors.Flow(3)(), priors.StandardNormal(3)()
    torch.testing.assert_close(fresh.log_prob(z), standard.log_prob(z), atol=1e-4, rtol=1e-4)


def test_a_fresh_mixture_has_about_unit_variance() -> None:
    torch.manual_seed(0)
    p = priors.Mixture(4, 500)()
    assert p.mean.abs().max() < 0.2
    torch.testing.assert_close(p.variance, torch.ones(4), atol=0.2, rtol=0)
