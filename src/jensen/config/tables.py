"""The parts of a model of a table, from what was fitted to its columns."""

from collections.abc import Sequence

import numpy as np
import torch

from jensen.data import Preparation
from jensen.data.arrays import Array
from jensen.data.tables.marginals import Marginal
from jensen.distributions.column_layout import Layout
from jensen.distributions.marginals import Marginals
from jensen.errors import UserError
from jensen.families.columns import Columns
from jensen.networks.columns import ColumnInputs

COMPONENTS = 5
"""Components of the mixture of each numeric column."""


def column_family(marginals: Sequence[Marginal]) -> Columns:
    """The product family of a table's columns, with fresh weights nowhere: it has none."""
    numeric, discrete = _sorted(marginals)
    layout = Layout(
        _scales([marginals[i] for i in numeric]),
        numeric,
        discrete,
        [marginals[i].levels for i in discrete],
        [len(marginals[i].atoms) for i in numeric],
        COMPONENTS,
    )
    return Columns(layout, torch.cat([_logits(marginal) for marginal in marginals]))


def column_inputs(marginals: Sequence[Marginal]) -> tuple[ColumnInputs, tuple[int]]:
    """What stands between a table's codes and a network, and the shape that it makes of a row."""
    numeric, discrete = _sorted(marginals)
    levels = [marginals[i].levels for i in discrete]
    inputs = ColumnInputs(_scales([marginals[i] for i in numeric]), numeric, discrete, levels)
    return inputs, (inputs.width,)


def marginals_of(preparation: Preparation) -> Sequence[Marginal]:
    """What was fitted to the columns, of a preparation that is of a table."""
    if preparation.marginals is None:
        raise UserError("the columns of the table are not in the run's record; restore it, or train anew")
    return preparation.marginals


def _logits(marginal: Marginal) -> torch.Tensor:
    """Logits of the classes of a column, of its marginal distribution: levels, or atoms and components."""
    shares = torch.as_tensor(marginal.shares, dtype=torch.float64)
    if not marginal.levels:
        rest = (1 - shares.sum()).clamp_min(1e-3)
        shares = torch.cat([shares, (rest / COMPONENTS).expand(COMPONENTS)])
    return shares.log().float()


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
