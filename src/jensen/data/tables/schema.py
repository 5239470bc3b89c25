"""The schema of a table: what each column is, and how its cells are written.

A table's rows reach the model as codes, ``[N, C]`` of float64 with one number for each modelled column:
numbers as they are, dates as days or seconds since 1970, categories as their number in ``levels``; NaN is a
missing cell. `jensen.data.tables.codec` codes and decodes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jensen.data.words import count, few
from jensen.errors import UserError

NUMERIC = ("continuous", "positive", "count", "date")
DISCRETE = ("binary", "categorical", "ordinal")
UNMODELLED = ("ignore", "label")
TYPES = (*NUMERIC, *DISCRETE, *UNMODELLED)
"""continuous: any number; positive: above 0; count: whole, 0 or more; date: a day or a moment; binary: two
levels; categorical: levels without an order; ordinal: levels in the order given; ignore: left out; label:
left out, but shown in plots."""

Level = str | int | float | bool


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: its name in the file.
        type: one of `TYPES`.
        storage: the Arrow type of its cells as given, as text: "int64", "double", "string", "bool",
            "date32[day]", "timestamp[us]", "dictionary<values=string, indices=int32, ordered=0>", ...
        levels: the values of a discrete column in the order of their codes 0, 1, ...; of a dictionary column
            with a constant, all that it may have.
        step: what a number is a multiple of, as written: 1 for whole numbers, 0.1 for one decimal; None where
            there is no such grid. For dates in seconds (in days where they have no time of day): whole days,
            86400 seconds, begin at midnight in the time zone of the storage.
        format: how a date is written in text, as for ``strftime``; None where Arrow stores dates.
        constant: the one value of a column that is left out because it has no other; None elsewhere.
    """

    name: str
    type: str
    storage: str
    levels: tuple[Level, ...] = ()
    step: float | None = None
    format: str | None = None
    constant: Level | None = None

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise UserError(
                f"column {self.name!r} has the type {self.type!r}; give one of {', '.join(TYPES)}"
            )
        step = self.step
        number = isinstance(step, int | float) and not isinstance(step, bool)
        if step is not None and not (number and 0 < step < math.inf):
            raise UserError(
                f"column {self.name!r} has the step {step!r}; give a number above 0, such as 0.001, or leave "
                "it out"
            )

    @property
    def numeric(self) -> bool:
        """Whether codes are numbers, not numbers of levels."""
        return self.type in NUMERIC

    @property
    def modelled(self) -> bool:
        """Whether the model sees the column."""
        return self.type not in UNMODELLED


@dataclass(frozen=True)
class Schema:
    """The columns of a table in the order of the file, modelled or not.

    Attributes:
        columns: the columns.
        warnings: what was done about columns that cannot be modelled, a sentence each, for the user.
    """

    columns: tuple[Column, ...]
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def modelled(self) -> tuple[Column, ...]:
        """The columns of the codes ``[N, C]``."""
        return tuple(column for column in self.columns if column.modelled)

    def of_numbers(self) -> "Schema":
        """The schema for one likelihood of all numbers, which knows no grid and no type of a column."""
        free = ("continuous", "positive", "count")
        return replace(
            self,
            columns=tuple(
                replace(c, type="continuous", step=None) if c.type in free else c for c in self.columns
            ),
        )

    def sentences(self) -> list[str]:
        """What a user should know of the columns: how many of each type, and what was done to some."""
        by_type = {kind: [c.name for c in self.columns if c.type == kind] for kind in TYPES}
        parts = [f"{len(names)} {kind} ({few(names)})" for kind, names in by_type.items() if names]
        mend = ["to change a type, edit a copy of the run's schema.yaml and train again with --schema"]
        columns = f"{count(len(self.columns), 'column')}: {'; '.join(parts)}"
        return [columns, *self.warnings, *(mend if self.warnings else [])]

    def to_dict(self) -> list[dict[str, Any]]:
        """A record for YAML: one mapping a column, without what it does not need."""
        records = []
        for column in self.columns:
            record: dict[str, Any] = {"name": column.name, "type": column.type, "storage": column.storage}
            if column.levels:
                record["levels"] = list(column.levels)
            for key in ("step", "format", "constant"):
                if getattr(column, key) is not None:
                    record[key] = getattr(column, key)
            records.append(record)
        return records

    @staticmethod
    def from_dict(records: Any) -> "Schema":
        """The inverse of `to_dict`.

        Raises:
            UserError: no list of columns, a key or a type that is unknown, or a name given twice.
        """
        if not isinstance(records, list) or not records:
            raise UserError("a schema is a list of columns, such as '- {name: age, type: count}'")
        known = ("name", "type", "storage", "levels", "step", "format", "constant")
        columns: list[Column] = []
        for record in records:
            if not isinstance(record, Mapping) or not {"name", "type"} <= record.keys():
                raise UserError(f"a column of a schema needs a name and a type; {record!r} has not both")
            strange = [key for key in record if key not in known]
            if strange:
                raise UserError(
                    f"column {record['name']!r} of the schema has an unknown key {strange[0]!r}; "
                    f"the keys are {', '.join(known)}"
                )
            values = {"storage": "", **record, "levels": _read_levels(record)}
            columns.append(Column(**{**values, "name": str(values["name"])}))
        names = [column.name for column in columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"the schema names column {twice!r} twice; keep one of them")
        return Schema(tuple(columns))


def _read_levels(record: Mapping[str, Any]) -> tuple[Level, ...]:
    """The levels in the record of a column, refused where it has no list of them, or no text as format."""
    levels, form, name = record.get("levels") or [], record.get("format"), record["name"]
    if not isinstance(levels, list) or not all(isinstance(level, Level) for level in levels):
        raise UserError(
            f"column {name!r} of the schema has the levels {levels!r}; give a list of texts or numbers, "
            "such as levels: [School, Master], texts such as '2020-01-31' in quotes"
        )
    if form is not None and not isinstance(form, str):
        raise UserError(
            f"column {name!r} of the schema has the format {form!r}; give a text, such as '%d %b %Y'"
        )
    return tuple(levels)


def as_known(names: Iterable[str], schema: Schema | None) -> list[str]:
    """Names of columns, each as a schema has it but for blanks around it; else without these.

    Text files say nothing by such blanks, but names of other files and of frames may have them.
    """
    known = {} if schema is None else {column.name: column.name for column in schema.columns}
    bare = {name.strip(): name for name in known}
    return [known.get(name) or bare.get(name.strip(), name.strip()) for name in names]


def is_truth(levels: Sequence[Level]) -> bool:
    """Whether levels are the texts false and true, in whatever spelling."""
    return sorted(level.lower() for level in levels if isinstance(level, str)) == ["false", "true"]
