"""The aggregate posterior q(z) = (1/N) sum_n q(z | x_n) as an N-component mixture, in chunks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.distributions.moments import diagonal_normal

CHUNK = 1 << 20
"""Numbers in the largest tensor of a chunk."""


@dataclass(frozen=True)
class AggregatePosterior:
    """The posteriors of N data, block after block, each of batch shape ``[b]``."""

    blocks: Sequence[Distribution]

    def __len__(self) -> int:
        return sum(q.batch_shape[0] for q in self.blocks)

    @torch.no_grad()
    def draw(self, num_samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """S draws: z ``[S, M]``, the row n that each came from, ``[S]``, and log q(z | x_n), float64.

        Rows are taken in random order, every row once before any row twice, from torch's global generator.
        """
        N, rounds = len(self), math.ceil(num_samples / len(self))
        rows = torch.cat([torch.randperm(N) for _ in range(rounds)])[:num_samples]
        draws = [q.sample((rounds,)) for q in self.blocks]
        own = torch.cat([q.log_prob(z) for q, z in zip(self.blocks, draws, strict=True)], 1)
        index = torch.arange(num_samples) // N
        return torch.cat(draws, 1)[index, rows], rows, own[index, rows].double()

    @torch.no_grad()
    def log_sum(
        self,
        z: Tensor,
        without: Tensor | None = None,
        *,
        on_rows: Callable[[int], None] = lambda rows: None,
    ) -> Tensor:
        """log sum_n q(z | x_n), ``[S, M] -> [S]``, float64, nats.

        With ``without``, ``[S]``, each draw's sum leaves that row out. Subtracting the row's term afterwards
        would not do: where it is nearly all of the sum, rounding would decide what remains. ``on_rows`` is
        told of the rows that have been summed over, for progress.
        """
        rows = torch.full((len(z),), -1) if without is None else without
        total, first = torch.full((len(z),), -math.inf, dtype=torch.float64, device=z.device), 0
        for q in self.blocks:
            here = torch.arange(first, first + q.batch_shape[0])
            size = max(1, CHUNK // (len(here) * z.shape[1]))
            parts = []
            for some, left_out in zip(z.split(size), rows.split(size), strict=True):
                mask = (left_out.unsqueeze(1) == here).to(z.device)
                parts.append(_log_prob(q, some).double().masked_fill(mask, -math.inf).logsumexp(1))
            total = torch.logaddexp(total, torch.cat(parts))
            first += len(here)
            on_rows(len(here))
        return total


def _log_prob(q: Distribution, z: Tensor) -> Tensor:
    """log q(z_s | x_n), ``[S, b]``, for z ``[S, M]``."""
    if diagonal_normal(q) is None or z.dim() != 2:
        return q.log_prob(z.unsqueeze(1).expand(-1, *q.batch_shape, -1))
    # A diagonal normal's quadratic form as two matrix products, ten times as fast; in float64, since its
    # terms cancel.
    mean, precision = q.mean.double(), q.stddev.double() ** -2
    z = z.double()
    quadratic = z.square() @ precision.T - 2 * z @ (mean * precision).T + (mean.square() * precision).sum(-1)
    log_norm = precision.log().sum(-1) - z.shape[1] * math.log(2 * math.pi)
    return (log_norm - quadratic) / 2
