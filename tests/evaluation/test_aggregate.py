"""The aggregate posterior: figures against closed forms and quadrature, verdicts on made cases."""

import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from jensen.distributions import Delta
from jensen.evaluation.aggregate import Aggregate, aggregate, gaussian_part
from jensen.evaluation.estimate import Estimate
from jensen.evaluation.mixture import AggregatePosterior
from jensen.evaluation.verdict import Findings, verdict
from jensen.models import VAE
from jensen.priors import StandardNormal
from tests.chance import within_chance
from tests.evaluation.test_ais import Encoder, matrices


class Decoder(nn.Module):
    def forward(self, z: Tensor, context: Tensor | None = None):
        return Independent(Normal(z, 1.0), 1)


def encoder_only(encode, M: int) -> VAE:
    return VAE(StandardNormal(M).double(), Encoder(encode), Decoder())


def normal(mean: Tensor, sd: Tensor | float) -> Independent:
    return Independent(Normal(mean, sd), 1)


def linear(W: Tensor, b: Tensor, root: Tensor) -> VAE:
    return encoder_only(lambda x: MultivariateNormal(x @ W.T + b, scale_tril=root), len(b))


def standard_data(n: int, D: int, seed: int = 0) -> Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_linear_encoder_of_normal_data_has_the_closed_form() -> None:
    # x ~ N(0, I), q(z | x) = N(W x + b, S): q(z) = N(b, W W' + S), I = log det(W W' + S) / det(S) / 2.
    W = torch.tensor([[0.8, 0.1], [-0.3, 0.6]]).double()
    b = torch.tensor([0.4, -0.2]).double()
    root = torch.tensor([[0.5, 0.0], [0.2, 0.6]]).double()
    S = root @ root.T
    whole = W @ W.T + S
    information = 0.5 * (torch.logdet(whole) - torch.logdet(S)).item()
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    kl = kl_divergence(MultivariateNormal(b, whole), prior).item()
    x = standard_data(4000, 2)
    found = aggregate(linear(W, b, root), x.split(1000), num_samples=4000)
    low, high = found.mutual_information, found.mutual_information_upper
    assert low.value < high.value
    # N of the data stand for the population: a bias of order 1/N beside the standard errors.
    assert low.value - 5 * low.standard_error < information < high.value + 5 * high.standard_error
    assert high.value - low.value < 0.02
    assert found.marginal_kl.value == pytest.approx(kl, abs=5 * found.marginal_kl.standard_error + 0.01)
    assert found.marginal_kl_lower == pytest.approx(kl, abs=0.05)
    assert found.rate.value == pytest.approx(information + kl, abs=5 * found.rate.standard_error)
    assert not found.saturated
    assert found.n == found.num_samples == 4000
    assert found.rate_per_dimension is None  # the posterior is not diagonal


def test_the_information_within_few_data_is_exact() -> None:
    # Three data, one latent: the mixture of three normals, by quadrature.
    mean, sd = torch.tensor([[-1.0], [0.5], [2.0]]).double(), torch.tensor([[0.5], [0.3], [1.0]]).double()
    grid = torch.linspace(-12, 12, 40_001, dtype=torch.float64).unsqueeze(1)
    log_q = normal(mean, sd).log_prob(grid.unsqueeze(1))
    log_mix = log_q.logsumexp(1) - math.log(3)
    step = 24 / 40_000
    information = ((log_q.exp() * (log_q - log_mix.unsqueeze(1))).sum(0) * step).mean().item()
    prior = normal(torch.zeros(1).double(), torch.ones(1).double())
    kl = (log_mix.exp() * (log_mix - prior.log_prob(grid))).sum().item() * step
    mixture = AggregatePosterior([normal(mean[:2], sd[:2]), normal(mean[2:], sd[2:])])
    torch.manual_seed(0)
    z, _, own = mixture.draw(60_000)
    log_sum = mixture.log_sum(z)
    assert within_chance(own - log_sum + math.log(3), information)
    assert within_chance(log_sum - math.log(3) - prior.log_prob(z), kl)
    found = aggregate(encoder_only(lambda x: normal(x, sd), 1), [mean], num_samples=20_000)
    assert found.mutual_information.value == pytest.approx(information, abs=0.03)
    assert found.rate.value == pytest.approx(information + kl, abs=1e-9)  # the decomposition, exactly


@pytest.mark.parametrize("diagonal", [True, False])
def test_the_mixture_is_the_sum_of_its_components(diagonal: bool) -> None:
    torch.manual_seed(0)
    mean, sd = torch.randn(30, 4).double(), torch.rand(30, 4).double() + 0.1
    q = normal(mean, sd) if diagonal else MultivariateNormal(mean, scale_tril=torch.diag_embed(sd))
    mixture = AggregatePosterior([q])
    z, rows, own = mixture.draw(75)
    assert z.shape == (75, 4)
    direct = normal(mean, sd).log_prob(z.unsqueeze(1))
    torch.testing.assert_close(mixture.log_sum(z), direct.logsumexp(1))
    torch.testing.assert_close(direct[torch.arange(75), rows], own)
    others = torch.stack([torch.cat([direct[s, :n], direct[s, n + 1 :]]) for s, n in enumerate(rows)])
    torch.testing.assert_close(mixture.log_sum(z, without=rows), others.logsumexp(1))


def test_float32_posteriors_that_are_narrow_and_far_lose_no_digits() -> None:
    mean = torch.tensor([[300.0], [300.1]])
    mixture = AggregatePosterior([normal(mean, torch.full((2, 1), 0.01))])
    exact = AggregatePosterior([normal(mean.double(), torch.full((2, 1), 0.01).double())])
    z = mean + 0.005
    torch.testing.assert_close(mixture.log_sum(z), exact.log_sum(z.double()), atol=1e-3, rtol=0)


def test_the_part_of_the_divergence_that_moments_show() -> None:
    torch.manual_seed(0)
    root = torch.tensor([[0.5, 0.0], [0.3, 2.0]]).double()
    q = MultivariateNormal(torch.tensor([1.0, -2.0]).double(), scale_tril=root)
    p = normal(torch.tensor([0.5, 0.0]).double(), torch.tensor([2.0, 1.0]).double())
    assert gaussian_part(q.sample((200_000,)), p) == pytest.approx(kl_divergence(q, p).item(), rel=0.01)
    assert gaussian_part(q.sample((10,)), q) is None


M = 4
EYE = torch.eye(M, dtype=torch.float64)


def verdict_on(encode, n: int = 1500, **options) -> Aggregate:
    return aggregate(encoder_only(encode, M), standard_data(n, M).split(400), num_samples=1500, **options)


def test_good_when_the_aggregate_is_the_prior() -> None:
    found = verdict_on(lambda x: normal(0.8 * x, torch.full_like(x, 0.6)))
    assert found.verdict == "good"
    assert found.mmd_p_value > 0.001
    assert found.uncovered < 0.03
    assert abs(found.marginal_kl.value) < 0.3
    assert found.active == M
    assert len(found.rate_per_dimension or []) == M


def test_collapsed_when_the_posterior_is_the_prior() -> None:
    found = verdict_on(lambda x: normal(0 * x, torch.ones_like(x)))
    assert found.verdict == "collapsed"
    assert found.active == 0
    assert abs(found.mutual_information.value) < 1e-6
    assert "ignores" in found.advice
    assert "--beta" in found.advice  # a large one is the commonest cause


def test_under_used_when_most_dimensions_sleep() -> None:
    used = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
    found = verdict_on(lambda x: normal(0.8 * x * used, torch.where(used > 0, 0.6, 1.0).expand_as(x)))
    assert found.verdict == "under-used"
    assert "1 of 4" in found.advice


def test_holes_when_the_prior_reaches_where_no_data_are() -> None:
    # Two clusters far apart, each narrow: the prior's mass between them is not covered.
    found = verdict_on(lambda x: normal(x.sign() * 1.2 + 0.05 * x, torch.full_like(x, 0.1)))
    assert found.verdict == "holes"
    assert found.uncovered > 0.5
    assert found.mmd_p_value < 0.01


def test_mismatched_when_the_aggregate_goes_beyond_the_prior() -> None:
    found = verdict_on(lambda x: normal(1.7 * x, torch.full_like(x, 0.5)))
    assert found.verdict == "mismatched"
    assert found.uncovered < 0.03
    assert found.marginal_kl.value > 0.5


def test_information_beyond_the_logarithm_of_the_number_of_data_is_called_saturated() -> None:
    # q(z | x) = N(0.99999 x, 0.004 I): the aggregate is the prior, but I = 22 nats, and log N = 6.2.
    found = verdict_on(lambda x: normal(0.99999 * x, torch.full_like(x, 0.0045)), n=500)
    assert found.saturated
    assert found.mutual_information.value <= found.log_n + 1e-9
    assert found.mutual_information_upper.value > 50  # no cap: the rows that remain are far away
    assert found.marginal_kl.value > 10  # an upper bound only, which the verdict must not trust
    assert found.uncovered < 0.05
    assert found.verdict == "unclear"
    assert "500 rows are too few" in found.advice


@pytest.mark.parametrize(("spread", "verdict"), [(1.0, "unclear"), (0.3, "holes")])
def test_few_rows_raise_no_false_alarm_and_hide_no_plain_mismatch(spread: float, verdict: str) -> None:
    # 180 rows, the test split of the digits, each with a code of its own.
    found = verdict_on(lambda x: normal(spread * x, torch.full_like(x, 0.02)), n=180)
    assert found.saturated
    assert found.verdict == verdict


def findings(**changes) -> Findings:
    """Of a model that is good, but for changes."""
    good = {
        "latents": 8,
        "mutual_information": Estimate(3.0, 0.1),
        "log_n": math.log(1000),
        "marginal_kl": Estimate(0.2, 0.1),
        "marginal_kl_lower": 0.1,
        "mmd_p_value": 0.5,
        "uncovered": 0.01,
        "active": 8,
    }
    return Findings(**{**good, **changes})


def test_a_prior_that_is_learned_already_is_not_recommended() -> None:
    far = {"mmd_p_value": 0.002, "marginal_kl": Estimate(2.0, 0.1)}
    assert "--prior mixture" in verdict(findings(**far))[1]
    word, advice = verdict(findings(**far, marginal_kl_lower=None))
    assert (word, "--prior" in advice) == ("mismatched", False)
    assert "2.0 nats" in advice
    holes = findings(**far, uncovered=0.5, marginal_kl_lower=None)
    assert "a learned prior" not in verdict(holes)[1]


def test_good_does_not_say_that_priors_match_which_the_test_tells_apart() -> None:
    assert "matches" in verdict(findings())[1]
    word, advice = verdict(findings(mmd_p_value=5 / 501))  # printed as 0.010
    assert (word, "matches" in advice) == ("good", False)
    assert "not quite" in advice


def test_few_rows_are_unclear_before_they_are_under_used() -> None:
    assert verdict(findings(active=2))[0] == "under-used"
    for few in ({"log_n": math.log(2)}, {"log_n": math.log(9), "mutual_information": Estimate(1.0, 0.1)}):
        word, advice = verdict(findings(active=2, **few))
        assert word == "unclear"
        assert "2 of 8" in advice
    assert verdict(findings(log_n=math.log(9), mutual_information=Estimate(1.0, 0.1)))[0] == "unclear"


def test_where_information_is_at_its_cap_the_distance_lies_between_two_bounds() -> None:
    cap = {"mutual_information": Estimate(6.8, 0.1), "marginal_kl": Estimate(9.0, 0.1), "mmd_p_value": 0.002}
    word, advice = verdict(findings(**cap, marginal_kl_lower=1.5))
    assert word == "mismatched"
    assert "between 1.5 and 9.0 nats" in advice
    assert verdict(findings(**cap, marginal_kl_lower=None))[0] == "unclear"  # 9 nats are an upper bound alone


def test_same_seed_same_figures_ready_for_json() -> None:
    before = torch.get_rng_state()
    first, again = (verdict_on(lambda x: normal(0.8 * x, torch.full_like(x, 0.6)), n=200) for _ in range(2))
    assert first == again
    assert (torch.get_rng_state() == before).all()
    figures = json.loads(json.dumps(first.to_dict()))
    assert figures["mutual_information"] == first.mutual_information.to_dict()
    assert figures["verdict"] == first.verdict


def test_what_has_no_aggregate_is_refused() -> None:
    model = encoder_only(lambda x: normal(x, torch.ones_like(x)), M)
    with pytest.raises(ValueError, match="2 or more"):
        aggregate(model, [standard_data(1, M)])
    with pytest.raises(ValueError, match="2 or more"):
        aggregate(model, [])
    with pytest.raises(ValueError, match=r"event shape \(2, 3\), the aggregate posterior needs vectors"):
        aggregate(matrices(), [torch.zeros(4, 6).double()])
    with pytest.raises(ValueError, match="point-mass"):
        aggregate(encoder_only(Delta, M), [standard_data(5, M)])
    with pytest.raises(ValueError, match="2 or more"):
        aggregate(model, [standard_data(5, M)], num_samples=1)
