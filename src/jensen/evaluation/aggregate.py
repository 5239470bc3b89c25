"""Does the aggregate posterior match the prior? Every draw of the model assumes that it does."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import check_count
from jensen.data.seeds import derive_seed, generator, seeded
from jensen.distributions.moments import diagonal_normal, moments
from jensen.evaluation.estimate import Estimate, estimate
from jensen.evaluation.latents import are_active, only_group, rate_per_dimension
from jensen.evaluation.mixture import AggregatePosterior
from jensen.evaluation.mmd import mmd_test
from jensen.evaluation.verdict import UNCOVERED_TAIL, Findings, verdict
from jensen.mode import measuring, with_contexts
from jensen.trace import Model

MMD_DRAWS = 1000
"""Draws on either side of the MMD test, whose kernel matrix grows with their square."""
PASSES = 4
"""How often `aggregate` takes up a row: to encode it, for two sums over all rows, and for the test."""


@dataclass(frozen=True)
class Aggregate:
    """How q(z) = (1/N) sum_n q(z | x_n) compares with p(z); nats per datum.

    ``mean_n KL(q(z | x_n) || p) = I + KL(q(z) || p)`` (Hoffman & Johnson 2016, eq. 6): what the code
    says of its datum, and by how much the prior is wrong.
    """

    n: int
    """Data, N."""
    num_samples: int
    """Draws from the aggregate, S."""
    rate: Estimate
    """mean_n KL(q(z | x_n) || p(z))."""
    mutual_information: Estimate
    """I(x; z) within these N data, at most log N: an estimate for the population that is too low."""
    mutual_information_upper: Estimate
    """The same with each draw's own component left out: an estimate for the population that is too high."""
    log_n: float
    """The cap of `mutual_information`."""
    saturated: bool
    """Whether it is near its cap; then it and `marginal_kl` say only "at least" and "at most"."""
    marginal_kl: Estimate
    """KL(q(z) || p(z)): an estimate for the population that is too high."""
    marginal_kl_lower: float | None
    """KL of the normal with the aggregate's mean and covariance: below KL(q(z) || p(z)) but for a bias
    of about M (M + 3) / (4 S). None when p(z) is no normal."""
    mmd2: float
    mmd_p_value: float
    """Of the permutation test that q(z) = p(z), with `MMD_DRAWS` draws a side."""
    uncovered: float
    """Share of prior draws where q(z) is lower than at 99 % of its own draws: 0.01 if it is the prior."""
    active: int
    """Active latent dimensions."""
    rate_per_dimension: list[float] | None
    """Mean KL of each dimension, ``[M]``; None where it does not split."""
    verdict: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return asdict(self)


def aggregate(
    model: Model,
    blocks: Iterable[Tensor],
    *,
    num_samples: int = 2000,
    num_permutations: int = 500,
    seed: int = 0,
    contexts: Iterable[Tensor | None] | None = None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Aggregate:
    """Compare the aggregate posterior of the data in ``blocks`` with the prior.

    With z_s ~ q(z) drawn through row n_s: ``I = mean_s log q(z_s | x_{n_s}) - log q(z_s)`` and
    ``KL(q(z) || p) = mean_s log q(z_s) - log p(z_s)``. Standard errors are over the S draws; they
    leave out the bias of taking N data for the population, which the two figures for I enclose (Poole et al.
    2019, section 2.4). Cost: 2 S N evaluations of q, quick for diagonal normals; for a flow give fewer data
    and draws.

    Args:
        model: anything with ``posterior`` and ``trace``; one latent group.
        blocks: prepared rows, block after block.
        num_samples: S.
        num_permutations: relabellings of the MMD test.
        seed: seed of every draw; torch's global generator is left as it was.
        contexts: for conditional models whose rows do not carry their own, what is given in each block,
            ``[B, ...]``; then q(z) = (1/N) sum_n q(z | x_n, c_n).
        on_rows: told of rows that were taken up, each `PASSES` times in all, for progress.

    Raises:
        ValueError: fewer than two data or draws, several latent groups, or a posterior without a density.
    """
    check_count("num_samples", num_samples)
    if num_samples < 2:
        raise ValueError(f"{num_samples} draws; the aggregate needs 2 or more")
    with measuring(model), seeded(derive_seed(seed, "aggregate")):
        mixture, p, means, rates, split = _encode(model, with_contexts(blocks, contexts), on_rows)
        z, rows, own = mixture.draw(num_samples)
        z_prior = p.sample((num_samples,))
        log_p = p.log_prob(z).double()
        log_others = mixture.log_sum(z, without=rows, on_rows=on_rows)
        log_sum_prior = mixture.log_sum(z_prior, on_rows=on_rows)
        test = min(MMD_DRAWS, num_samples, len(mixture))  # each datum once, so the draws are independent
        labels = generator(seed, "permutations")
        fit = mmd_test(z[:test], z_prior[:test], num_permutations=num_permutations, generator=labels)
        on_rows(len(mixture))
    N = len(mixture)
    log_sum, others = torch.logaddexp(log_others, own), log_others - math.log(N - 1)
    information = estimate(own - (log_sum - math.log(N)))
    figures: dict[str, Any] = {
        "n": N,
        "num_samples": num_samples,
        "rate": estimate(rates),
        "mutual_information": information,
        "mutual_information_upper": estimate(own - others),
        "log_n": math.log(N),
        "marginal_kl": estimate(log_sum - math.log(N) - log_p),
        "marginal_kl_lower": gaussian_part(z, p),
        "mmd2": fit.mmd2,
        "mmd_p_value": fit.p_value,
        "uncovered": _uncovered(others, log_sum_prior - math.log(N)),
        "active": int(are_active(means).sum()),
        "rate_per_dimension": None if split is None else split.mean(0).tolist(),
    }
    findings = Findings(latents=z.shape[1], **{name: figures[name] for name in Findings.measured()})
    word, advice = verdict(findings)
    return Aggregate(**figures, saturated=findings.saturated, verdict=word, advice=advice)


def _encode(
    model: Model, blocks: Iterable[tuple[Tensor, Tensor | None]], on_rows: Callable[[int], None]
) -> tuple[AggregatePosterior, Distribution, Tensor, Tensor, Tensor | None]:
    """q(z), p(z), posterior means ``[N, M]``, rates ``[N]``, and rates by dimension ``[N, M]``."""
    posteriors, means, rates, splits = [], [], [], []
    for x, context in blocks:
        trace = model.trace(x, 1, context=context)
        q, p = only_group(trace, "the aggregate posterior")
        if not trace.has_density:
            raise ValueError("a point-mass posterior has no density, so its aggregate cannot be measured")
        posteriors.append(q)
        means.append(moments(q)[0])
        rates.append(trace.kl.sum(-1).mean(0))
        splits.append(rate_per_dimension(q, p))
        on_rows(len(x))
    mixture = AggregatePosterior(posteriors)
    if not posteriors or len(mixture) < 2:
        raise ValueError("the aggregate posterior needs 2 or more data")
    whole = torch.cat([s for s in splits if s is not None]) if all(s is not None for s in splits) else None
    return mixture, p, torch.cat(means), torch.cat(rates), whole


def gaussian_part(z: Tensor, p: Distribution) -> float | None:
    """KL(N(m, C) || p) with the mean m and covariance C of draws ``[S, M]``, nats; None unless p is normal.

    For a normal p, ``KL(q || p) = KL(q || N(m, C)) + KL(N(m, C) || p)``: log N(m, C) / p is a quadratic,
    whose mean is the same under q and N(m, C). So this is the part of the KL that moments show.
    """
    normal = diagonal_normal(p)
    if normal is None:
        return None
    u = (z - normal.loc).double() / normal.scale
    covariance = u.T.cov().reshape(u.shape[1], u.shape[1])
    log_det = torch.linalg.slogdet(covariance)[1]
    return float(0.5 * (covariance.trace() + u.mean(0).square().sum() - u.shape[1] - log_det))


def _uncovered(own: Tensor, prior: Tensor) -> float:
    """Share of ``prior`` densities below the lowest `UNCOVERED_TAIL` of the aggregate's ``own``."""
    return (prior < own.quantile(UNCOVERED_TAIL)).double().mean().item()
