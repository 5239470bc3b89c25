"""Data whose labels are given to a model: the labels as numbers, and the names that these stand for."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from jensen.data.arrays import Array
from jensen.data.dataset import Dataset
from jensen.data.labels import Labels, listed
from jensen.data.words import count
from jensen.errors import UserError


def give_labels(dataset: Dataset, like: Labels | None = None) -> Dataset:
    """The same data, with their labels, for a model of p(x | label).

    Args:
        dataset: with labels; images of one label alone may lie in a folder of its name.
        like: the labels of the data that a model was trained on; None to train on these.

    Raises:
        UserError: there are no labels, one for all, or as many as rows; or others than in training.
    """
    labels, classes = _labels(dataset, like)
    numbers, names = _numbered(labels, classes)
    if like is not None:
        numbers, names = _numbers_among(like.names, numbers, names, dataset.name), like.names
    elif len(names) < 2 or 2 * len(names) > len(labels):
        raise UserError(
            f"--condition label: {dataset.name} has {count(len(names), 'label')} in "
            f"{count(len(labels), 'row')} ({listed(names)}), from which nothing can be learned; leave "
            "--condition out"
        )
    digest = hashlib.sha256(dataset.digest.encode() + repr(names).encode() + numbers.tobytes()).hexdigest()
    given = Labels(names, dataset.event_shape)
    return replace(dataset, labels=torch.from_numpy(numbers), classes=names, given=given, digest=digest)


def _labels(dataset: Dataset, like: Labels | None) -> tuple[Array, Sequence[str]]:
    """The labels of all rows, and what they stand for."""
    if dataset.labels is not None:
        return dataset.labels.numpy(), dataset.classes
    path = Path(dataset.name).resolve()
    folder = path.name if path.is_dir() else path.parent.name
    if like is not None and dataset.is_image and dataset.names and folder in like.names:
        return np.zeros(len(dataset.names), dtype=np.int64), (folder,)
    known = "" if like is None else f" (in training {listed(like.names)})"
    raise UserError(
        f"{dataset.name} has no labels, which --condition label needs{known}; {_mend(dataset.name)}"
    )


def _mend(name: str) -> str:
    """How data of a kind get labels."""
    if not name.lower().endswith(".h5ad"):
        return (
            "give images in sub-folders named by their label, or an .npz file with the labels as y, in text "
            "or whole numbers"
        )
    from jensen.data.h5ad import LABELS, OTHER_COLUMN  # here, since it brings scipy.sparse

    known = f"{', '.join(LABELS[:-1])} or {LABELS[-1]}"
    return f"only a column of obs called {known} is read as such, and {OTHER_COLUMN}"


def _numbered(labels: Array, classes: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
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


def _numbers_among(known: Sequence[str], numbers: Array, names: Sequence[str], source: str) -> Array:
    """The numbers that labels have among those ``known``.

    Raises:
        UserError: rows with another label.
    """
    places = {name: place for place, name in enumerate(known)}
    other = [name for name in names if name not in places]
    if other:
        count = int(np.isin(numbers, [names.index(name) for name in other]).sum())
        raise UserError(
            f"{source}: {count} of {len(numbers)} rows have labels that training had not ({listed(other)}); "
            f"it had {listed(known)}: leave those rows out, or correct their labels"
        )
    found: Array = np.array([places[name] for name in names])[numbers]
    return found
