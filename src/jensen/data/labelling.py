"""Data whose labels are given to a model: the labels as numbers, and the names that these stand for."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jensen.data.arrays import Array
from jensen.data.dataset import Dataset
from jensen.data.labels import LABEL, Labels, listed, numbered_levels
from jensen.data.sources import path_of
from jensen.data.words import count, few
from jensen.errors import UserError, did_you_mean

MOST_NUMBERS = 100
"""Different numbers, at most, in a column that is given: more of them are a measurement, and no levels."""

Numbered = tuple[Array, tuple[str, ...]]
"""Numbers ``[N]`` from 0 of levels that all occur, and these levels."""


def give_labels(dataset: Dataset, names: Sequence[str] = (LABEL,)) -> Dataset:
    """The same data, with labels, for a model of p(x | labels) that is trained on them.

    Args:
        dataset: with what ``names`` names.
        names: of the labels: `LABEL`, or columns that came beside the rows.

    Raises:
        UserError: there is no such label; it has one level for all, as many as rows, or is a measurement.
    """
    given = {}
    for name in names:
        _check_levels(dataset, name)
        given[name] = _numbered(*_found(dataset, name))
        _check_learnable(dataset, name, given[name])
    return _given(dataset, given)


def give_known_labels(dataset: Dataset, labels: Labels) -> Dataset:
    """The same data, with the labels that a model was trained with.

    Args:
        dataset: with these labels; images of one label alone may lie in a folder of its name.
        labels: of the data that the model was trained on.

    Raises:
        UserError: there is no such label, or it has levels that it had not in training.
    """
    given = {}
    for name, known in labels.levels.items():
        numbers, levels = _numbered(*_found(dataset, name, known))
        given[name] = _numbers_among(known, numbers, levels, dataset.name, name), known
    return _given(dataset, given)


def _given(dataset: Dataset, given: Mapping[str, Numbered]) -> Dataset:
    """The data with labels as contexts; their digest tells those too."""
    digest = hashlib.sha256(dataset.digest.encode())
    for numbers, levels in given.values():
        digest.update(repr(levels).encode() + numbers.tobytes())
    labels = Labels({name: levels for name, (_, levels) in given.items()}, dataset.event_shape)
    contexts = torch.from_numpy(np.stack([numbers for numbers, _ in given.values()], 1))
    return replace(dataset, given=labels, contexts=contexts, digest=digest.hexdigest())


def _found(dataset: Dataset, name: str, known: Sequence[str] | None = None) -> tuple[Array, Sequence[str]]:
    """The numbers of a label in all rows, and what they stand for.

    Args:
        dataset: the data.
        name: of the label.
        known: the levels that it had in training; None to train on these data.
    """
    if name in (LABEL, dataset.labels_are) and dataset.labels is not None:
        return dataset.labels.numpy(), dataset.classes
    if name != LABEL and name in dataset.columns:
        return numbered_levels(dataset.columns[name])
    path = Path(dataset.name).resolve()
    folder = path.name if path.is_dir() else path.parent.name
    if name == LABEL and dataset.is_image and dataset.names and folder in (known or ()):
        return np.zeros(len(dataset.names), dtype=np.int64), (folder,)
    raise UserError(_lacking(dataset, name, "" if known is None else f" (in training {listed(known, name)})"))


def _lacking(dataset: Dataset, name: str, known: str) -> str:
    """That data have no such label, and the mend."""
    columns = list(dataset.columns)
    if name == LABEL:
        mend = _mend(dataset.name, columns)
        return f"{dataset.name} has no labels, which --condition label needs{known}; {mend}"
    if columns or _is_annotated(dataset.name):
        near = did_you_mean(name, columns)
        there = f"the columns are {few(columns)}" if columns else "it has none: write this one into it"
        return f"{dataset.name}: its obs has no column {name!r}{known}{near}; {there}"
    return (
        f"--condition {name}: {dataset.name} is no table and has no columns beside its rows{known}, so that "
        "only the label can be given; write --condition label"
    )


def _mend(source: str, columns: list[str]) -> str:
    """How data of a kind get labels."""
    if columns:
        return f"name another column of obs, as in --condition {columns[0]}: there are {few(columns)}"
    if _is_annotated(source):
        return "write its cells' labels into a column of obs, such as cell_type or leiden, which has none"
    return (
        "give images in sub-folders named by their label, or an .npz file with the labels as y, in text or "
        "whole numbers"
    )


def _is_annotated(source: str) -> bool:
    """Whether data come from a file that may have columns beside its rows."""
    path = path_of(source)
    return path is not None and path.suffix.lower() == ".h5ad"


def _check_levels(dataset: Dataset, name: str) -> None:
    """Refuse a column of numbers so many of which differ that they are no levels."""
    column: Any = dataset.columns.get(name)
    if column is None or getattr(column.dtype, "kind", "") not in "iuf":
        return
    if (different := column.nunique()) > MOST_NUMBERS:
        raise UserError(
            f"--condition {name}: column {name!r} of {dataset.name} has {different:,} different numbers, and "
            f"a label has levels, of numbers at most {MOST_NUMBERS}; write the file again with a column of "
            f"few, as in obs['{name}_bin'] = pandas.qcut(obs[{name!r}], 5, labels=False), or, if they are "
            "codes, as text (.astype(str))"
        )


def _check_learnable(dataset: Dataset, name: str, label: Numbered) -> None:
    """Refuse a label that is the same for all rows, or nearly another one for each."""
    numbers, levels = label
    if len(levels) < 2 or 2 * len(levels) > len(numbers):
        found = count(len(levels), LABEL if name == LABEL else "level")
        raise UserError(
            f"--condition {name}: {dataset.name} has {found} in {count(len(numbers), 'row')} "
            f"({listed(levels, name)}), from which nothing can be learned; leave --condition out"
        )


def _numbered(labels: Array, classes: Sequence[str]) -> Numbered:
    """Labels ``[N]`` as numbers from 0 of names that all occur, in their order, and these names.

    Args:
        labels: whole numbers; below 0 where a row has none.
        classes: what the numbers stand for; without it, for themselves.
    """
    present, numbers = np.unique(np.maximum(labels, -1) if len(classes) else labels, return_inverse=True)
    names = tuple(
        str(value) if not len(classes) else classes[value] if value >= 0 else "" for value in present.tolist()
    )
    return numbers.astype(np.int64), names


def _numbers_among(
    known: Sequence[str], numbers: Array, levels: Sequence[str], source: str, name: str
) -> Array:
    """The numbers that levels have among those ``known``.

    Raises:
        UserError: rows with another level.
    """
    places = {level: place for place, level in enumerate(known)}
    other = [level for level in levels if level not in places]
    if other:
        rows = int(np.isin(numbers, [levels.index(level) for level in other]).sum())
        what = "labels" if name == LABEL else f"values of {name!r}"
        raise UserError(
            f"{source}: {rows} of {len(numbers)} rows have {what} that training had not "
            f"({listed(other, name)}); it had {listed(known, name)}: leave those rows out, or correct their "
            f"{'labels' if name == LABEL else 'values'}"
        )
    found: Array = np.array([places[level] for level in levels])[numbers]
    return found
