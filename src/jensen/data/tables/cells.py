"""Cells of text as what all cells of their column are: whole numbers, numbers, truth values or text."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.schema import Schema
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""What a missing cell of a text file looks like, blanks around it aside."""


def storage_of(schema: Schema | None) -> dict[str, str]:
    """The Arrow types of the columns of a schema, by name."""
    return {} if schema is None else {column.name: column.storage for column in schema.columns}


def typed_cells(table: "pa.Table", storage: dict[str, str], path: Path, first: int) -> "pa.Table":
    """Cells of text as what they were in training, and of new columns as what all of them are."""
    import pyarrow as pa

    return pa.table(
        {name: _typed(table[name], name, storage.get(name), path, first) for name in table.column_names}
    )


def _typed(cells: Any, name: str, storage: str | None, path: Path, first_line: int) -> Any:
    """Cells of text as whole numbers, numbers, truth values or text: the first kind that all of them are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = without_missing(cells)
    if storage is not None:
        return _cast(text, storage, name, path, first_line)
    if text.null_count == len(text):
        return text
    if _has_codes(text):
        return text
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
    return _truth(text)


def typed_storage(pieces: "Iterable[pa.Table]", path: Path) -> dict[str, str]:
    """The Arrow type of each column of a text file in pieces: the first kind that all its cells are.

    Raises:
        UserError: there are no rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds: dict[str, list[Any]] = {}
    some: set[str] = set()
    for piece in pieces:
        for name in piece.column_names:
            left = kinds.setdefault(name, [pa.int64(), pa.float64(), pa.bool_()])
            cells = pc.drop_null(without_missing(piece[name])) if left else []
            if len(cells):
                some.add(name)
                kinds[name] = [kind for kind in left if _is_all(cells, kind)]
    if not kinds:
        raise UserError(f"{path} has no rows; give a table with a header line and rows below it")
    first = {name: left[0] for name, left in kinds.items() if left and name in some}
    return {name: str(first.get(name, pa.string())) for name in kinds}


def _is_all(cells: Any, kind: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(kind):
        return bool(pa.types.is_boolean(_truth(cells).type))
    if _has_codes(cells):
        return False
    try:
        pc.cast(cells, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _has_codes(text: Any) -> bool:
    """Whether there are codes such as 01, which would lose their zeros as numbers."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(text, r"^[+-]?0[0-9]")).as_py())


def without_missing(cells: Any) -> Any:
    """Cells of text without blanks around them, null where they say that they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), None, text)


def _truth(text: Any) -> Any:
    """Text that says true or false only, as truth values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lower = pc.utf8_lower(text)
    if pc.all(pc.is_in(pc.drop_null(lower), value_set=pa.array(["true", "false"]))).as_py():
        return pc.equal(lower, "true")
    return text


def _cast(text: Any, storage: str, name: str, path: Path, first_line: int) -> Any:
    """Cells of text as the type that they had in training."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if storage == "bool":
        return _truth(text)
    kinds: dict[str, Callable[[], Any]] = {"int64": pa.int64, "double": pa.float64}
    if storage not in kinds:
        return text
    try:
        return pc.cast(text, kinds[storage]())
    except pa.ArrowInvalid:
        pass
    try:
        return pc.cast(text, pa.float64())  # a column of whole numbers may come with decimals
    except pa.ArrowInvalid:
        number = next(
            i for i, cell in enumerate(text.to_pylist()) if cell is not None and not is_number(cell)
        )
        raise UserError(
            f"{path}, line {number + first_line}: {text[number].as_py()!r} in column {name!r} is no number, "
            "and in training all were; mend the cell, or leave it empty if it is missing"
        ) from None


def is_number(text: str) -> bool:
    """Whether a cell says a number."""
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
