"""Missing cells filled from the posterior, by importance weighting."""

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.chunks import rows_at_once
from jensen.data.seeds import derive_seed, generator, seeded
from jensen.distributions.columns import Columns
from jensen.distributions.given import Given
from jensen.distributions.shared_noise import share_noise
from jensen.mode import in_blocks, measuring
from jensen.objectives.resampling import systematic
from jensen.trace import Model

DRAWS = 200
"""Draws behind a filled cell's mean or mode: their noise adds 1/200 to the posterior variance."""

CHUNK = 16
"""Rows that are drawn for at a time: a draw's tensors are K times as large, and allocating large ones costs
more than the draws do."""


class Decodes(Model, Protocol):
    """A model that says p(x | z) at latents of one's own choice, as `jensen.models.VAE` does."""

    def likelihood(self, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Distribution:
        """p(x | z) at latents, each ``[K, B, M]``, with batch shape ``[K, B]``."""
        ...


def draw_missing(
    model: Decodes,
    x: Tensor,
    num_draws: int,
    num_samples: int = 200,
    *,
    context: Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """Rows with their missing cells drawn given the observed ones, ``[S, B, C]``; observed cells as they are.

    Sampling importance resampling (Rubin 1987; for VAEs Mattei & Frellsen 2019, section 3.2): z_1, ..., z_K
    from q(z | x_observed), one of them chosen with probability proportional to
    ``w_k = p(x_observed | z_k) p(z_k) / q(z_k | x_observed)``, and x_missing from p(x | z) there. As K grows,
    a draw of p(x_missing | x_observed).

    Args:
        model: anything with ``trace`` and ``likelihood``, whose likelihood leaves missing cells out.
        x: prepared rows ``[B, C]``, NaN where a cell is missing.
        num_draws: S.
        num_samples: K.
        context: for conditional models.
        seeds: one for each row, on which its draws then depend, and not on the rows beside it. When left out,
            all draws come from torch's global generator.
    """
    with measuring(model):
        posterior = model.posterior(x, context=context)
        if seeds is not None:
            posterior = tuple(_by_seed(q, seeds) for q in posterior)
        trace = model.trace(x, num_samples, context=context, posterior=posterior)
        weights = trace.log_w.double().softmax(0)
        if seeds is None:
            offsets, u = torch.rand(len(x), device=x.device, dtype=torch.float64), None
        else:
            offsets, u = _uniform_by_seed(seeds, num_draws, x)
        picks = systematic(weights, offsets, num_draws)  # [S, B]
        if seeds is None:  # in random order: the first few of many draws must be as good as any others
            picks = picks.gather(0, torch.rand(picks.shape, device=x.device).argsort(0))
        z = tuple(group.gather(0, picks[..., None].expand(-1, -1, group.shape[-1])) for group in trace.z)
        likelihood = model.likelihood(z, context=trace.context)
        drawn = likelihood.sample() if u is None else _at(likelihood, u)
        return torch.where(x.isnan(), drawn.to(x.dtype), x)


def _by_seed(q: Distribution, seeds: Sequence[int]) -> Distribution:
    """``q`` over ``[B]``, each datum's draws by a seed of its own, where `share_noise` knows how q draws."""
    shared = share_noise(q)
    if shared is q:
        return q

    @torch.no_grad()
    def sample(sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        draws = []
        for number, seed in enumerate(seeds):
            with seeded(seed):
                draws.append(shared.sample(torch.Size(sample_shape))[..., number, :])
        return torch.stack(draws, -2)

    own = copy(q)
    own.sample = own.rsample = sample  # type: ignore[method-assign]
    return own


def _uniform_by_seed(seeds: Sequence[int], num_draws: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Uniform numbers of each row of x, for picking ``[B]`` and for its cells ``[2, S, B, C]``."""
    size = 2, num_draws, x.shape[1]
    rows = [
        torch.rand(1 + math.prod(size), generator=generator(seed, "cells"), dtype=torch.float64)
        for seed in seeds
    ]
    numbers = torch.stack(rows, -1).to(x.device)
    return numbers[0], numbers[1:].unflatten(0, size).transpose(-1, -2)


def _at(likelihood: Distribution, u: Tensor) -> Tensor:
    """What a likelihood of columns draws by uniform numbers ``[2, S, B, C]``; of another, any draws."""
    if isinstance(likelihood, Given):
        return likelihood.whole(_at(likelihood.base, u[..., likelihood.modelled]))
    return likelihood.at(u) if isinstance(likelihood, Columns) else likelihood.sample()


def _take_turns(
    models: Sequence[Decodes], x: Tensor, num_draws: int, num_samples: int, *, seed: int | None = None
) -> Tensor:
    """What `draw_missing` gives, the s-th draw from model s modulo their number, ``[S, B, C]``.

    With ``seed`` the seed of a row is made of it and of the row's cells.
    """
    draws, seeds = x.new_empty(num_draws, *x.shape), None
    for number, model in enumerate(models[:num_draws]):
        own = draws[number :: len(models)]
        # A few rows at a time; fewer where each is decoded to many numbers.
        for rows in torch.arange(len(x)).split(min(CHUNK, rows_at_once(model, max(len(own), num_samples)))):
            if seed is not None:  # adding 0 makes -0 a 0
                seeds = [derive_seed(seed, "impute", number, str(row)) for row in (x[rows] + 0.0).tolist()]
            own[:, rows] = draw_missing(model, x[rows], len(own), num_samples, seeds=seeds)
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
            with measuring(*models):
                draws = _take_turns(models, x[rows], DRAWS, num_samples, seed=seed)
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
    for number, x in enumerate(in_blocks(blocks)):
        completed = x.expand(num_draws, *x.shape).clone()
        rows = x.isnan().any(1)
        if rows.any():
            with measuring(*models), seeded(derive_seed(seed, "impute", number)):
                completed[:, rows] = _take_turns(models, x[rows], num_draws, num_samples)
        yield completed.cpu()
