"""Groups of rows by their label, and the colours and shapes that tell them apart."""

from dataclasses import dataclass

import numpy as np

from jensen.data import Dataset
from jensen.data.arrays import Array
from jensen.report.style import LINE

TEN = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Ten colours that readers with any colour vision tell apart, on white and on black (Petroff 2021,
arXiv:2107.02270)."""
REST = LINE
"""The colour of rows that belong to no group of their own."""
SHAPES = (("o", ""), ("^", "////"))
"""Of points and of bars: of the first ten groups, and of the second."""
MOST = len(TEN) * len(SHAPES)
"""Groups that can be told apart at all."""
LARGEST = len(TEN) - 1
"""Of more groups that have names, so many are shown, and all others as one."""
OTHERS = " others"


@dataclass(frozen=True)
class Group:
    """Rows with the same label.

    Attributes:
        name: of the label.
        rows: which, ``[N]`` of bool.
        colour: of its points and bars.
        marker: the shape of its points.
        hatch: the lines on its bars.
    """

    name: str
    rows: Array
    colour: str
    marker: str = SHAPES[0][0]
    hatch: str = SHAPES[0][1]


def groups(labels: Array, dataset: Dataset) -> list[Group] | None:
    """The rows by their label, in the order of the labels; those without one, and what is left, in grey.

    Args:
        labels: ``[N]`` int64, below 0 of rows without one where labels have names.
        dataset: which knows the names.

    Returns:
        None where there are more labels than can be told apart and they are plain numbers: a scale.
    """
    found, sizes = np.unique(labels, return_counts=True)
    named = bool(dataset.classes)
    without = found < 0 if named else np.zeros(len(found), dtype=bool)
    shown, sizes = found[~without], sizes[~without]
    if len(shown) > MOST:
        if not named:
            return None
        shown = np.sort(shown[np.argsort(-sizes, kind="stable")[:LARGEST]])
    left, made = len(found[~without]) - len(shown), []
    for number, label in enumerate(shown.tolist()):
        marker, hatch = SHAPES[number // len(TEN)]
        name = dataset.label_name(label)
        made.append(Group(name, labels == label, TEN[number % len(TEN)], marker, hatch))
    rest = ~np.isin(labels, shown)
    for name, rows in {
        f"{left:,}{OTHERS}": rest & (labels >= 0),
        "no label": rest & (labels < 0),
    }.items():
        if rows.any():
            made.append(Group(name, rows, REST))
    return made


def has_rest(found: list[Group] | None) -> bool:
    """Whether there are labels without a colour of their own."""
    return any(group.name.endswith(OTHERS) and group.colour == REST for group in found or ())
