"""How likely each row is under the model, and which columns make it so."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from jensen.chunks import BLOCK, chunk_sizes, numbers_of, traces
from jensen.data.seeds import seeded
from jensen.distributions.given import Given
from jensen.distributions.shared_noise import share_noise
from jensen.errors import UserError
from jensen.evaluation.estimate import effective_sample_size
from jensen.mode import measuring, with_contexts
from jensen.objectives.bounds import log_mean_exp
from jensen.trace import Model

SMALLER = 8
"""How many times smaller chunks are than in evaluation; another number would change the noise of a seed."""


@dataclass(frozen=True)
class Scores:
    """The scores of N rows, float64 on the CPU."""

    log_px: Tensor
    """The importance-weighted estimate of log p(x), nats of the data as given, ``[N]``: rare rows score
    low."""
    effective_sample_size: Tensor
    """Of the importance weights, ``[N]``, between 1 and K."""
    columns: Tensor | None
    """What each column adds, ``[N, C]``, nats; None where it was not asked for."""
    latents: Tensor | None
    """What is left when the columns are taken from the score, ``[N]``: -KL(p(z | x) || p(z)), about."""


def score_blocks(
    model: Model,
    blocks: Iterable[Tensor],
    num_samples: int = 200,
    *,
    log_det: float | Tensor = 0.0,
    per_column: bool = False,
    seed: int = 0,
    contexts: Iterable[Tensor | None] | None = None,
    on_block: Callable[[int], None] = lambda rows: None,
) -> Iterator[Scores]:
    """``log mean_k w_k`` of each row (Burda, Grosse & Salakhutdinov 2016, eq. 8), and its parts.

    With self-normalized weights ``v_k = w_k / sum w``, a column's share is ``sum_k v_k log p(x_j | z_k)``, an
    estimate of its expectation under p(z | x). The shares and the latents' add up to the score, since
    ``log p(x) = E_{p(z|x)} log p(x | z) - KL(p(z | x) || p(z))``.

    Args:
        model: anything with ``trace``.
        blocks: prepared rows, block after block.
        num_samples: K.
        log_det: added to every score, for nats of the data as given. Of each column, ``[C]``, it goes to that
            column's share; one number goes to all in equal parts.
        per_column: whether the shares are wanted.
        seed: the same seed gives the same scores, at every call. All rows share their noise (see
            `share_noise`), that of an inner loop too (`jensen.training.inner.refine`): a row's score depends
            on the row alone, not on the rows beside it.
        contexts: for conditional models whose rows do not carry their own, what is given in each block,
            ``[B, ...]``; the scores are then of log p(x | c).
        on_block: told the number of rows of each finished block, for progress.

    Raises:
        UserError: shares are wanted, and the likelihood does not split (see `log_prob_of_columns`).
    """
    by_column = torch.as_tensor(log_det, dtype=torch.float64).cpu()
    for x, context in with_contexts(blocks, contexts):
        with measuring(model), seeded(seed):
            log_px, size, *shares = _score_block(model, x, context, num_samples, per_column)
        on_block(len(x))
        log_px = log_px + by_column.sum()
        columns = latents = None
        if shares:
            columns = shares[0] + (by_column if by_column.dim() else by_column / shares[0].shape[1])
            latents = log_px - columns.sum(1)
        yield Scores(log_px, size, columns, latents)


def score(model: Model, blocks: Iterable[Tensor], num_samples: int = 200, **options: Any) -> Scores:
    """The scores of all rows at once: those of `score_blocks`, which takes the same options, joined."""
    parts = list(score_blocks(model, blocks, num_samples, **options))
    columns = [part.columns for part in parts if part.columns is not None]
    latents = [part.latents for part in parts if part.latents is not None]
    return Scores(
        torch.cat([part.log_px for part in parts]),
        torch.cat([part.effective_sample_size for part in parts]),
        torch.cat(columns) if columns else None,
        torch.cat(latents) if latents else None,
    )


def _score_block(
    model: Model,
    x: Tensor,
    context: Tensor | None,
    num_samples: int,
    per_column: bool,
) -> tuple[Tensor, ...]:
    """log p(x) ``[B]``, effective sample size ``[B]`` and shares ``[B, C]`` of one block."""
    posterior = tuple(share_noise(q) for q in model.posterior(x, context=context))
    log_w, shares = [], []
    numbers = BLOCK * numbers_of(model, SMALLER * math.prod(x.shape[1:]))
    chunks = chunk_sizes(num_samples, numbers, x.device)
    for trace in traces(model, x, num_samples, context=context, posterior=posterior, chunks=chunks):
        log_w.append(trace.log_w.double())
        if per_column:
            shares.append(log_prob_of_columns(trace.likelihood, x).double())
    weights = torch.cat(log_w)
    found = [log_mean_exp(weights), effective_sample_size(weights)]
    if per_column:
        share = torch.cat(shares)
        found.append((weights.softmax(0)[..., None] * share).sum(0))
    return tuple(part.cpu() for part in found)


def log_prob_of_columns(likelihood: Distribution, x: Tensor) -> Tensor:
    """log p of each entry of a datum, ``[K, B, D]``, of a likelihood with independent ones.

    Raises:
        UserError: the likelihood does not split into entries.
    """
    if isinstance(likelihood, Given):  # what is given is no column of the model
        return log_prob_of_columns(likelihood.base, likelihood.entries(x))
    if hasattr(likelihood, "log_prob_of_columns"):
        found: Tensor = likelihood.log_prob_of_columns(x)
        return found
    if isinstance(likelihood, Independent):
        entries: Tensor = likelihood.base_dist.log_prob(x)
        return entries.flatten(2)
    raise UserError(
        "--per-column needs a likelihood of independent columns, and this one is not; leave it out"
    )


def percentiles(scores: Tensor, reference: Tensor) -> Tensor:
    """For each score, the per cent of ``reference`` scores at or below it, ``[N]``."""
    ordered = reference.sort().values
    below = torch.searchsorted(ordered, scores.contiguous(), right=True)
    return 100.0 * below.double() / len(ordered)
