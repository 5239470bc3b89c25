"""A schema as a file that users edit: read, written, and applied to what was inferred."""

import difflib
from dataclasses import replace
from pathlib import Path

import yaml

from jensen.data.tables.dates import unit_of
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.summary import MOST_DISTINCT, Summary
from jensen.errors import UserError
from jensen.files import atomic, read_yaml_text, write_yaml_text

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
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise UserError(f"the schema {path} is not valid YAML (line {line}); mend that line") from None
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
            near = difflib.get_close_matches(column.name, names, 1, 0.0)[0]
            raise UserError(
                f"the schema has a column {column.name!r} that the table lacks (did you mean {near}?)"
            )
    edits = {column.name: column for column in edited.columns}
    columns = [
        _edited(edits[column.name], column, summary) if column.name in edits else column
        for column, summary in zip(inferred.columns, summaries, strict=True)
    ]
    changed = {c.name for c, old in zip(columns, inferred.columns, strict=True) if c.type != old.type}
    warnings = [w for w in inferred.warnings if not any(w.startswith(f"column {name!r}") for name in changed)]
    return Schema(tuple(columns), tuple(warnings))


def _edited(edit: Column, inferred: Column, summary: Summary) -> Column:
    """One column as edited, with what the edit leaves open taken from its cells."""
    if edit.type == inferred.type and not edit.levels:
        step = edit.step if edit.step is not None else inferred.step
        return replace(inferred, step=step, format=edit.format or inferred.format)
    column = replace(edit, storage=inferred.storage)
    if column.type in ("binary", "categorical", "ordinal") and not column.levels:
        if summary.too_many:
            raise UserError(
                f"column {column.name!r} cannot be {column.type}: it has more than {MOST_DISTINCT:,} levels; "
                "give it another type, or ignore"
            )
        column = replace(column, levels=tuple(sorted(summary.distinct)))
    if column.type in ("continuous", "positive", "count"):
        _check_numbers(column, summary)
        column = replace(column, step=1.0 if column.type == "count" else column.step or inferred.step)
    if column.type == "date":
        _check_dates(column, summary)
        column = replace(column, step=unit_of(column.format or ""))
    return column


def _check_dates(column: Column, summary: Summary) -> None:
    if not summary.is_text or column.format is None:
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
