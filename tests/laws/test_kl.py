"""The law of KL divergences: the formula equals the mean of log q - log p over draws."""

import itertools

import pytest
import torch

import jensen.distributions  # noqa: F401  (registers pairs)
from jensen.trace import closed_form_kl
from tests.chance import within_chance
from tests.laws.cases import CLOSED_FORM_KL, ENCODERS, PRIORS, Case
from tests.laws.test_densities import COMPARISONS

PAIRS = [
    (q, p) for q, p in itertools.product(ENCODERS, PRIORS) if q.support == p.support and q.name != "flow-1d"
]


@pytest.mark.parametrize(("posterior", "prior"), PAIRS, ids=lambda case: case.name)
def test_closed_form_kl_is_its_monte_carlo_estimate(posterior: Case, prior: Case) -> None:
    encoder, p = posterior.build(), prior.build()()
    q = encoder(posterior.raw(encoder, 3))
    exact = closed_form_kl(q, p)
    assert (exact is not None) == ((posterior.name, prior.name) in CLOSED_FORM_KL)
    torch.manual_seed(4)
    z = q.sample((20_000,))
    terms = q.log_prob(z) - p.log_prob(z)
    assert torch.isfinite(terms).all()
    if exact is None:
        assert (terms.mean(0) > -0.05).all()  # a KL is not negative
    else:
        assert exact.shape == (3,)
        assert within_chance(terms, exact, tests=COMPARISONS)


@pytest.mark.parametrize("case", ENCODERS, ids=lambda case: case.name)
def test_the_divergence_of_a_distribution_from_itself_is_zero(case: Case) -> None:
    if case.support == "point":
        pytest.skip("no density")
    module = case.build()
    q = module(case.raw(module, 3))
    kl = closed_form_kl(q, q)
    if kl is not None:
        torch.testing.assert_close(kl, torch.zeros(3).double())
