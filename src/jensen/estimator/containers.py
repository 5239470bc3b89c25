"""What users hand over (arrays, frames) as codes of a schema, and codes as what they handed over."""

import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.python import kind_of, to_arrow
from jensen.data.tables.codec import Encoded, decode_table, encode_table
from jensen.data.tables.filling import fill_table
from jensen.data.tables.infer import infer_column, infer_schema
from jensen.data.tables.odd import Odd, odd_levels, odd_numbers, sentences
from jensen.data.tables.schema import Column, Schema
from jensen.errors import UserError


@dataclass(frozen=True)
class Container:
    """How the rows of the data that were fitted are handed over, so that new rows come back alike."""

    kind: str
    schema: Schema
    dtypes: tuple[Any, ...] = ()
    """Of a pandas frame as text, of a polars frame as its types."""
    labels: tuple[Any, ...] = ()
    """Of the columns of a pandas frame, which may be numbers or tuples."""
    alike: bool = False
    """Whether all columns are numbers to one likelihood, whatever their types."""

    @staticmethod
    def of(data: Any) -> "Container":
        """The container of rows, with the types of its columns inferred.

        Columns of a frame that are left out are said in warnings.

        Raises:
            UserError: all would be.
        """
        kind = kind_of(data)
        dtypes: tuple[Any, ...] = tuple(data.dtypes) if kind == "polars" else ()
        labels: tuple[Any, ...] = ()
        if kind == "pandas":
            dtypes, labels = tuple(str(dtype) for dtype in data.dtypes), tuple(data.columns)
        if kind == "array":
            columns = [infer_column(f"x{i}", values) for i, values in enumerate(np.asarray(data).T)]
            schema = Schema(tuple(columns))
        else:
            schema = infer_schema(to_arrow(data))
        if not schema.modelled:
            why = "; ".join(schema.warnings) or "each is constant, empty, or names its rows"
            raise UserError(f"no column of X can be modelled ({why}); give one that varies")
        for sentence in schema.warnings:
            warnings.warn(f"X: {sentence}", UserWarning, stacklevel=2)
        return Container(kind, schema, dtypes, labels)

    def as_numbers(self) -> "Container":
        """The container with a column of two different numbers as numbers, not as two levels."""

        def whether_numbers(column: Column) -> bool:
            return column.type == "binary" and all(type(level) in (int, float) for level in column.levels)

        columns = [
            replace(c, type="continuous", levels=()) if whether_numbers(c) else c for c in self.schema.columns
        ]
        return replace(self, schema=replace(self.schema, columns=tuple(columns)), alike=True)

    @property
    def numeric(self) -> bool:
        """Whether all columns are numbers."""
        return all(column.numeric for column in self.schema.modelled)

    def check_array(self) -> None:
        """Refuse an array after a frame of which a column is no numbers; else places stand for names.

        Raises:
            UserError: which column.
        """
        for column in self.schema.columns:
            if not _numbers(column):
                raise UserError(
                    f"fitted on a {self.kind} frame, whose column {column.name!r} is of no numbers, and "
                    "given an array; give a frame with the same columns"
                )

    def encode(self, data: Any) -> Array:
        """Rows as codes ``[N, C]``; categories that the schema lacks are missing, and said in warnings.

        Raises:
            UserError: they have other columns, or of other types.
        """
        schema = self.schema.of_numbers() if self.alike else self.schema
        if kind_of(data) == "array":
            encoded = _encode_array(np.asarray(data, dtype=np.float64), schema)
        else:
            encoded = encode_table(to_arrow(data), schema, name="X")
        for sentence in sentences("X", encoded.odd):
            warnings.warn(sentence, UserWarning, stacklevel=2)
        return encoded.x

    def decode(self, codes: Array) -> Any:
        """Codes ``[N, C]`` as rows of the container that was fitted."""
        if self.kind == "array":
            return _decode_array(codes, self.schema)
        table = decode_table(codes, self.schema)
        if self.kind == "pyarrow":
            return table
        if self.kind == "polars":
            found = _polars(table)
            return found.cast(dict(zip(found.columns, self.dtypes, strict=True)))
        frame = table.to_pandas()
        for name, dtype in zip(frame.columns, self.dtypes, strict=True):
            whole = dtype.startswith(("int", "uint", "bool"))
            if not (whole and frame[name].isna().any()):
                frame[name] = frame[name].astype(dtype)
        frame.columns = _like(self.labels)
        return frame

    def fill(self, rows: Any, codes: Array) -> Any:
        """Rows with their missing cells, and nothing else, from complete codes ``[N, C]``."""
        kind = kind_of(rows)
        if kind == "array":
            return np.where(np.isnan(rows), _decode_array(codes, self.schema), rows)
        if kind == "pandas":
            own = self.kind == "pandas"
            return _fill_pandas(
                rows, self.decode(codes) if own else decode_table(codes, self.schema).to_pandas()
            )
        filled = fill_table(to_arrow(rows), to_arrow(self.decode(codes)), self.schema)
        return _polars(filled) if kind == "polars" else filled


def with_columns(frame: Any, more: dict[str, Array]) -> Any:
    """A frame with columns of numbers after its own."""
    if kind_of(frame) == "pandas":
        return frame.assign(**more)
    table = to_arrow(frame)
    for name, numbers in more.items():
        table = table.append_column(name, [numbers])
    return _polars(table) if kind_of(frame) == "polars" else table


def _polars(table: Any) -> Any:
    import polars

    return polars.DataFrame(polars.from_arrow(table))


def _fill_pandas(frame: Any, new: Any) -> Any:
    """A frame of pandas with its missing cells from another; their categories join its own."""
    filled, new = frame.copy(), new.set_index(frame.index)
    for name in frame.columns:
        cells = frame[name]
        missing = cells.isna()
        if not missing.any():
            continue
        if cells.dtype == "category":
            used = new[name][missing].dropna().unique()
            cells = cells.cat.add_categories([level for level in used if level not in cells.cat.categories])
        filled[name] = cells.where(~missing, new[name].astype(cells.dtype))
    return filled


def _like(labels: tuple[Any, ...]) -> Any:
    """The labels of columns as pandas makes an index of them."""
    import pandas

    return pandas.Index(list(labels))


def _numbers(column: Column) -> bool:
    """Whether the cells of a column, and its levels, are numbers, as they are in an array."""
    stored = re.match("u?int|float|halffloat|double|bool", column.storage)
    return stored is not None and column.type != "date"


def _encode_array(x: Array, schema: Schema) -> Encoded:
    """An array's columns as codes; a value that is no level of a discrete column is missing.

    Rows of arrays are counted from 0.
    """
    codes: list[Array] = []
    odd: list[Odd] = []
    for column, values in zip(schema.columns, x.T, strict=True):
        if not column.modelled:
            continue
        if column.numeric:
            codes.append(values)
            odd += odd_numbers(column, values, values, -1, float(np.finfo(np.float64).eps))
        else:
            levels = np.asarray(column.levels, dtype=np.float64)
            place = np.searchsorted(levels, values).clip(max=len(levels) - 1)
            codes.append(np.where(levels[place] == values, place, np.nan))
            odd += odd_levels(column, codes[-1], np.isnan(values), values, -1)
    return Encoded(np.stack(codes, axis=1) if codes else np.zeros((len(x), 0)), odd)


def _decode_array(codes: Array, schema: Schema) -> Array:
    modelled = iter(np.asarray(codes, dtype=np.float64).T)
    columns = []
    for column in schema.columns:
        if not column.modelled:
            columns.append(np.full(len(codes), np.nan if column.constant is None else column.constant))
            continue
        values = next(modelled)
        if not column.numeric:
            levels = np.asarray(column.levels, dtype=np.float64)
            known = ~np.isnan(values)
            values = np.where(known, levels[np.where(known, values, 0).astype(int)], np.nan)
        columns.append(values)
    return np.stack(columns, axis=1)
