"""What each column of a table is, from its cells."""

import difflib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from jensen.data.arrays import Array
from jensen.data.tables.dates import form_of
from jensen.data.tables.schema import Column, Schema
from jensen.errors import UserError
from jensen.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

MANY_LEVELS = 100
"""Text with more distinct cells than this, and with most of them distinct, is taken for names, not levels."""
DISTINCT = 0.5
ID = re.compile(r"(^|[\W_])(id|uid|uuid|key|index|nr|no)$", re.IGNORECASE)
"""Names of columns that identify rows, should all their numbers differ."""
SKEW = 5.0
"""A positive column whose largest value is so many times its median is taken as positive, on a log scale."""
MEND = "to change it, edit schema.yaml of the run and train again with --schema"
HEADER = """\
# The columns of the table. To change what a column is taken for, edit a copy of this file and train again
# with --schema FILE. Types: continuous, positive (above 0), count (0, 1, 2, ...), binary, categorical,
# ordinal (levels in the order given), date, ignore (left out), label (left out, but shown in plots).
"""


def infer_schema(table: "pa.Table") -> Schema:
    """The type of each column by its content, with a warning for each that is left out."""
    columns, warnings = [], []
    for name in table.column_names:
        column, warning = _column(name, table[name].combine_chunks())
        columns.append(column)
        if warning:
            warnings.append(f"column {name!r} {warning}; {MEND}")
    return Schema(tuple(columns), tuple(warnings))


def _column(name: str, cells: Any) -> tuple[Column, str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    storage = str(kind)
    there = pc.drop_null(cells)
    if len(there) == 0:
        return Column(name, "ignore", storage), "is left out: all its cells are missing"
    distinct = pc.unique(there.dictionary_decode() if pa.types.is_dictionary(kind) else there)
    if len(distinct) == 1:
        constant = distinct[0].as_py()
        text = constant if isinstance(constant, str | int | float | bool) else None
        return Column(name, "ignore", storage, constant=text), f"is left out: it is always {constant!r}"
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_time(kind):
        step = 1.0 if pa.types.is_date(kind) else None
        return Column(name, "date", storage, step=step), ""
    if pa.types.is_dictionary(kind):
        levels = [level for level in cells.dictionary.to_pylist() if level is not None]
        return Column(name, "ordinal" if kind.ordered else _discrete(levels), storage, tuple(levels)), ""
    if pa.types.is_boolean(kind):
        return Column(name, "binary", storage, (False, True)), ""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text(name, storage, there, distinct)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number(name, storage, there)
    return Column(name, "ignore", storage), f"is left out: cells of type {kind} cannot be modelled"


def _discrete(levels: list[Any]) -> str:
    return "binary" if len(levels) == 2 else "categorical"


def _text(name: str, storage: str, there: Any, distinct: Any) -> tuple[Column, str]:
    form = form_of(distinct)
    if form is not None:
        return Column(name, "date", storage, step=1.0, format=form), ""
    if len(distinct) > MANY_LEVELS and len(distinct) > DISTINCT * len(there):
        return (
            Column(name, "ignore", storage),
            f"is left out: {len(distinct)} of its {len(there)} cells are different texts, such as names",
        )
    levels = sorted(distinct.to_pylist())
    return Column(name, _discrete(levels), storage, tuple(levels)), ""


def _number(name: str, storage: str, there: Any) -> tuple[Column, str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.cast(there, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    values = values[~np.isnan(values)]
    if len(values) > 20 and (values == np.floor(values)).all() and _numbers_rows(values):
        return Column(name, "ignore", storage), "is left out: it numbers the rows"
    if len(values) > 20 and ID.search(name) and len(np.unique(values)) == len(values):
        return Column(
            name, "ignore", storage
        ), "is left out: its name says id, and all its cells are different"
    column = infer_column(name, values, storage)
    return column, "" if column.modelled else "is left out: all its cells are missing"


def infer_column(name: str, values: Array, storage: str = "double") -> Column:
    """The type of a column of numbers ``[n]``, NaN where missing; one without two values is left out.

    Raises:
        UserError: infinite values.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Column(name, "ignore", storage)
    if not np.isfinite(values).all():
        raise UserError(f"column {name!r} has infinite values; remove those rows, or leave the cells empty")
    whole = bool((values == np.floor(values)).all())
    distinct = np.unique(values)
    if len(distinct) == 1:
        return Column(name, "ignore", storage, constant=float(distinct[0]))
    if len(distinct) == 2:
        levels = tuple(int(v) if whole else float(v) for v in distinct)
        return Column(name, "binary", storage, levels)
    if whole:
        return Column(name, "count" if distinct[0] >= 0 else "continuous", storage, step=1.0)
    step = _step(distinct)
    positive = distinct[0] > 0 and distinct[-1] > SKEW * float(np.median(values))
    return Column(name, "positive" if positive else "continuous", storage, step=step)


def _numbers_rows(values: Array) -> bool:
    """Whether whole numbers are all different, and go up from row to row or are a shuffle of 1, 2, 3, ..."""
    if len(np.unique(values)) < len(values):
        return False
    return float(np.ptp(values)) < 1.01 * len(values) or bool((np.diff(values) > 0).all())


def _step(values: Array) -> float | None:
    """The power of ten, 0.0001 at least, of which all values are multiples; None if there is none."""
    for decimals in range(1, 5):
        scaled = values * 10.0**decimals
        if np.abs(scaled - scaled.round()).max() <= 1e-6 * max(1.0, float(np.abs(scaled).max()) * 1e-6):
            return float(10.0**-decimals)
    return None


def read_schema(path: Path) -> Schema:
    """The schema in a YAML file.

    Raises:
        UserError: no such file, or it is no schema.
    """
    try:
        return Schema.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(
            f"cannot read the schema {path}: {error.strerror}; give a file that exists, such as a run's "
            "schema.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise UserError(f"the schema {path} is not valid YAML (line {line}); mend that line") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write_schema(path: Path, schema: Schema) -> None:
    """Write a schema for a user to read, edit and pass back."""
    with atomic(path) as temporary:
        text = yaml.safe_dump(schema.to_dict(), sort_keys=False, default_flow_style=None, width=100)
        temporary.write_text(HEADER + text, encoding="utf-8")


def apply_edits(edited: Schema, inferred: Schema, table: "pa.Table") -> Schema:
    """The schema that was inferred, with the columns that a user has edited.

    Raises:
        UserError: an edited column is not in the table, or its cells are not what its type says.
    """
    names = [column.name for column in inferred.columns]
    for column in edited.columns:
        if column.name not in names:
            near = difflib.get_close_matches(column.name, names, 1, 0.0)[0]
            raise UserError(
                f"the schema has a column {column.name!r} that the table lacks (did you mean {near}?)"
            )
    edits = {column.name: column for column in edited.columns}
    columns = [
        _edited(edits[column.name], column, table[column.name].combine_chunks())
        if column.name in edits
        else column
        for column in inferred.columns
    ]
    changed = {c.name for c, old in zip(columns, inferred.columns, strict=True) if c.type != old.type}
    warnings = [w for w in inferred.warnings if not any(w.startswith(f"column {name!r}") for name in changed)]
    return Schema(tuple(columns), tuple(warnings))


def _edited(edit: Column, inferred: Column, cells: Any) -> Column:
    """One column as edited, with what the edit leaves open taken from its cells."""
    if edit.type == inferred.type and not edit.levels:
        return replace(inferred, step=edit.step if edit.step is not None else inferred.step)
    column = replace(edit, storage=inferred.storage)
    if column.type in ("binary", "categorical", "ordinal") and not column.levels:
        levels = [level for level in cells.unique().to_pylist() if level is not None]
        column = replace(column, levels=tuple(sorted(levels)))
    if column.type in ("continuous", "positive", "count"):
        _check_numbers(column, cells)
        column = replace(column, step=1.0 if column.type == "count" else column.step or inferred.step)
    if column.type == "date" and column.format is None:
        column = replace(column, format=inferred.format)
    return column


def _check_numbers(column: Column, cells: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        values = pc.cast(pc.drop_null(cells), pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: its cells are of type {cells.type}; give it "
            "another type, such as categorical"
        ) from None
    tests: dict[str, Callable[[Any], Any]] = {
        "continuous": np.isfinite,
        "positive": lambda v: v > 0,
        "count": lambda v: (v >= 0) & (v == np.floor(v)),
    }
    fits = tests[column.type](values)
    if not fits.all():
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: it has {values[~fits][0]:g}; give another type"
        )
