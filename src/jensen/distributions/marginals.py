"""The scale of each numeric column on which its values look standard normal."""

import torch
from torch import Tensor, nn

FARTHEST = 1e15
"""The largest score: float32 holds it and what is computed from it. The score of 1 in a column of values near
1e-300 would be far beyond."""


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
    steps: Tensor
    lows: Tensor
    log: Tensor
    atoms: Tensor

    def __init__(
        self, knots: Tensor, scores: Tensor, steps: Tensor, lows: Tensor, log: Tensor, atoms: Tensor
    ) -> None:
        super().__init__()
        for name, value in (("knots", knots), ("scores", scores), ("steps", steps), ("lows", lows)):
            self.register_buffer(name, value.double(), persistent=False)
        self.register_buffer("log", log, persistent=False)
        self.register_buffer("atoms", atoms.double(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """T(x) for ``x`` ``[N, C]`` of float64, no farther out than `FARTHEST`."""
        v, piece = self._piece(x)
        left, slope = self._at(self.knots, piece), self._slope(piece)
        return (self._at(self.scores, piece) + slope * (v - left)).clamp(-FARTHEST, FARTHEST)

    def log_slope(self, x: Tensor) -> Tensor:
        """log T'(x), ``[N, C]``."""
        v, piece = self._piece(x)
        return self._slope(piece).log() - torch.where(self.log, v, 0.0)

    def edges(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """T at both ends of the cell of values that are rounded to ``x``; at x itself where there is no grid.

        The lowest possible value's cell reaches down to -inf (-1e6 here).
        """
        low = torch.where(x <= self.lows, torch.full_like(x, -1e6), self(x - self.steps / 2))
        return low, self(x + self.steps / 2)

    def impossible(self, x: Tensor) -> Tensor:
        """Whether ``x`` ``[N, C]`` cannot be: without a logarithm, or under the lowest."""
        return (self.log & (x <= 0)) | (x < self.lows - self.steps / 4)

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

    def atom(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Which atom each value ``[N, C]`` is, and whether it is one at all."""
        columns, near = x.T.contiguous(), self.steps[:, None] / 4  # 0.1 * 3 is not 0.3, but near
        place = torch.searchsorted(self.atoms, columns - near).clamp(max=self.atoms.shape[1] - 1)
        return place.T, ((self.atoms.gather(1, place) - columns).abs() <= near).T

    def _piece(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (or its logarithm), and the number of the piece that it lies on."""
        v = torch.where(self.log, x.clamp_min(torch.finfo(torch.float64).tiny).log(), x)
        columns = v.T.contiguous()
        piece = (torch.searchsorted(self.knots, columns) - 1).clamp(0, self.knots.shape[1] - 2)
        return v, piece.T

    def _at(self, table: Tensor, piece: Tensor) -> Tensor:
        return table.gather(1, piece.T).T

    def _slope(self, piece: Tensor) -> Tensor:
        rise = self._at(self.scores, piece + 1) - self._at(self.scores, piece)
        return rise / (self._at(self.knots, piece + 1) - self._at(self.knots, piece))
