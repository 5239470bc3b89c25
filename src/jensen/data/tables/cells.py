"""Cells of text as what all cells of their column are: whole numbers, numbers or text."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.layout import TextLayout
from jensen.data.tables.numerals import Strays, leading_zeros, with_points
from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import arrow_type
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "?")
"""What a missing cell of a text file looks like, blanks around it aside."""
TEXT, COMMA = "string", "comma "
"""Kinds of cells: text, and what stands before that of numbers with decimal commas."""
ANY = ""
"""The Arrow type of a column that the user says may be text, whatever its cells are."""


def storage_of(schema: Schema | None) -> dict[str, str]:
    """The Arrow types of the columns of a schema, by name."""
    return {} if schema is None else {column.name: column.storage for column in schema.columns}


def maybe_text(edited: Schema) -> Schema:
    """Of a schema that a user edited, the columns that need not be numbers though most cells may be."""
    columns = [column for column in edited.columns if column.type not in ("continuous", "positive", "count")]
    return Schema(tuple(replace(column, storage=ANY) for column in columns))


def typed_cells(
    table: "pa.Table", storage: dict[str, str], path: Path, layout: TextLayout, before: int = 0
) -> "pa.Table":
    """Cells of text as what they were in training, and of new columns as what all of them are.

    Args:
        table: the cells.
        storage: the Arrow types of columns that are known, by name.
        path: of the file, for messages.
        layout: of the file.
        before: rows of the file that came before these.

    Raises:
        UserError: a cell is no number or no date, and its column is known as one of these; or no number, and
            most of a new column are; decimal commas in some new columns, and points in others.
    """
    import pyarrow as pa

    columns, kinds = {}, {}
    for name in table.column_names:
        text = without_missing(table[name])
        known = storage.get(name)
        if not known:
            kinds[name], columns[name] = _typed(text, layout.commas)
            if known is None and kinds[name] == TEXT:
                strays = Strays(path, layout)
                strays.add(text, before)
                strays.check(name)
            continue
        try:
            columns[name] = _cast(text, known, layout.commas)
        except pa.ArrowInvalid:
            raise UserError(_unlike(text, known, name, path, layout, before)) from None
    _check_marks(kinds, path)
    return pa.table(columns)


def typed_storage(
    pieces: "Iterable[pa.Table]", storage: Mapping[str, str], path: Path, layout: TextLayout
) -> dict[str, str]:
    """The Arrow types of the columns of a text file in pieces: the first kind that all cells of each are.

    A column without a cell has none.

    Args:
        pieces: the cells.
        storage: `ANY` by the names of columns that may be text.
        path: of the file, for messages.
        layout: of the file.

    Raises:
        UserError: there are no rows, or as for `typed_cells`.
    """
    import pyarrow.compute as pc

    left: dict[str, list[str]] = {}
    strays: dict[str, Strays] = {}
    before = 0
    for piece in pieces:
        for name in piece.column_names:
            kinds = left.setdefault(name, _kinds(layout.commas))
            text = without_missing(piece[name])
            strays.setdefault(name, Strays(path, layout)).add(text, before)
            cells = pc.drop_null(text)
            left[name] = [kind for kind in kinds if _read(cells, kind) is not None]
        before += len(piece)
    if not left:
        raise UserError(f"{path} has no rows; give a table with a header line and rows below it")
    found = {name: kinds[0] for name, kinds in left.items() if strays[name].there}
    for name, kind in found.items():
        if kind == TEXT and name not in storage:
            strays[name].check(name)
    _check_marks(found, path)
    return {name: kind.removeprefix(COMMA) for name, kind in found.items()}


def _typed(text: Any, commas: bool) -> tuple[str, Any]:
    """The first kind that all of some cells are, and the cells as such."""
    kinds = _kinds(commas) if text.null_count < len(text) else [TEXT]
    return next((kind, cells) for kind in kinds if (cells := _read(text, kind)) is not None)


def _kinds(commas: bool) -> list[str]:
    """What all cells of a column may be, the narrowest first: Arrow types, and numbers such as 3,5."""
    # True and false stay text, which comes back as it was written.
    return ["int64", "double", *([COMMA + "double"] if commas else []), TEXT]


def _read(text: Any, kind: str) -> Any:
    """Cells of text as of a kind; None where some cell is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == TEXT:
        return text
    if leading_zeros(text):
        return None
    if kind.startswith(COMMA):
        if pc.any(pc.match_substring(text, ".")).as_py():
            return None
        text = with_points(text)
    try:
        return pc.cast(text, pa.int64() if kind == "int64" else pa.float64())
    except pa.ArrowInvalid:
        return None


def _check_marks(kinds: dict[str, str], path: Path) -> None:
    """Refuse numbers such as 3,5 beside others such as 1.234, which may be thousands."""
    by_kind = {kind: name for name, kind in kinds.items()}
    if "double" in by_kind and COMMA + "double" in by_kind:
        raise UserError(
            f"{path} has numbers with decimal commas (column {by_kind[COMMA + 'double']!r}) and others with "
            f"points (column {by_kind['double']!r}); write all with one mark, and thousands without any"
        )


def without_missing(cells: Any) -> Any:
    """Cells of text without blanks around them, null where they say that they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), None, text)


def _truth(text: Any) -> Any:
    """Text that says true or false only, as truth values; None where there is other text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lower = pc.utf8_lower(text)
    if pc.all(pc.is_in(pc.drop_null(lower), value_set=pa.array(["true", "false"]))).as_py():
        return pc.equal(lower, "true")
    return None


def _cast(text: Any, storage: str, commas: bool) -> Any:
    """Cells of text as the type that they had in training, or as a wider one where that does not hold them.

    Raises:
        pa.ArrowInvalid: that is one of numbers or of dates, and a cell is none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if storage == "bool":  # training read them from a file that has such cells, or an earlier jensen did
        typed = _truth(text)
        return text if typed is None else typed
    kinds = _as_wide(arrow_type(storage))
    if not kinds:
        return text
    if commas and kinds[-1] == pa.float64():
        text = with_points(text)
    for kind in kinds[:-1]:
        with suppress(pa.ArrowInvalid):
            cells = pc.cast(text, kind)
            if not (pa.types.is_floating(kind) and pc.any(pc.is_inf(cells)).as_py()):  # 1e300 in float32
                return cells
    return pc.cast(text, kinds[-1])


def _as_wide(kind: Any) -> list[Any]:
    """The types that cells of text are tried as, of a column that had numbers or dates of a type.

    Itself first, so that they have the codes of training to the last bit; then one that holds more: a column
    of whole numbers may come with decimals, one of days with a time.
    """
    import pyarrow as pa

    if kind is None:
        return []
    if pa.types.is_dictionary(kind):
        return _as_wide(kind.value_type)
    if pa.types.is_integer(kind):
        return [kind, pa.int64(), pa.float64()]
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [kind, pa.float64()]
    if pa.types.is_date(kind):
        return [kind, pa.timestamp("us"), pa.timestamp("ns")]
    if pa.types.is_timestamp(kind):
        return [kind, pa.timestamp("us", kind.tz), pa.timestamp("ns", kind.tz)]
    return []


def _unlike(text: Any, storage: str, name: str, path: Path, layout: TextLayout, before: int) -> str:
    """What to say of the first of some cells of text that is not of the type that its column had."""
    import pyarrow as pa

    strays = Strays(path, layout)
    if _as_wide(arrow_type(storage))[-1] == pa.float64():
        strays.add(text, before)
        what = "number, and in training all were"
    else:
        row = next(row for row in range(len(text)) if not _fits(text[row : row + 1], storage))
        strays.first = before + row, text[row].as_py()
        zone = "+00:00" if _as_wide(arrow_type(storage))[-1].tz else ""
        what = f"date such as 2021-06-30 or 2021-06-30 14:30:00{zone}, and in training all were dates"
    return f"{strays.where(name)} is no {what}; mend the cell, or leave it empty if it is missing"


def _fits(text: Any, storage: str) -> bool:
    """Whether cells of text can be of a type."""
    import pyarrow as pa

    with suppress(pa.ArrowInvalid):
        _cast(text, storage, False)
        return True
    return False
