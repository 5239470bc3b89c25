"""The rows of a table, one distribution for each column."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from jensen.distributions import near_normal
from jensen.distributions.column_layout import Layout
from jensen.distributions.marginals import Marginals
from jensen.distributions.members import Members

NEVER = -1e9
"""The log-probability of what cannot be, finite so that gradients are too; a number far out has no less."""
QUANTILES = 16
"""Points of a component at which its mean is computed."""


class Columns(Distribution):
    """Independent columns of a table: categories, and numbers from a mixture on a scale made for them.

    A category has ``log P(c) = l_c - log sum exp(l)``. A number x has the mixture

        sum_j pi_j 1[x = a_j] + sum_k pi_k F_k(x)

    of atoms a_j (values that the data have often) and components in normal scores u = T(x)
    (`jensen.distributions.marginals`), of location m_k and scale s_k and nearly normal: with the distribution
    function F of `jensen.distributions.near_normal`. For numbers on a grid of width h (1 for whole numbers),
    ``F_k = F((T(x + h/2) - m_k) / s_k) - F((T(x - h/2) - m_k) / s_k)``, a probability (as Salimans et al.
    2017, eq. 2, have it for logistics); for all others the density ``F_k = f_k(T(x)) T'(x)``, beside which
    atoms are probabilities. A probability on a grid finer or coarser than 1 is divided by h: it is a density
    too, that of the number before it was rounded. So every figure is in nats of the data as given.

    A missing cell (NaN) adds nothing: log p(x) is that of the observed cells.

    Args:
        layout: what the columns are, and where.
        logits: of all classes of all columns, ``[*batch, W]``.
        loc: m, ``[*batch, Cn, K]`` for Cn numeric columns.
        scale: s, ``[*batch, Cn, K]``.
        members: for the columns of very many levels, whose classes in ``logits`` are groups of levels.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(
        self, layout: Layout, logits: Tensor, loc: Tensor, scale: Tensor, members: Sequence[Members] = ()
    ) -> None:
        self.layout, self.logits, self.loc, self.scale = layout, logits, loc, scale
        self.members = {some.place: some for some in members}
        super().__init__(logits.shape[:-1], torch.Size([layout.size]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of the observed cells of rows ``[..., C]``, nats."""
        return self.log_prob_of_columns(value).sum(-1)

    def log_prob_of_columns(self, value: Tensor) -> Tensor:
        """log p of each cell ``[..., C]``, nats; 0 for a missing one."""
        layout = self.layout
        missing = value.isnan()
        parts, places = [], []
        if len(layout.discrete):
            codes = value.masked_fill(missing, 0.0)[..., layout.discrete].long().clamp_min(0)
            for place, members in self.members.items():
                codes = torch.where(layout.discrete == place, codes // members.size, codes)
            parts.append(_pick(self.logits, codes + layout.starts[layout.discrete]))
            places.append(layout.discrete)
        if layout.marginals is not None:
            x = value.masked_fill(missing, 1.0)[..., layout.numeric]
            parts.append(self._log_numbers(layout.marginals, x))
            places.append(layout.numeric)
        scores = torch.cat(parts, -1)[..., torch.cat(places).argsort()] - layout.normalizers(self.logits)
        for place, members in self.members.items():
            codes = value.masked_fill(missing, 0.0)[..., place].long().clamp_min(0)
            column = torch.tensor([place], device=scores.device)
            scores = scores.index_add(-1, column, members.log_prob(codes)[..., None])
        return scores.masked_fill(missing, 0.0)

    def log_levels(self, place: int, levels: Tensor) -> Tensor:
        """log P of each of ``levels`` ``[n]`` of a discrete column: ``[*batch, n]``, nats."""
        members, start = self.members.get(place), self.layout.starts[place]
        total = self.layout.normalizers(self.logits)[..., place, None]
        if members is None:
            return self.logits[..., start + levels] - total
        return self.logits[..., start + levels // members.size] - total + members.log_prob_of_levels(levels)

    def _log_numbers(self, marginals: Marginals, x: Tensor) -> Tensor:
        """log of the mixture of numbers ``[..., Cn]``, not yet normalized by the classes."""
        shape, flat, dtype = x.shape, x.reshape(-1, x.shape[-1]), self.logits.dtype
        cells = marginals.cells(flat)
        low, high, width, unit = (
            some.to(dtype).reshape(shape) for some in (cells.low, cells.high, cells.width, cells.log_unit)
        )
        a, b = ((edge[..., None] - self.loc) / self.scale for edge in (low, high))
        odds = near_normal.log_odds_between(a, b, width[..., None] / self.scale)
        density = near_normal.log_slope(b) - self.scale.log()
        inside = torch.where(marginals.grid[:, None], near_normal.log1mexp(odds), density)
        component = near_normal.log_tails(a, b) + inside
        log_mixture = (self.logits[..., self.layout.mixtures] + component).logsumexp(-1)
        log_mixture = log_mixture.masked_fill(cells.apart.reshape(shape), NEVER)
        starts = self.layout.starts[self.layout.numeric]
        log_atom = _pick(self.logits, (starts + cells.atom).reshape(shape))
        log_atom = log_atom.masked_fill(~cells.is_atom.reshape(shape), NEVER)
        return torch.logaddexp(log_atom, log_mixture) + unit

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Rows drawn, ``[*sample_shape, *batch, C]`` of float64; none of their cells is missing."""
        shape = 2, *torch.Size(sample_shape), *self.batch_shape, *self.event_shape
        return self.at(torch.rand(shape, dtype=torch.float64, device=self.logits.device))

    @torch.no_grad()
    def at(self, u: Tensor) -> Tensor:
        """Rows ``[..., *batch, C]`` at uniform numbers ``[2, ..., *batch, C]``: draws, if these are random.

        Of each column one number is for its class, and one for what is within the class.
        """
        classes = self.layout.draw(self.logits, u[0])
        rows = classes.double()
        if self.layout.marginals is not None:
            numeric = self.layout.numeric
            noise = near_normal.quantile(torch.logit(u[1][..., numeric], eps=1e-7))
            rows[..., numeric] = self._numbers(classes[..., numeric], noise)
        for place, members in self.members.items():
            rows[..., place] = members.draw(classes[..., place], u[1][..., place]).double()
        return rows

    def _numbers(self, classes: Tensor, noise: Tensor) -> Tensor:
        """Numbers ``[..., Cn]`` of given classes, with ``noise`` of scale 1 for the components."""
        marginals = self.layout.marginals
        assert marginals is not None
        counts = self.layout.mixtures[:, 0] - self.layout.starts[self.layout.numeric]
        component = (classes - counts).clamp_min(0)[..., None]
        shape = component.shape[:-1] + self.loc.shape[-1:]
        loc = self.loc.expand(shape).gather(-1, component)[..., 0].double()
        scale = self.scale.expand(shape).gather(-1, component)[..., 0].double()
        atoms = marginals.atoms.expand(*classes.shape, -1)
        atom = atoms.gather(-1, classes.clamp(max=atoms.shape[-1] - 1)[..., None])[..., 0]
        return torch.where(classes < counts, atom, marginals.inverse(loc + scale * noise))

    @property
    def mean(self) -> Tensor:
        """Means of numbers and the likeliest levels of categories, ``[*batch, C]`` of float64.

        The mean of a component is that of x at `QUANTILES` equally likely points.
        """
        with torch.no_grad():
            rows = self.layout.likeliest(self.logits).double()
            if self.layout.marginals is not None:
                rows[..., self.layout.numeric] = self._means(self.layout.marginals)
            for place, members in self.members.items():
                start = self.layout.starts[place]
                groups = self.logits[..., start : start + len(members.start)].log_softmax(-1)
                rows[..., place] = members.likeliest(groups).double()
            return rows

    def _means(self, marginals: Marginals) -> Tensor:
        layout, logits = self.layout, self.logits
        log_total = layout.normalizers(logits)[..., layout.numeric]
        shares = (torch.arange(QUANTILES, device=logits.device, dtype=torch.float64) + 0.5) / QUANTILES
        points = near_normal.quantile(shares.logit())
        total = torch.zeros_like(log_total, dtype=torch.float64)
        for k in range(layout.num_components):
            weight = (logits[..., layout.mixtures[:, k]] - log_total).exp().double()
            u = self.loc[..., k, None].double() + self.scale[..., k, None].double() * points
            total = total + weight * marginals.inverse(u.transpose(-1, -2), rounded=False).mean(-2)
        starts = layout.starts[layout.numeric]
        for j in range(marginals.atoms.shape[1]):
            a = marginals.atoms[:, j]
            place = (starts + j).clamp(max=layout.num_classes - 1)
            weight = (logits[..., place] - log_total).exp().double()
            total = total + torch.where(a.isfinite(), weight * a.nan_to_num(posinf=0.0), 0.0)
        return total


def _pick(logits: Tensor, index: Tensor) -> Tensor:
    """``logits[..., index]`` where the index ``[..., C]`` differs from row to row: ``[*batch, C]``."""
    # Not torch.broadcast_shapes, which imports sympy: half a second in a run that compiles nothing.
    batch = np.broadcast_shapes(logits.shape[:-1], index.shape[:-1])
    return logits.expand(*batch, -1).gather(-1, index.expand(*batch, -1))
