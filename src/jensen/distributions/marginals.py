"""The scale of each numeric column on which its values look standard normal."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

FARTHEST = 1e15
"""The largest score: float32 holds it and what is computed from it. The score of 1 in a column of values near
1e-300 would be far beyond."""

LOWEST = -1e6
"""The score to which the cell of the lowest possible value reaches down, in place of -inf."""


class Cells(NamedTuple):
    """What a likelihood must know of numbers ``[N, C]``, in one go: with few rows, each operation counts."""

    low: Tensor
    """The score at the lower end of the cell of values that are rounded to x; at x where there is no grid."""
    high: Tensor
    """The score at its upper end."""
    width: Tensor
    """The difference of the two; 1 where there is no grid."""
    log_unit: Tensor
    """What brings a probability in a grid's cell, or a density of scores, to nats of the data as given."""
    atom: Tensor
    """Which atom x is; 0 where it is none."""
    is_atom: Tensor
    """Whether it is one at all."""
    apart: Tensor
    """Whether no component can give x: an atom among densities is that atom for certain, or x cannot be."""


class Marginals(nn.Module):
    """A monotone map T of each of C numeric columns to normal scores, and back.

    T is piecewise linear through ``(knots, scores)`` (the data's quantiles and the standard normal's), with
    the outermost pieces continued; where ``log``, it acts on log x, for columns that are above zero. It is
    fixed before training, so that its derivative is part of the density and nothing has to be corrected for.

    Args:
        knots: ascending, ``[C, Q]`` of float64.
        scores: ascending, ``[C, Q]`` of float64.
        steps: ``[C]``, what values are multiples of; 0 where there is no such grid.
        lows: ``[C]``, the lowest value that is possible; -inf where there is none.
        log: ``[C]`` of bool.
        atoms: ascending values that have a probability of their own, ``[C, J]``, padded with inf.
    """

    knots: Tensor
    scores: Tensor
    slopes: Tensor
    steps: Tensor
    log_steps: Tensor
    grid: Tensor
    lows: Tensor
    log: Tensor
    atoms: Tensor

    def __init__(
        self, knots: Tensor, scores: Tensor, steps: Tensor, lows: Tensor, log: Tensor, atoms: Tensor
    ) -> None:
        super().__init__()
        knots, scores, steps = knots.double(), scores.double(), steps.double()
        held = {
            "knots": knots,
            "scores": scores,
            "slopes": scores.diff() / knots.diff(),  # [C, Q - 1]
            "steps": steps,
            "grid": steps > 0,  # [C]
            "log_steps": torch.where(steps > 0, steps, 1.0).log(),
            "lows": lows.double(),
            "log": log,
            "atoms": atoms.double(),
        }
        for name, value in held.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """T(x) for ``x`` ``[N, C]`` of float64, no farther out than `FARTHEST`."""
        return self._scores(x.T.contiguous())[0].T

    def cells(self, x: Tensor) -> Cells:
        """What a likelihood must know of ``x`` ``[N, C]`` of float64."""
        columns, steps, lows, log = (
            x.T.contiguous(),
            self.steps[:, None],
            self.lows[:, None],
            self.log[:, None],
        )
        grid, half = self.grid[:, None], steps / 2
        both = torch.cat([columns - half, columns + half], 1)  # both ends at once: [C, 2N]
        scores, v, slope = (some.chunk(2, 1) for some in self._scores(both))
        low, high = scores[0].masked_fill(columns <= lows, LOWEST), scores[1]
        width = (high - low).masked_fill(~grid, 1.0)
        log_slope = slope[1].log() - v[1].masked_fill(~log, 0.0)  # at x itself where there is no grid
        log_unit = torch.where(grid, -self.log_steps[:, None], log_slope)
        atom, is_atom = self._atom(columns)
        apart = (is_atom & ~grid) | self._impossible(columns)
        log_unit, atom = log_unit.masked_fill(apart, 0.0), atom.masked_fill(~is_atom, 0)
        return Cells(*(some.T for some in (low, high, width, log_unit, atom, is_atom, apart)))

    def impossible(self, x: Tensor) -> Tensor:
        """Whether ``x`` ``[N, C]`` cannot be: without a logarithm, or under the lowest."""
        return self._impossible(x.T).T

    def _impossible(self, columns: Tensor) -> Tensor:
        """`impossible` of ``[C, N]``."""
        return (self.log[:, None] & (columns <= 0)) | (columns < (self.lows - self.steps / 4)[:, None])

    def inverse(self, u: Tensor, *, rounded: bool = True) -> Tensor:
        """The value whose cell holds the score ``u`` ``[..., C]``, of float64; or T^-1(u), not rounded."""
        columns = u.double().reshape(-1, u.shape[-1]).T.contiguous()  # [C, N]
        piece = (torch.searchsorted(self.scores, columns) - 1).clamp(0, self.knots.shape[1] - 2)
        left = self.knots.gather(1, piece)
        rise = self.scores.gather(1, piece + 1) - self.scores.gather(1, piece)
        v = left + (columns - self.scores.gather(1, piece)) * (self.knots.gather(1, piece + 1) - left) / rise
        x = torch.where(self.log[:, None], v.clamp(max=700.0).exp(), v).T
        step = torch.where(self.steps > 0, self.steps, 1.0)
        if rounded:
            x = torch.where(self.steps > 0, (x / step).round() * step, x)
        return torch.maximum(x, self.lows).reshape(u.shape)

    def _atom(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Which atom each value ``[C, N]`` is, and whether it is one at all."""
        near = self.steps[:, None] / 4  # 0.1 * 3 is not 0.3, but near
        place = torch.searchsorted(self.atoms, columns - near).clamp(max=self.atoms.shape[1] - 1)
        return place, (self.atoms.gather(1, place) - columns).abs() <= near

    def _scores(self, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """T(x) of ``[C, N]``, x (or its logarithm), and the slope of the piece that it lies on."""
        logs = columns.clamp_min(torch.finfo(torch.float64).tiny).log()
        v = torch.where(self.log[:, None], logs, columns)
        piece = (torch.searchsorted(self.knots, v) - 1).clamp(0, self.slopes.shape[1] - 1)
        slope = self.slopes.gather(1, piece)
        scores = self.scores.gather(1, piece) + slope * (v - self.knots.gather(1, piece))
        return scores.clamp(-FARTHEST, FARTHEST), v, slope
