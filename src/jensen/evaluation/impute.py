"""Missing cells filled from the posterior, by importance weighting."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.chunks import numbers_decoded
from jensen.data.seeds import derive_seed, generator, seeded
from jensen.distributions.columns import Columns
from jensen.distributions.given import Given
from jensen.mode import in_blocks, measuring
from jensen.objectives.resampling import systematic
from jensen.trace import Model

DRAWS = 200
"""Draws behind a filled cell's mean or mode: their noise adds 1/200 to the posterior variance."""

CHUNK = 1 << 19
"""Numbers that are decoded at a time: tensors of 2 MiB, which a processor may hold in its cache."""


class Decodes(Model, Protocol):
    """A model whose parts can be called one by one, as those of `jensen.models.VAE` can."""

    def context_of(self, x: Tensor) -> Tensor | None:
        """The context that data themselves carry, if any."""
        ...

    def posterior(self, x: Tensor, *, context: Tensor | None = None) -> tuple[Distribution, ...]:
        """q(z | x) of each latent group, with batch shape ``[B]``."""
        ...

    def likelihood(self, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Distribution:
        """p(x | z) at latents, each ``[K, B, M]``, with batch shape ``[K, B]``."""
        ...

    def log_joint(self, x: Tensor, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Tensor:
        """log p(x, z) at latents, each ``[K, B, M]``: ``[K, B]``, nats."""
        ...


def draw_missing(
    model: Decodes,
    x: Tensor,
    num_draws: int,
    num_samples: int = 200,
    *,
    seeds: Sequence[int],
    context: Tensor | None = None,
) -> Tensor:
    """Rows with their missing cells drawn given the observed ones, ``[S, B, C]``; observed cells as they are.

    Sampling importance resampling (Rubin 1987; for VAEs Mattei & Frellsen 2019, section 3.2): z_1, ..., z_K
    from q(z | x_observed), one of them chosen with probability proportional to
    ``w_k = p(x_observed | z_k) p(z_k) / q(z_k | x_observed)``, and x_missing from p(x | z) there. As K grows,
    a draw of p(x_missing | x_observed).

    Args:
        model: a VAE, whose likelihood leaves missing cells out.
        x: prepared rows ``[B, C]``, NaN where a cell is missing.
        num_draws: S.
        num_samples: K.
        seeds: one for each row. What is drawn in a row depends on its seed, and not on the rows beside it.
        context: for conditional models.
    """
    with measuring(model):
        context = model.context_of(x) if context is None else context
        z, log_q = _latents(model, x, num_samples, seeds, context)
        weights = (model.log_joint(x, z, context=context) - log_q).double().softmax(0)
        sizes = [1, num_draws, 2 * num_draws * x.shape[1]]
        offset, order, cells = (some.to(x.device) for some in _uniform(seeds, sum(sizes)).split(sizes))
        # In random order: the first few of many draws must be as good as any others.
        picks = systematic(weights, offset[0], num_draws).gather(0, order.argsort(0))  # [S, B]
        z = tuple(group.gather(0, picks[..., None].expand(-1, -1, group.shape[-1])) for group in z)
        likelihood = model.likelihood(z, context=context)
        drawn = _at(likelihood, cells.unflatten(0, (2, num_draws, -1)).transpose(-1, -2), seeds)
        return torch.where(x.isnan(), drawn.to(x.dtype), x)


def _latents(
    model: Decodes, x: Tensor, num_samples: int, seeds: Sequence[int], context: Tensor | None
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Draws from q(z | x), ``[K, B, M]`` of each group, a row's by its seed; and log q(z | x), ``[K, B]``."""
    rows, log_q = [], []
    for row, seed in enumerate(seeds):
        posterior = model.posterior(x[[row]], context=None if context is None else context[[row]])
        with seeded(seed):
            rows.append([q.sample((num_samples,)) for q in posterior])
        log_q.append(torch.stack([q.log_prob(z) for q, z in zip(posterior, rows[-1], strict=True)]).sum(0))
    return tuple(torch.cat(group, 1) for group in zip(*rows, strict=True)), torch.cat(log_q, 1)


def _uniform(seeds: Sequence[int], count: int) -> Tensor:
    """So many uniform numbers by each seed, ``[count, B]``."""
    streams = [generator(seed, "uniform") for seed in seeds]
    return torch.stack([torch.rand(count, generator=g, dtype=torch.float64) for g in streams], -1)


def _at(likelihood: Distribution, u: Tensor, seeds: Sequence[int]) -> Tensor:
    """What a likelihood of columns draws by uniform numbers ``[2, S, B, C]``; another, by all the seeds."""
    if isinstance(likelihood, Given):
        return likelihood.whole(_at(likelihood.base, u[..., likelihood.modelled], seeds))
    if isinstance(likelihood, Columns):
        return likelihood.at(u)
    with seeded(derive_seed(*seeds)):
        return likelihood.sample()


def _take_turns(
    models: Sequence[Decodes], x: Tensor, num_draws: int, num_samples: int, seeds: Sequence[int]
) -> Tensor:
    """What `draw_missing` gives, the s-th draw from model s modulo their number, ``[S, B, C]``."""
    draws = x.new_empty(num_draws, *x.shape)
    for number, model in enumerate(models[:num_draws]):
        own = draws[number :: len(models)]
        of_a_row = max(len(own), num_samples) * max(1, numbers_decoded(model))
        for rows in torch.arange(len(x)).split(max(1, CHUNK // of_a_row)):
            some = [derive_seed(seeds[row], number) for row in rows.tolist()]
            own[:, rows] = draw_missing(model, x[rows], len(own), num_samples, seeds=some)
    return draws


def impute(
    models: Sequence[Decodes],
    blocks: Iterable[Tensor],
    discrete: Tensor,
    *,
    num_samples: int = 200,
    seed: int = 0,
) -> Tensor:
    """Rows with each missing cell filled, ``[N, C]``: its posterior mean, or its likeliest level.

    Of several models, each with equal weight, the mean or mode is that of their mixture.

    Args:
        models: one or more, as for `draw_missing`.
        blocks: prepared rows ``[B, C]``, NaN where a cell is missing.
        discrete: ``[C]`` of bool: which columns are numbers of levels.
        num_samples: K importance samples.
        seed: of all draws. Those of a row also depend on its cells, so that what it gets is the same among
            whatever other rows, and rows that differ have noise of their own.
    """
    return torch.cat(list(impute_blocks(models, blocks, discrete, num_samples=num_samples, seed=seed)))


def impute_blocks(
    models: Sequence[Decodes],
    blocks: Iterable[Tensor],
    discrete: Tensor,
    *,
    num_samples: int = 200,
    seed: int = 0,
) -> Iterator[Tensor]:
    """What `impute` gives, block after block."""
    for x in in_blocks(blocks):
        rows = x.isnan().any(1)
        if rows.any():
            own = (x[rows] + 0.0).tolist()  # adding 0 makes -0 a 0
            seeds = [derive_seed(seed, "impute", str(row)) for row in own]
            draws = _take_turns(models, x[rows], DRAWS, num_samples, seeds)
            center = torch.where(discrete.to(x.device), draws.mode(0).values, draws.mean(0))
            x = x.clone()
            x[rows] = torch.where(x[rows].isnan(), center, x[rows])
        yield x.cpu()


def impute_draws(
    models: Sequence[Decodes],
    blocks: Iterable[Tensor],
    num_draws: int,
    *,
    num_samples: int = 200,
    seed: int = 0,
) -> Tensor:
    """Completed tables for multiple imputation (Rubin 1987), ``[num_draws, N, C]``; see `draw_missing`.

    Of several models each table is one model's: their differences stand for what is not known of the weights.
    Rows draw independently of each other, also rows that are alike: so what is drawn depends, unlike what
    `impute` fills, on a row's place among the others.
    """
    return torch.cat(list(draw_blocks(models, blocks, num_draws, num_samples=num_samples, seed=seed)), 1)


def draw_blocks(
    models: Sequence[Decodes],
    blocks: Iterable[Tensor],
    num_draws: int,
    *,
    num_samples: int = 200,
    seed: int = 0,
) -> Iterator[Tensor]:
    """What `impute_draws` gives, block after block: ``[num_draws, B, C]``."""
    done = 0
    for x in in_blocks(blocks):
        completed = x.expand(num_draws, *x.shape).clone()
        rows = x.isnan().any(1)
        if rows.any():
            seeds = [derive_seed(seed, "impute", done + row) for row in rows.nonzero()[:, 0].tolist()]
            completed[:, rows] = _take_turns(models, x[rows], num_draws, num_samples, seeds)
        done += len(x)
        yield completed.cpu()
