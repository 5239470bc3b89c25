"""A schema as a file that users edit: read, written, and applied to what was inferred."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import yaml

from jensen.data.tables.codec import encode_cells
from jensen.data.tables.dates import step_of
from jensen.data.tables.odd import off_grid
from jensen.data.tables.schema import DISCRETE, Column, Level, Schema, is_truth
from jensen.data.tables.summary import MOST_DISTINCT, Summary
from jensen.data.words import few
from jensen.errors import UserError, did_you_mean
from jensen.files import atomic, read_yaml_text, write_yaml_text, yaml_fault

HEADER = """\
# The columns of the table. To change what a column is taken for, edit a copy of this file and train again
# with --schema FILE. Types: continuous, positive (above 0), count (0, 1, 2, ...), binary, categorical,
# ordinal (levels in the order given), date, ignore (left out), label (left out, but shown in plots).
"""


def read_schema(path: Path) -> Schema:
    """The schema in a YAML file.

    Raises:
        UserError: no such file, or it is no schema.
    """
    try:
        return Schema.from_dict(read_yaml_text(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(
            f"cannot read the schema {path}: {error.strerror}; give a file that exists, such as a run's "
            "schema.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"the schema {path} is not valid YAML ({yaml_fault(error)}); mend that line"
        ) from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write_schema(path: Path, schema: Schema) -> None:
    """Write a schema for a user to read, edit and pass back."""
    with atomic(path) as temporary:
        temporary.write_text(HEADER + write_yaml_text(schema.to_dict()), encoding="utf-8")


def apply_edits(edited: Schema, inferred: Schema, summaries: list[Summary]) -> Schema:
    """The schema that was inferred, with the columns that a user has edited.

    Raises:
        UserError: an edited column is not in the table, or its cells are not what its type says.
    """
    names = [column.name for column in inferred.columns]
    for column in edited.columns:
        if column.name not in names:
            near = did_you_mean(column.name, names)
            raise UserError(
                f"the schema has a column {column.name!r} that the table lacks{near}; its columns are "
                f"{few(names)}"
            )
    edits = {column.name: column for column in edited.columns}
    columns = [
        _edited(edits[column.name], column, summary) if column.name in edits else column
        for column, summary in zip(inferred.columns, summaries, strict=True)
    ]
    changed = {c.name for c, old in zip(columns, inferred.columns, strict=True) if c.type != old.type}
    changed |= {column.name for column in edited.columns if column.format is not None}
    warnings = [w for w in inferred.warnings if not any(w.startswith(f"column {name!r}") for name in changed)]
    return Schema(tuple(columns), tuple(warnings))


def _edited(edit: Column, inferred: Column, summary: Summary) -> Column:
    """One column as edited, with what the edit leaves open taken from its cells."""
    if is_truth(inferred.levels) and all(isinstance(level, bool) for level in edit.levels):
        edit = replace(edit, levels=tuple(inferred.levels[int(level)] for level in edit.levels))
    if edit.type == inferred.type and (edit.numeric or not edit.levels):
        form = edit.format or inferred.format
        unit = inferred.step if form == inferred.format else step_of(summary.cells, form or "")
        column = replace(inferred, step=unit if edit.step is None else edit.step, format=form)
    else:
        column = replace(edit, storage=inferred.storage)
    if column.type in DISCRETE:
        column = column if column.levels else replace(column, levels=_levels_of(column, summary))
        _check_levels(column, inferred, summary)
    elif column.type in ("continuous", "positive", "count") and column.type != inferred.type:
        _check_numbers(column, summary)
        column = replace(column, step=column.step or (1.0 if column.type == "count" else inferred.step))
    elif column.type == "date" and column.type != inferred.type:
        _check_dates(column, summary)
        column = replace(column, step=step_of(summary.cells, column.format or ""))
    if column.numeric and column.step not in (None, inferred.step):
        _check_step(column, summary)
    return column


def _levels_of(column: Column, summary: Summary) -> tuple[Level, ...]:
    """The levels of a discrete column by its cells, in their order where they have one."""
    if summary.too_many:
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: it has more than {MOST_DISTINCT:,} levels; "
            "give it another type, or ignore"
        )
    cells = [float(cell) if isinstance(cell, Decimal) else cell for cell in summary.distinct]
    if not cells or not all(isinstance(cell, Level) for cell in cells):
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: its cells are of type {summary.kind}; give it "
            "another type, or ignore"
        )
    return tuple(summary.levels or sorted(cells))


def _check_levels(column: Column, inferred: Column, summary: Summary) -> None:
    """Refuse levels that are no choice, or not those of the cells."""
    levels = column.levels
    given = few([repr(level) for level in levels])
    twice = next((level for level, count in Counter(levels).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"column {column.name!r} has the level {twice!r} twice; keep one of them")
    if len(levels) < 2 or (column.type == "binary" and len(levels) > 2):
        allowed = "two levels" if column.type == "binary" else "two levels or more"
        other = "make it categorical or ordinal" if len(levels) > 2 else "give the others too, or ignore it"
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: that needs {allowed}, and it has {given}; "
            f"{other}"
        )
    if len({bool if isinstance(level, bool) else isinstance(level, str) for level in levels}) > 1:
        raise UserError(
            f"column {column.name!r} has levels of several kinds ({given}); give all in quotes, or none"
        )
    if levels != inferred.levels and not summary.too_many and not _any_of(column, summary):
        cells = few([repr(cell) for cell in summary.distinct])
        raise UserError(
            f"no cell of column {column.name!r} is one of its levels {given}; its cells are {cells}: give "
            "levels of these, in quotes where they are texts"
        )


def _any_of(column: Column, summary: Summary) -> bool:
    """Whether some cell has one of the levels."""
    try:
        return not np.isnan(encode_cells(summary.cells, column, "the table")[0]).all()
    except UserError:  # of another type
        return False


def _check_step(column: Column, summary: Summary) -> None:
    """Refuse a step of which not all cells are multiples."""
    import pyarrow as pa

    assert column.step is not None
    try:
        values = encode_cells(summary.cells, column, "the table")[0]
    except UserError:  # a cell is no date: it is named, with its row, when the table is encoded
        return
    narrow = pa.types.is_floating(summary.kind)
    digits = np.finfo(summary.kind.to_pandas_dtype() if narrow else np.float64).eps
    off = off_grid(values, column.step, float(digits))
    if off.any():
        cell = summary.distinct[int(off.argmax())]
        raise UserError(
            f"column {column.name!r} cannot have the step {column.step:g}: {cell} is no multiple of it; give "
            "another, or leave it out"
        )
    if column.type == "count" and column.step % 1:
        raise UserError(
            f"column {column.name!r} cannot have the step {column.step:g}: counts are whole; leave it out"
        )


def _check_dates(column: Column, summary: Summary) -> None:
    import pyarrow as pa

    if not (summary.is_text or pa.types.is_integer(summary.kind)) or column.format is None:
        raise UserError(
            f"column {column.name!r} cannot be date: its cells are of type {summary.kind}; give it another "
            "type or, where they are text, their format, such as format: '%d %b %Y'"
        )


def _check_numbers(column: Column, summary: Summary) -> None:
    numbers = summary.numbers
    if numbers is None:
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: its cells are of type {summary.kind}; give it "
            "another type, such as categorical"
        )
    if not numbers.finite:
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: it has infinite values; remove those rows, or "
            "give another type"
        )
    if (column.type == "positive" and numbers.low <= 0) or (column.type == "count" and numbers.low < 0):
        raise UserError(
            f"column {column.name!r} cannot be {column.type}: it has {numbers.low:g}; give another type"
        )
    if column.type == "count" and not numbers.whole:
        raise UserError(
            f"column {column.name!r} cannot be count: not all its numbers are whole; give another type"
        )
