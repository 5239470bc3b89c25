"""Missing cells filled from the posterior, by importance weighting."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.chunks import rows_at_once
from jensen.data.seeds import derive_seed, seeded
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
    model: Decodes, x: Tensor, num_draws: int, num_samples: int = 200, *, context: Tensor | None = None
) -> Tensor:
    """Rows with their missing cells drawn given the observed ones, ``[S, B, C]``; observed cells as they are.

    Sampling importance resampling (Rubin 1987; for VAEs Mattei & Frellsen 2019, section 3.2): z_1, ..., z_K
    from q(z | x_observed), one of them chosen with probability proportional to
    ``w_k = p(x_observed | z_k) p(z_k) / q(z_k | x_observed)``, and x_missing from p(x | z) there. As K grows,
    a draw of p(x_missing | x_observed). The draws come from torch's global generator.

    Args:
        model: anything with ``trace`` and ``likelihood``, whose likelihood leaves missing cells out.
        x: prepared rows ``[B, C]``, NaN where a cell is missing.
        num_draws: S.
        num_samples: K.
        context: for conditional models.
    """
    with measuring(model):
        trace = model.trace(x, num_samples, context=context)
        offsets = torch.rand(len(x), device=x.device, dtype=torch.float64)
        picks = systematic(trace.log_w.double().softmax(0), offsets, num_draws)  # [S, B]
        # In random order: the first few of many draws must be as good as any others.
        picks = picks.gather(0, torch.rand(picks.shape, device=x.device).argsort(0))
        z = tuple(group.gather(0, picks[..., None].expand(-1, -1, group.shape[-1])) for group in trace.z)
        drawn = model.likelihood(z, context=trace.context).sample()
        return torch.where(x.isnan(), drawn.to(x.dtype), x)


def _draw_in_parts(models: Sequence[Decodes], x: Tensor, num_draws: int, num_samples: int) -> Tensor:
    """What `draw_missing` gives, the s-th draw from model s modulo their number, ``[S, B, C]``.

    A few rows at a time; fewer where each is decoded to many numbers.
    """
    draws = x.new_empty(num_draws, *x.shape)
    for number, model in enumerate(models[:num_draws]):
        own = draws[number :: len(models)]
        for rows in torch.arange(len(x)).split(min(CHUNK, rows_at_once(model, max(len(own), num_samples)))):
            own[:, rows] = draw_missing(model, x[rows], len(own), num_samples)
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
        seed: of all draws; the same seed and rows give the same result.
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
    for number, x in enumerate(in_blocks(blocks)):
        rows = x.isnan().any(1)
        if rows.any():
            with measuring(*models), seeded(derive_seed(seed, "impute", number)):
                draws = _draw_in_parts(models, x[rows], DRAWS, num_samples)
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
                completed[:, rows] = _draw_in_parts(models, x[rows], num_draws, num_samples)
        yield completed.cpu()
