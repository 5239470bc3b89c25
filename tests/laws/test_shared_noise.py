"""With shared noise each row has the draws that it would have alone: they do not depend on its neighbours."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from jensen import families, priors
from jensen.chunks import CHUNK
from jensen.distributions.shared_noise import share_noise
from jensen.evaluation.score import score
from jensen.models import VAE
from jensen.models.local import semi_amortized, two_tier
from jensen.networks import mlp
from jensen.training.two_tier import inner_loop
from tests.laws.cases import CLASSES, ENCODERS, Case

SEED = 3


def draws(q: torch.distributions.Distribution, how: str) -> torch.Tensor:
    torch.manual_seed(SEED)
    found: torch.Tensor = getattr(q, how)((4,))
    return found


@pytest.mark.parametrize("case", ENCODERS, ids=lambda case: case.name)
@torch.no_grad()
def test_rows_draw_as_if_they_were_alone(case: Case) -> None:
    """So a row's draws have its own distribution, whatever the other rows and their order."""
    module = case.build()
    raw = case.raw(module, 5)
    q = module(raw)
    shared = share_noise(q)
    assert (shared.batch_shape, shared.event_shape) == (q.batch_shape, q.event_shape)
    assert draws(q, "sample").shape == (4, 5, *q.event_shape), "q itself is as it was"
    moments = torch.cat(
        [torch.stack([alone.mean, alone.variance]) for row in raw if (alone := module(row[None]))], 1
    )
    torch.testing.assert_close(torch.stack([q.mean, q.variance]), moments, rtol=1e-9, atol=1e-12)
    for how in ("rsample", "sample") if q.has_rsample else ("sample",):
        together = draws(shared, how)
        alone = torch.cat([draws(module(raw[row : row + 1]), how) for row in range(5)], 1)
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
        if case.support != "point":
            of_each = torch.cat([module(raw[[row]]).log_prob(together[:, [row]]) for row in range(5)], 1)
            torch.testing.assert_close(shared.log_prob(together), of_each, rtol=1e-9, atol=1e-9)


def test_what_is_not_known_comes_back_as_it_is() -> None:
    class Own(Normal):
        """A user's posterior, which may draw in any way."""

    for q in (
        Own(torch.zeros(3), torch.ones(3)),
        Normal(torch.zeros(2, 3), torch.ones(2, 3)),
        "of a hierarchy",
    ):
        assert share_noise(q) is q


def inferred(case: Case, kind: str, D: int) -> VAE:
    """A model whose few inner steps end short of the best posterior."""
    family = case.build()
    raw = case.raw(family, 1)
    (M,) = family(raw).event_shape
    latents = {"one-hot": priors.Categorical(2, CLASSES), "simplex": priors.RelaxedCategorical(1, CLASSES)}
    prior = latents.get(case.support, priors.StandardNormal(M))
    decoder = families.Conditional(mlp(M, [8], D), families.Normal([D], families.FixedScale(0.3)))
    if kind == "two-tier":
        return two_tier(prior, family, decoder, inner_loop(6)).double()
    encoder = families.Conditional(mlp(D, [8], raw.shape[-1]), family)
    return semi_amortized(prior, encoder, decoder, inner_loop(3, 0.1)).double()


def assert_scored_alone(model: VAE, x: Tensor) -> None:
    """Each row has the score that it has by itself, behind all others, and in smaller blocks."""
    together, backwards, parts, alone = (
        score(model, blocks, 20).log_px for blocks in ([x], [x.flip(0)], x.split(3), x.split(1))
    )
    for found in (backwards.flip(0), parts, alone):
        torch.testing.assert_close(found, together, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["two-tier", "semi-amortized"])
@pytest.mark.parametrize(
    "case", [case for case in ENCODERS if case.support != "point"], ids=lambda case: case.name
)
def test_rows_are_refined_as_if_they_were_alone(case: Case, kind: str) -> None:
    """For a given seed the refined posterior is a function of the row alone, whatever its place."""
    model = inferred(case, kind, 4)
    assert_scored_alone(model, torch.randn(7, 4, dtype=torch.float64))


def test_rows_of_many_numbers_are_measured_as_if_they_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of samples that went by the rows of a block would move the noise of an inner measurement."""
    monkeypatch.setitem(CHUNK, "cpu", 5 * 7 * 4)  # 5 samples of 7 rows, or 35 of one
    assert_scored_alone(inferred(ENCODERS[0], "semi-amortized", 4), torch.randn(7, 4, dtype=torch.float64))
