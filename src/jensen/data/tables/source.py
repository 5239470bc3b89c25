"""Tables as data sets: a file's rows as codes, with the schema that was found or given."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.raw import Raw
from jensen.data.tables.batches import is_large
from jensen.data.tables.cells import maybe_text
from jensen.data.tables.codec import encode_table
from jensen.data.tables.edits import apply_edits, read_schema
from jensen.data.tables.forms import are_times, form_of_most
from jensen.data.tables.infer import schema_of
from jensen.data.tables.numerals import like_number, signs_in
from jensen.data.tables.odd import sentences
from jensen.data.tables.read import TEXT, read_table, suffix_of, table_files
from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import is_text
from jensen.data.tables.summary import SOME, summarise
from jensen.data.tables.text import text_layout
from jensen.errors import UserError


def read_tables(
    path: Path,
    schema: Schema | Path | None = None,
    *,
    strict: bool = False,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Raw:
    """The rows of a table file, or of a folder of them, as codes, with the schema in ``Raw.schema``.

    Codes that are larger than `jensen.data.stored.LARGE` are on disk.

    Args:
        path: the file or the folder.
        schema: that of the table trained on, whose columns these rows have; or a file with edits of the types
            that are inferred.
        strict: refuse cells that training could not have had (see `jensen.data.tables.odd`).
        on_choice: told of what was done to the rows.

    Raises:
        UserError: the file cannot be read, the schema does not fit, or no column can be modelled.
    """
    known = schema if isinstance(schema, Schema) else None
    edited = None if schema is None or known else read_schema(Path(str(schema)))
    if is_large(path):
        from jensen.data.tables import large

        if known is None:
            known = _modelled(large.find_schema(path, edited, on_choice), str(path))
            _say_layouts(path, on_choice)
        return large.read_large(path, known, strict=strict, on_choice=on_choice)
    table = read_table(path, known, None if edited is None else maybe_text(edited))
    if known is None:
        _say_layouts(path, on_choice)
    return read_arrow(table, str(path), schema, strict=strict, on_choice=on_choice)


def _say_layouts(path: Path, on_choice: Callable[[str], None]) -> None:
    """What a user should know of how text files were read."""
    for file in (file for file in table_files(path) if suffix_of(file) in TEXT):
        for sentence in text_layout(file).sentences():
            on_choice(f"{file} {sentence}")


def read_arrow(
    table: Any,
    name: str,
    schema: Schema | Path | None = None,
    *,
    strict: bool = False,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Raw:
    """An Arrow table as codes, all rows for training (see `read_tables`)."""
    notes: list[str] = []
    if isinstance(schema, Schema):
        x = encode_like(table, schema, name, strict=strict, on_choice=on_choice)
    else:
        summaries = summarise([table])
        edited, schema = schema, schema_of(summaries)
        if edited is not None:
            schema = apply_edits(read_schema(edited), schema, summaries)
        schema = _modelled(schema, name)
        x = encode_like(table, schema, name, on_choice=notes.append)
    rows = {"train": np.arange(len(x))}
    names, called = _names(table, schema)
    labels, classes = labels_of([table], schema)
    return Raw(
        x,
        labels,
        rows,
        (0.0, 1.0),
        schema=schema,
        names=names,
        names_are=called,
        classes=classes,
        notes=tuple(notes),
    )


def _modelled(schema: Schema, name: str) -> Schema:
    """A schema, refused if no column of it is modelled."""
    if not schema.modelled:
        raise UserError(
            f"{name} has no column that can be modelled ({'; '.join(schema.warnings)}); "
            "give one a type with --schema"
        )
    return schema


def encode_like(
    table: Any,
    schema: Schema,
    name: str,
    *,
    strict: bool = False,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Array:
    """An Arrow table as codes of a schema that is known; unknown categories are missing, and odd cells said.

    Raises:
        UserError: a column is missing, or of another type; with ``strict``, odd cells.
    """
    encoded = encode_table(table, schema, strict=strict, name=name)
    for sentence in sentences(name, encoded.odd):
        on_choice(sentence)
    return encoded.x


def _names(table: Any, schema: Schema) -> tuple[tuple[str, ...], str]:
    """What tells the rows apart: the first column left out of names or ids, all different; its name."""
    for column in schema.columns:
        if column.type == "ignore" and column.name in table.column_names:
            cells = table[column.name]
            if not cells.null_count and _may_name(cells) and len(cells.unique()) == len(cells):
                return tuple(map(str, cells.to_pylist())), column.name
    return (), ""


def _may_name(cells: Any) -> bool:
    """Whether cells can be the names of rows: whole numbers, or texts that are no dates, times or numbers."""
    import pyarrow as pa

    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if not is_text(kind):
        return bool(pa.types.is_integer(kind))
    some = cells.slice(0, SOME).cast(kind).combine_chunks()
    return not (are_times(some) or signs_in(some) or like_number(some) or form_of_most(some))


def labels_of(pieces: Iterable[Any], schema: Schema) -> tuple[Array | None, tuple[str, ...]]:
    """The labels of rows as numbers, and what these stand for: the cells of the first column of type label.

    The numbers follow the order of the different cells; a missing one has -1.

    Args:
        pieces: the rows, Arrow tables one after the other.
        schema: of the rows; without such a column, there are no labels.
    """
    name = next((column.name for column in schema.columns if column.type == "label"), None)
    if name is None:
        return None, ()
    numbers: dict[Any, int] = {}
    parts = [np.empty(0, np.int64)]
    for piece in pieces:
        if name not in piece.column_names:
            return None, ()
        encoded = piece[name].combine_chunks().dictionary_encode()
        found = [
            -1
            if cell is None or cell != cell
            else numbers.setdefault(cell, len(numbers))  # NaN is not itself
            for cell in encoded.dictionary.to_pylist()
        ]
        parts.append(np.array([*found, -1])[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)])
    levels = sorted(numbers, key=_by_value)
    places = np.empty(len(levels) + 1, np.int64)
    places[[numbers[level] for level in levels]] = np.arange(len(levels))
    places[-1] = -1
    return places[np.concatenate(parts)], tuple(map(str, levels))


def _by_value(cell: Any) -> tuple[bool, Any]:
    """Numbers in their order, then anything else by its text."""
    number = isinstance(cell, int | float)
    return not number, cell if number else str(cell)
