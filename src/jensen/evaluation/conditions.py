"""New data under a condition, by importance resampling of the latents."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.data.seeds import seeded
from jensen.distributions.column_conditions import (
    draw_level,
    draw_within,
    is_density,
    log_probability_of_levels,
    log_probability_within,
)
from jensen.distributions.columns import Columns
from jensen.distributions.given import Given
from jensen.errors import UserError
from jensen.evaluation.estimate import effective_sample_size
from jensen.mode import measuring, with_contexts
from jensen.objectives.resampling import systematic

CHUNK = 1 << 12
"""Latents proposed at a time."""
MOST = 1 << 18
"""Latents proposed at most."""
FEWEST = 1e-8
"""A condition less likely than this is refused."""


@dataclass(frozen=True)
class Drawn:
    """Data drawn under a condition."""

    x: Tensor
    """``[n, C]``, all of which meet it."""
    probability: float
    """How likely the condition is under the model, or its density."""
    kind: str
    """"probability", or "density" where the condition gives an exact number of a column without a grid."""
    standard_error: float
    """Of that probability."""
    effective_sample_size: float
    """Of the latents behind the data: about so many of them are different."""
    proposed: int
    """How many latents were drawn from the prior."""


def log_probability(p: Any, conditions: Sequence[Any]) -> Tensor:
    """log P(all conditions | z), ``[*batch]``: the columns are independent given z."""
    return torch.stack([_log_probability(_columns(p), c) for c in conditions]).sum(0)


def _columns(p: Any) -> Any:
    return p.base if isinstance(p, Given) else p


def _log_probability(p: Columns, c: Any) -> Tensor:
    measure, _, allowed = _functions(p, c)
    return measure(p, c.place, *allowed)


def _functions(p: Columns, c: Any) -> tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Any, ...]]:
    """What measures a condition on a column, what draws the column under it, and what it allows."""
    if c.levels is not None:
        return log_probability_of_levels, draw_level, (torch.tensor(c.levels, device=p.logits.device),)
    return log_probability_within, draw_within, (c.spans,)


def sample_where(
    model: Any, n: int, conditions: Sequence[Any], *, contexts: Tensor | None = None, seed: int = 0
) -> Drawn:
    """``n`` data of p(x | condition), without rejection.

    z_1, z_2, ... from p(z), with weights ``w_i = P(condition | z_i)``, which the columns give exactly; n of
    them resampled by weight; then x from p(x | z, condition), the columns with a condition from what it
    leaves of their distributions. P(condition) is the mean weight. More latents are proposed until their
    effective sample size ``(sum w)^2 / sum w^2`` is n, or `MOST` are.

    Args:
        model: with ``prior`` and ``likelihood``, whose likelihood is `Columns`.
        n: how many.
        conditions: `jensen.data.tables.where.Allowed`, at most one a column; of a conditional model, with
            places among the modelled columns.
        contexts: of a conditional model, ``[S, Cc]``, from which c is drawn for each latent, so that pairs
            (z, c) are weighted by P(condition | z, c): what is drawn is p(x, c | condition) for such c.
        seed: of all draws.

    Raises:
        UserError: the condition is (nearly) impossible under the model.
    """
    with measuring(model), seeded(seed):
        z, c, log_w = _proposed(model, n, conditions, contexts)
        log_mean = float(log_w.logsumexp(0) - math.log(len(log_w)))
        probability = math.exp(log_mean)
        p = _columns(model.likelihood((z[:1],), context=None if c is None else c[:1]))
        density = any(
            is_density(p, c.place, *span) for c in conditions if c.levels is None for span in c.spans
        )
        kind = "density" if density else "probability"
        if not probability > (0 if density else FEWEST):
            raise UserError(
                f"--where: almost no sample meets it: under the model its {kind} is about "
                f"{_power(log_mean)}; ask for something likelier"
            )
        picks = systematic(log_w.softmax(0), torch.rand(()), n)
        picks = picks[torch.randperm(n, device=picks.device)]
        drawn = with_contexts(z[picks].split(CHUNK), None if c is None else c[picks].split(CHUNK))
        parts = (model.likelihood((some,), context=own) for some, own in drawn)
        x = torch.cat([_draw(p, conditions) for p in parts])
    error = float(log_w.exp().std() / math.sqrt(len(log_w)))
    return Drawn(x.cpu(), probability, kind, error, float(effective_sample_size(log_w)), len(log_w))


def _power(log: float) -> str:
    """A number whose logarithm is given, to one digit: also 1e-900, which float64 does not hold."""
    if log == -math.inf:
        return "0"
    exponent = math.floor(log / math.log(10))
    digit = round(math.exp(log - exponent * math.log(10)))
    return f"{'1' if digit == 10 else digit}e{exponent + (digit == 10):+03d}"


def _proposed(
    model: Any, n: int, conditions: Sequence[Any], contexts: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Latents ``[I, M]`` from the prior, their contexts ``[I, Cc]``, and log P(condition | each), ``[I]``.

    Enough for an effective sample size of n, but `MOST` at most.
    """
    latents: list[Tensor] = []
    given: list[Tensor] = []
    log_w = torch.empty(0)
    # The size is NaN while no latent allows the condition.
    while not len(log_w) or (len(log_w) < MOST and not effective_sample_size(log_w) >= n):
        z, c = model.prior().sample((CHUNK,)), None
        if contexts is not None:
            c = contexts[torch.randint(len(contexts), (CHUNK,), device=z.device)]
            given.append(c)
        latents.append(z)
        found = log_probability(model.likelihood((z,), context=c), conditions).double()
        log_w = torch.cat([log_w.to(found), found])
    return torch.cat(latents), torch.cat(given) if given else None, log_w


def _draw(p: Columns | Given, conditions: Sequence[Any]) -> Tensor:
    """For each latent, a row that meets the conditions."""
    if isinstance(p, Given):
        assert isinstance(p.base, Columns)
        return p.whole(_draw(p.base, conditions))
    x = p.sample()
    for c in conditions:
        _, draw, allowed = _functions(p, c)
        x[..., c.place] = draw(p, c.place, *allowed)
    return x
