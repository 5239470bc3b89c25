"""Rows as their source gives them, before they are split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jensen.data.arrays import Array
from jensen.data.labels import LABEL
from jensen.data.stored import Stored
from jensen.data.tables.schema import Schema


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of rows beside their numbers.

    Attributes:
        schema: what the columns of a table are, whose codes the rows then hold; None for arrays.
        is_count: the values are counts, whose distribution is one of whole numbers.
        names: what to call each row, such as the file of an image; empty where there is nothing.
        names_are: what the names are called, as a column of a table.
        features: what to call the numbers of a row, such as genes; empty where there is nothing.
        classes: what the numbers of the labels stand for; empty where for themselves.
        labels_are: what the labels are called, as a column.
        columns: those that came beside the rows, by name, as pandas has them, for models that are given some.
        notes: what was found and done when the data were read, a sentence each, for the user.
    """

    schema: Schema | None = None
    is_count: bool = False
    names: tuple[str, ...] = ()
    names_are: str = "image"
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    labels_are: str = LABEL
    columns: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Raw(About):
    """Rows as their source gives them, with the splits that it has.

    Attributes:
        x: ``[N, *event]``.
        labels: ``[N]`` int64, or None where there are none.
        splits: row numbers of the published splits; ``load`` draws from "train" what is not among them. Empty
            where there are so many rows that they are not listed.
        value_range: the grey range of ``x``.
        digest: of ``x``, where it is known (see `jensen.data.dataset.digest_rows`).
    """

    x: Array | Stored
    labels: Array | None
    splits: dict[str, Array]
    value_range: tuple[float, float]
    digest: str = ""
