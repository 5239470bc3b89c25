"""The parts of a model of a table, from what was fitted to its columns."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from jensen.data import Preparation
from jensen.data.arrays import Array
from jensen.data.tables.marginals import Marginal
from jensen.distributions.column_layout import Layout
from jensen.distributions.marginals import Marginals
from jensen.distributions.members import group_size
from jensen.errors import UserError
from jensen.families.columns import Columns
from jensen.networks.columns import ColumnInputs

COMPONENTS = 5
"""Components of the mixture of each numeric column."""


def column_family(marginals: Sequence[Marginal]) -> Columns:
    """The product family of a table's columns; of weights it has those of grouped levels alone."""
    numeric, discrete = _sorted(marginals)
    layout = Layout(
        _scales([marginals[i] for i in numeric]),
        numeric,
        discrete,
        [len(_grouped(marginals[i])) if marginals[i].grouped else marginals[i].levels for i in discrete],
        [len(marginals[i].atoms) for i in numeric],
        COMPONENTS,
    )
    members = {
        i: (_grouped(m) / _grouped(m).sum(1, keepdim=True)).log().float()
        for i, m in enumerate(marginals)
        if m.grouped
    }
    return Columns(layout, torch.cat([_logits(marginal) for marginal in marginals]), members)


def column_inputs(marginals: Sequence[Marginal]) -> tuple[ColumnInputs, tuple[int]]:
    """What stands between a table's codes and a network, and the shape that it makes of a row."""
    numeric, discrete = _sorted(marginals)
    levels = [marginals[i].levels for i in discrete]
    inputs = ColumnInputs(_scales([marginals[i] for i in numeric]), numeric, discrete, levels)
    return inputs, (inputs.width,)


def places_given(condition: Sequence[str], preparation: Preparation) -> list[int]:
    """The places in a row of what a model is conditional on: columns of a table, or the labels at the end."""
    if not condition:
        return []
    if preparation.labels is not None:
        size = math.prod(preparation.labels.event_shape)
        return list(range(size, size + len(preparation.labels.levels)))
    return [i for i, marginal in enumerate(marginals_of(preparation)) if marginal.name in condition]


def modelled_of(condition: Sequence[str], preparation: Preparation) -> list[Marginal]:
    """What was fitted to the columns that are modelled: all but those given."""
    return [marginal for marginal in marginals_of(preparation) if marginal.name not in condition]


def context_inputs(condition: Sequence[str], preparation: Preparation) -> tuple[ColumnInputs | None, int]:
    """What stands between what is given and a network, and how many numbers it makes of it."""
    if preparation.labels is not None:
        levels = [len(names) for names in preparation.labels.levels.values()]
        labels = ColumnInputs(None, [], list(range(len(levels))), levels)
        return labels, labels.width
    if not condition:
        return None, 0
    given = [marginal for marginal in marginals_of(preparation) if marginal.name in condition]
    inputs, shape = column_inputs(given)
    return inputs, math.prod(shape)


def marginals_of(preparation: Preparation) -> Sequence[Marginal]:
    """What was fitted to the columns, of a preparation that is of a table."""
    if preparation.marginals is None:
        raise UserError("the columns of the table are not in the run's record; restore it, or train anew")
    return preparation.marginals


def _logits(marginal: Marginal) -> torch.Tensor:
    """Logits of the classes of a column, of its marginal distribution: levels, or atoms and components."""
    if marginal.grouped:
        return _grouped(marginal).sum(1).log().float()
    shares = torch.as_tensor(marginal.shares, dtype=torch.float64)
    if not marginal.levels:
        rest = (1 - shares.sum()).clamp_min(1e-3)
        shares = torch.cat([shares, (rest / COMPONENTS).expand(COMPONENTS)])
    return shares.log().float()


def _grouped(marginal: Marginal) -> torch.Tensor:
    """The shares of the levels of a column in groups, ``[G, S]``; 0 past the last."""
    size = group_size(marginal.levels)
    shares = torch.zeros(-(-marginal.levels // size) * size, dtype=torch.float64)
    shares[: marginal.levels] = torch.as_tensor(marginal.shares)
    return shares.reshape(-1, size)


def _sorted(marginals: Sequence[Marginal]) -> tuple[list[int], list[int]]:
    """The places of the numeric columns, and of the discrete ones."""
    numeric = [i for i, marginal in enumerate(marginals) if not marginal.levels]
    return numeric, [i for i, marginal in enumerate(marginals) if marginal.levels]


def _scales(marginals: Sequence[Marginal]) -> Marginals | None:
    """The scales of several columns side by side; shorter ones are continued to the length of the longest."""
    if not marginals:
        return None
    most = max(len(m.knots) for m in marginals)
    atoms = max(1, *(len(m.atoms) for m in marginals))
    return Marginals(
        torch.from_numpy(np.stack([_continued(m.knots, most) for m in marginals])),
        torch.from_numpy(np.stack([_continued(m.scores, most) for m in marginals])),
        torch.tensor([m.step for m in marginals], dtype=torch.float64),
        torch.tensor([m.low for m in marginals], dtype=torch.float64),
        torch.tensor([m.log for m in marginals]),
        torch.from_numpy(np.stack([_padded(m.atoms, atoms) for m in marginals])),
    )


def _continued(values: Array, length: int) -> Array:
    """Ascending numbers, continued in equal steps as large as the last."""
    more = values[-1] + (values[-1] - values[-2]) * np.arange(1, length - len(values) + 1)
    return np.concatenate([values, more])


def _padded(values: Array, length: int) -> Array:
    return np.concatenate([values, np.full(length - len(values), np.inf)])
