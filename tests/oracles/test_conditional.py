"""Conditional VAEs against exact answers: x = W z + V c + noise, where log p(x | c) is known."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from jensen.evaluation import encode, importance_weighted
from jensen.evaluation.aggregate import aggregate
from jensen.evaluation.score import score
from jensen.families import Conditional, FixedScale, Normal
from jensen.models import VAE, ConditionalVAE
from jensen.models.conditional import PairEncoder, RowDecoder, RowEncoder
from jensen.networks import Beside, mlp
from jensen.objectives import doubly_reparameterized, elbo, iwae, pathwise, sticking_the_landing
from jensen.priors import StandardNormal
from jensen.training.two_tier import compute_log_likelihood
from tests.chance import within_chance
from tests.oracles.linear_gaussian import LinearGaussian, random_model

GIVEN, MODELLED = [3, 0], [1, 2, 4, 5]
M = 2


@pytest.fixture(autouse=True)
def double() -> None:
    """Sigma itself must not pass through float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Truth:
    """x = W z + V c + b + sigma eps: for a given c a linear-Gaussian model whose mean is moved by V c."""

    def __init__(self) -> None:
        self.plain = random_model(len(MODELLED), M, seed=1)
        self.slope = torch.randn(len(MODELLED), len(GIVEN), generator=torch.Generator().manual_seed(2))

    def at(self, row: Tensor) -> tuple[LinearGaussian, Tensor]:
        """The model without c, and what it says of rows: x - V c."""
        return self.plain, row[..., MODELLED] - row[..., GIVEN] @ self.slope.T

    def log_px(self, row: Tensor) -> Tensor:
        """log p(x | c) of whole rows, in closed form."""
        plain, x = self.at(row)
        return plain.log_px(x)

    def decoder(self) -> Conditional:
        network = mlp(M + len(GIVEN), [], len(MODELLED))
        with torch.no_grad():
            network[1].weight.copy_(torch.cat([self.plain.weight, self.slope], 1))
            network[1].bias.copy_(self.plain.bias)
        return Conditional(Beside(network), Normal([len(MODELLED)], FixedScale(self.plain.sigma)))

    def model(self, encoder: nn.Module) -> ConditionalVAE:
        decoder = RowDecoder(self.decoder(), GIVEN, len(GIVEN) + len(MODELLED))
        return ConditionalVAE(StandardNormal(M), RowEncoder(encoder, GIVEN), decoder, GIVEN)


class Exact(nn.Module):
    """q(z | x, c) = p(z | x, c) of whole rows."""

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self.truth = truth

    def forward(self, row: Tensor, context: Tensor | None = None) -> Distribution:
        plain, x = self.truth.at(row)
        exact = plain.posterior(x)
        return MultivariateNormal(exact.loc, scale_tril=exact.scale_tril)


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
def rows() -> Tensor:
    return torch.randn(40, len(GIVEN) + len(MODELLED), generator=torch.Generator().manual_seed(3))


def test_with_the_exact_posterior_the_bound_is_log_p_of_x_given_c(truth: Truth, rows: Tensor) -> None:
    model = truth.model(Exact(truth))
    values = importance_weighted(model, rows, 1)
    torch.testing.assert_close(values["iwae"], truth.log_px(rows), atol=1e-6, rtol=0)
    trace = model.trace(rows, 3)
    torch.testing.assert_close(trace.log_w, truth.log_px(rows).expand(3, -1), atol=1e-6, rtol=0)
    assert torch.equal(trace.context, rows[:, GIVEN])
    # log p(x, c) would depend on how likely c is; log p(x | c) depends on x - V c alone.
    moved = rows.clone()
    moved[:, GIVEN] += 5.0
    moved[:, MODELLED] += 5.0 * truth.slope.sum(1)
    torch.testing.assert_close(
        importance_weighted(model, moved, 1)["iwae"], values["iwae"], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("estimator", [pathwise, sticking_the_landing, doubly_reparameterized])
def test_every_estimator_takes_a_context_in_the_place_of_the_rows_own(
    truth: Truth, rows: Tensor, estimator: object
) -> None:
    model, bound = truth.model(Exact(truth)), iwae if estimator is doubly_reparameterized else elbo
    context = torch.randn(len(rows), len(GIVEN), generator=torch.Generator().manual_seed(4))
    replaced = rows.clone()
    replaced[:, GIVEN] = context
    torch.manual_seed(0)
    ours = estimator(bound, model, rows, 4, context=context)  # type: ignore[operator]
    torch.manual_seed(0)
    theirs = estimator(bound, model, replaced, 4)  # type: ignore[operator]
    torch.testing.assert_close(ours, theirs)
    z = model.trace(rows, 3).z
    torch.testing.assert_close(model.log_joint(rows, z, context=context), model.log_joint(replaced, z))


def test_plain_parts_take_an_explicit_context(truth: Truth, rows: Tensor) -> None:
    """A researcher's VAE: no rows that carry c, but x beside a context."""
    plain, _ = truth.at(rows)

    class Beside(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
            assert context is not None
            return plain.posterior(x - context @ truth.slope.T)

    model = VAE(StandardNormal(M), Beside(), truth.decoder())
    x, c = rows[:, MODELLED], rows[:, GIVEN]
    trace = model.trace(x, 3, context=c)
    torch.testing.assert_close(trace.log_w, truth.log_px(rows).expand(3, -1), atol=1e-6, rtol=0)
    # The scores and the latents of each row, block after block; with them rows that carry their own c agree.
    blocks = {"blocks": x.split(16), "contexts": c.split(16)}
    scores, latents = score(model, **blocks, num_samples=2), encode(model, **blocks)
    torch.testing.assert_close(scores.log_px, truth.log_px(rows), atol=1e-6, rtol=0)
    exact = plain.posterior(truth.at(rows)[1])
    torch.testing.assert_close(latents.mean, exact.mean)
    torch.testing.assert_close(latents.standard_deviation, exact.stddev)
    whole = truth.model(Exact(truth))
    torch.testing.assert_close(score(whole, rows.split(16), 2).log_px, scores.log_px)
    torch.testing.assert_close(encode(whole, rows.split(16)).mean, latents.mean)
    found, theirs = aggregate(model, **blocks), aggregate(whole, rows.split(16))
    assert found.rate.value == pytest.approx(theirs.rate.value)
    assert found.marginal_kl.value == pytest.approx(theirs.marginal_kl.value)
    for measure in (encode, score, aggregate):
        with pytest.raises(ValueError, match="is no blocks"):
            measure(model, x.split(16), contexts=c)
        with pytest.raises(ValueError, match="shorter"):
            measure(model, x.split(16), contexts=c.split(16)[:2])
        with pytest.raises(ValueError, match="a block of 16 rows has a context of 20"):
            measure(model, x.split(16), contexts=c.split(20))


def test_rows_of_an_image_and_what_is_given_behind_it(truth: Truth, rows: Tensor) -> None:
    plain, _ = truth.at(rows)

    class Apart(nn.Module):
        def forward(self, x: Tensor, context: Tensor) -> Distribution:
            exact = plain.posterior(x.flatten(-2) - context @ truth.slope.T)
            return MultivariateNormal(exact.loc, scale_tril=exact.scale_tril)

    likelihood = Normal([2, 2], FixedScale(plain.sigma))
    decoder = RowDecoder(Conditional(truth.decoder().network, likelihood), [4, 5], 6)
    model = ConditionalVAE(StandardNormal(M), PairEncoder(Apart(), [2, 2]), decoder, [4, 5])
    pairs = torch.cat([rows[:, MODELLED], rows[:, GIVEN]], 1)
    values = importance_weighted(model, pairs, 1)
    torch.testing.assert_close(values["iwae"], truth.log_px(rows), atol=1e-6, rtol=0)
    assert model.sample(3, context=rows[:3, GIVEN])[:, 4:].equal(rows[:3, GIVEN])


def test_refinement_climbs_to_log_p_of_x_given_c(truth: Truth, rows: Tensor) -> None:
    from jensen.families import FullNormal

    family = FullNormal(M)
    torch.manual_seed(0)
    model = truth.model(Conditional(mlp(rows.shape[1], [], family.num_outputs), family))
    found = compute_log_likelihood(model, [rows[:10]], 200)
    assert (truth.log_px(rows[:10]) - found.start).mean() > 0.5, "an encoder that knows nothing"
    assert (truth.log_px(rows[:10]) - found.values).abs().max() < 0.05


def test_samples_have_the_mean_and_spread_that_c_gives_them(truth: Truth) -> None:
    model, n = truth.model(Exact(truth)), 4000
    c = torch.tensor([1.5, -0.5])
    torch.manual_seed(0)
    drawn = model.sample(n, context=c.expand(n, -1))
    assert torch.equal(drawn[:, GIVEN], c.expand(n, -1))
    mean = truth.plain.bias + truth.slope @ c
    variance = truth.plain.weight.square().sum(1) + truth.plain.sigma**2
    for place, m, v in zip(MODELLED, mean, variance, strict=True):
        assert within_chance(drawn[:, place], m.item(), tests=20)
        assert within_chance((drawn[:, place] - m).square(), v.item(), tests=20)
    means = model.sample(n, context=c.expand(n, -1), mean=True)
    assert means[:, MODELLED].var() < drawn[:, MODELLED].var()


def test_without_a_context_it_is_drawn_from_those_remembered(truth: Truth) -> None:
    model = truth.model(Exact(truth))
    with pytest.raises(ValueError, match="remembers no contexts"):
        model.sample(3)
    model.contexts.remember(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [2.0, 5.0]]))
    torch.manual_seed(0)
    drawn = model.sample(4000)[:, GIVEN]
    assert within_chance((drawn[:, 0] == 2).double(), 0.25)
    assert torch.equal(drawn[:, 1], torch.where(drawn[:, 0] == 2, 5.0, 0.0))
    # They are part of the state, however many they are.
    other = truth.model(Exact(truth))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.contexts.rows, model.contexts.rows)
    assert math.prod(other.contexts.rows.shape) == 8


def test_a_context_is_needed(truth: Truth) -> None:
    with pytest.raises(ValueError, match="needs context="):
        truth.model(Exact(truth)).likelihood((torch.zeros(1, 3, M),))
