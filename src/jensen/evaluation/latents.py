"""What the latents hold: posterior means and spreads, and the rate of each dimension."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from jensen.data.seeds import seeded
from jensen.distributions.moments import diagonal_normal, moments
from jensen.mode import measuring, with_contexts
from jensen.trace import Model, Trace, check_one_group

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active when the variance over data of its posterior mean exceeds this
(Burda, Grosse & Salakhutdinov 2016, section 5.2)."""


@dataclass(frozen=True)
class Latents:
    """The posterior of every row of a data set."""

    mean: Tensor
    """E[z | x], ``[N, M]``."""
    standard_deviation: Tensor
    """Posterior standard deviations, ``[N, M]``."""
    rate: Tensor | None
    """KL of each dimension's posterior from the prior, ``[N, M]``, nats; None where it does not split."""

    @property
    def active(self) -> Tensor:
        """Which dimensions are active, ``[M]`` of bool."""
        return are_active(self.mean)


def are_active(means: Tensor) -> Tensor:
    """Which latent dimensions are active by posterior means ``[N, M]``: ``[M]`` of bool."""
    return means.double().var(0, correction=0) > ACTIVE_VARIANCE


def only_group(trace: Trace, what: str) -> tuple[Distribution, Distribution]:
    """q(z | x) and p(z) of a model with one latent group of vectors.

    Raises:
        ValueError: there are several, or z is no vector, which ``what`` cannot deal with.
    """
    check_one_group(trace, what)
    (q,), (p,), (z,) = trace.posterior, trace.prior, trace.z
    if z.dim() != 3:
        raise ValueError(
            f"the latents have event shape {tuple(z.shape[2:])}, {what} needs vectors [M]; let prior and "
            "encoder be of flattened latents, and the decoder restore their shape"
        )
    return q, p


def rate_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) split over dimensions, ``[B, M]``, nats: possible when both are diagonal normals."""
    own, common = diagonal_normal(q), diagonal_normal(p)
    return None if own is None or common is None else kl_divergence(own, common)


def encode(
    model: Model, blocks: Iterable[Tensor], *, contexts: Iterable[Tensor | None] | None = None
) -> Latents:
    """The posterior q(z | x) of every row: its mean, standard deviation and rate per dimension.

    Where a posterior knows no mean, those of draws that are the same at every call (see `moments`).

    Args:
        model: anything with ``posterior`` and ``trace``; one latent group.
        blocks: prepared rows, block after block.
        contexts: for conditional models whose rows do not carry their own, what is given in each block,
            ``[B, ...]``; the posterior is then q(z | x, c).

    Raises:
        ValueError: several latent groups, or latents that are no vectors.
    """
    parts = list(encode_blocks(model, blocks, contexts=contexts))
    rates = [part.rate for part in parts if part.rate is not None]
    means, spreads = [part.mean for part in parts], [part.standard_deviation for part in parts]
    return Latents(torch.cat(means), torch.cat(spreads), torch.cat(rates) if rates else None)


def encode_blocks(
    model: Model, blocks: Iterable[Tensor], *, contexts: Iterable[Tensor | None] | None = None
) -> Iterator[Latents]:
    """What `encode` gives, block after block. No row but the first is decoded."""
    p: Distribution | None = None
    for x, context in with_contexts(blocks, contexts):
        with measuring(model), seeded(0):
            if p is None:
                first = None if context is None else context[:1]
                _, p = only_group(model.trace(x[:1], 1, context=first), "encoding")
            (q,) = model.posterior(x, context=context)
            (mean, spread), rate = moments(q), rate_per_dimension(q, p)
        yield Latents(mean.cpu(), spread.cpu(), None if rate is None else rate.cpu())
