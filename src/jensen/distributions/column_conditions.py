"""Columns of a table within bounds: how likely that is, and draws under that condition."""

from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.distributions import near_normal
from jensen.distributions.columns import Columns

Spans = Sequence[tuple[float, float]]
FAR = 1e6
"""Stands for infinity among normal scores."""


def log_probability_of_levels(p: Columns, place: int, levels: Tensor) -> Tensor:
    """log P(the column at ``place`` is one of ``levels``), ``[*batch]``."""
    return p.log_levels(place, levels).logsumexp(-1)


def draw_level(p: Columns, place: int, levels: Tensor) -> Tensor:
    """A draw of the column given that it is one of ``levels``, ``[*batch]`` of float64."""
    logits = p.log_levels(place, levels)
    chosen = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
    return levels[chosen].double()


def log_probability_within(p: Columns, place: int, spans: Spans) -> Tensor:
    """log P(the numeric column at ``place`` is in one of some intervals that are apart), ``[*batch]``."""
    return _log_spans(p, place, spans).logsumexp(-1)


def draw_within(p: Columns, place: int, spans: Spans) -> Tensor:
    """A draw of a numeric column given that it is in one of the intervals, ``[*batch]`` of float64."""
    draws = torch.stack([draw_between(p, place, low, high) for low, high in spans], -1)
    if len(spans) == 1:
        return draws[..., 0]
    logits = _log_spans(p, place, spans)
    chosen = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
    return draws.gather(-1, chosen[..., None])[..., 0]


def _log_spans(p: Columns, place: int, spans: Spans) -> Tensor:
    return torch.stack([log_probability_between(p, place, low, high) for low, high in spans], -1)


def is_density(p: Columns, place: int, low: float, high: float) -> bool:
    """Whether `log_probability_between` is a log density: that of one point, without a grid or an atom."""
    within = _Within(p, place, low, high)
    return within.point and not len(within.values)


def log_probability_between(p: Columns, place: int, low: float, high: float) -> Tensor:
    """log P(low <= x <= high) of a numeric column, ``[*batch]``; log p(x) where the two are one point."""
    within = _Within(p, place, low, high)
    if within.point:
        x = torch.full((p.layout.size,), torch.nan, dtype=torch.float64, device=p.logits.device)
        x[place] = low
        return p.log_prob(x)
    total = torch.cat([within.atoms, within.components], -1).logsumexp(-1)
    return total - p.layout.normalizers(p.logits)[..., place]


def draw_between(p: Columns, place: int, low: float, high: float) -> Tensor:
    """A draw of a numeric column given that it is between ``low`` and ``high``, ``[*batch]`` of float64.

    Exact: an atom or a component is chosen by its share, and a component cut off at both ends is drawn by
    inverting its distribution function.
    """
    within = _Within(p, place, low, high)
    if within.point:
        return torch.full(p.batch_shape, low, dtype=torch.float64, device=p.logits.device)
    logits = torch.cat([within.atoms, within.components], -1)
    chosen = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
    atoms = within.atoms.shape[-1]
    component = (chosen - atoms).clamp_min(0)[..., None]
    loc, scale = (v.gather(-1, component)[..., 0].double() for v in (within.loc, within.scale))
    odds = (near_normal.log_odds((end - loc) / scale) for end in (within.a, within.b))
    u = loc + scale * near_normal.quantile(_cut_logistic(*odds))
    rows = torch.zeros(*u.shape, within.columns, dtype=torch.float64, device=u.device)
    rows[..., within.number] = u
    x = within.marginals.inverse(rows)[..., within.number].clamp(low, high)
    if not atoms:
        return x
    return torch.where(chosen < atoms, within.values[chosen.clamp(max=atoms - 1)], x)


class _Within:
    """The classes of a numeric column that lie between two values, with their logits."""

    def __init__(self, p: Columns, place: int, low: float, high: float) -> None:
        layout, marginals = p.layout, p.layout.marginals
        if marginals is None or not bool((layout.numeric == place).any()):
            raise ValueError(f"column {place} is not numeric; give levels")
        self.marginals = marginals
        self.columns = len(layout.numeric)
        self.number = int((layout.numeric == place).nonzero()[0, 0])
        step = float(marginals.steps[self.number])
        self.point = low == high and not step
        self.loc, self.scale = p.loc[..., self.number, :], p.scale[..., self.number, :]
        values = marginals.atoms[self.number]
        inside = values.isfinite() & (values >= low - step / 4) & (values <= high + step / 4)
        self.values = values[inside]
        first = layout.starts[place]
        self.atoms = p.logits[..., first + inside.nonzero()[:, 0]]
        lowest = float(marginals.lows[self.number])
        self.a = -FAR if low <= lowest else self._score(low - step / 2)
        # Nothing lies below the lowest number, whose cell has all that the components have there.
        under = bool(marginals.impossible(self._row(high))[0, self.number])
        self.b = -FAR if under else self._score(high + step / 2)
        self.components = p.logits[..., layout.mixtures[self.number]] + self._mass()

    def _score(self, value: float) -> float:
        """T(value), with infinity as `FAR`."""
        if abs(value) == torch.inf:
            return FAR if value > 0 else -FAR
        return float(self.marginals(self._row(value))[0, self.number].clamp(-FAR, FAR))

    def _row(self, value: float) -> Tensor:
        """The numbers of a row in which the column has a value, ``[1, Cn]``."""
        x = torch.full((1, self.columns), 1.0, dtype=torch.float64, device=self.marginals.steps.device)
        x[0, self.number] = value
        return x

    def _mass(self) -> Tensor:
        """log P(component within), ``[*batch, K]``: log F(b) - F(a)."""
        a, b = ((end - self.loc) / self.scale for end in (self.a, self.b))
        odds = near_normal.log_odds_between(a, b, (self.b - self.a) / self.scale)
        return near_normal.log_tails(a, b) + near_normal.log1mexp(odds)


def _cut_logistic(a: Tensor, b: Tensor) -> Tensor:
    """A standard logistic draw between a and b, elementwise, by the inverse of its distribution function.

    Where both are positive it works with -b and -a, whose probabilities are small numbers and not differences
    from 1.
    """
    flip = a > 0
    low, high = torch.where(flip, -b, a), torch.where(flip, -a, b)
    uniform = torch.rand_like(low)
    lower = torch.sigmoid(low)
    share = lower + uniform * (torch.sigmoid(high) - lower)
    found = torch.logit(share.clamp(1e-300, 1 - 1e-16))
    found = torch.maximum(torch.minimum(found, high), low)
    return torch.where(flip, -found, found)
