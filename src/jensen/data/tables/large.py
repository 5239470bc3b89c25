"""Tables larger than memory: read in pieces, written once as codes on disk."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from jensen.data.arrays import Array
from jensen.data.cache import cached, identity_of
from jensen.data.dataset import digest_rows
from jensen.data.named import Named
from jensen.data.stored import Stored
from jensen.data.tables.batches import Pieces, files_of
from jensen.data.tables.codec import encode_table, unknown_cells
from jensen.data.tables.infer import apply_edits, schema_of
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.summary import Summary, summarise

FORM = 1
"""Of what is kept; a change makes jensen prepare anew all that it kept before."""


def find_schema(path: Path, edited: Schema | None = None) -> Schema:
    """The schema of a table by all its rows, read in pieces; found once for the same files.

    The types are those of `jensen.data.tables.infer.infer_schema`, but that text with more than 200,000
    different cells is taken for names, and that the median by which skewed numbers are told is that of a
    uniform sample of 100,000 of them.
    """

    def build(folder: Path) -> None:
        pieces = Pieces(path)
        summaries = summarise(pieces, bounded=True)
        schema = schema_of(summaries, lambda summary: _all_differ(pieces, summary))
        if edited is not None:
            schema = apply_edits(edited, schema, summaries)
        record = {"columns": [asdict(c) for c in schema.columns], "warnings": schema.warnings}
        (folder / "schema.json").write_text(json.dumps(record), encoding="utf-8")

    key = [FORM, identity_of(files_of(path)), None if edited is None else edited.to_dict()]
    record = json.loads((cached("table-schemas", key, build) / "schema.json").read_text(encoding="utf-8"))
    columns = [Column(**{**column, "levels": tuple(column["levels"])}) for column in record["columns"]]
    return Schema(tuple(columns), tuple(record["warnings"]))


def _all_differ(pieces: Pieces, summary: Summary) -> bool:
    """Whether all whole numbers of a column, of about as many as there are between its ends, differ."""
    assert summary.numbers is not None
    low = summary.numbers.low
    seen = np.zeros(int(summary.numbers.high - low) + 1, dtype=np.bool_)
    for piece in pieces:
        values = piece[summary.name].drop_null().to_numpy().astype(np.float64)
        seen[(values[~np.isnan(values)] - low).astype(np.int64)] = True
    return int(seen.sum()) == summary.numbers.count


def read_large(
    path: Path, schema: Schema, *, strict: bool = False, on_choice: Callable[[str], None] = lambda said: None
) -> Named:
    """The rows of a table as codes on disk, encoded once for the same files and schema.

    Raises:
        UserError: as for `jensen.data.tables.source.read_like`; the cache cannot be written.
    """

    def build(folder: Path) -> None:
        codes, unknown = CodesFile(folder / "codes.npy", len(schema.modelled)), Counter[str]()
        for piece in Pieces(path, schema):
            encoded = encode_table(piece, schema, strict=strict, name=str(path), before=codes.rows)
            unknown.update(encoded.unknown)
            codes.add(encoded.x)
        codes.close()
        record = {"digest": digest_rows(Stored(codes.path)), "unknown": unknown}
        (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")

    folder = cached("tables", [FORM, identity_of(files_of(path)), schema.to_dict()], build)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    for column, count in record["unknown"].items():
        on_choice(unknown_cells(str(path), column, count, strict=strict))
    x = Stored(folder / "codes.npy")
    return Named(x, None, {}, (0.0, 1.0), schema=schema, digest=record["digest"])


class CodesFile:
    """Codes ``[N, C]`` written piece by piece as a ``.npy`` file, float32 where that holds them exactly.

    It begins as float32; with the first number that would be rounded, what is there is written anew as
    float64.
    """

    def __init__(self, path: Path, width: int, dtype: str = "float32") -> None:
        self.path, self.width, self.dtype = path, width, np.dtype(dtype)
        self.rows = 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by `close`)
        self._write_header()

    def add(self, codes: Array) -> None:
        """Write rows ``[n, C]`` of float64."""
        with np.errstate(over="ignore"):
            narrow = codes.astype(self.dtype)
        if not ((narrow == codes) | np.isnan(codes)).all():
            self._widen()
            narrow = codes
        self._file.write(np.ascontiguousarray(narrow).data)
        self.rows += len(codes)

    def close(self) -> None:
        """Write how many rows there are, and all to disk."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _write_header(self) -> None:
        shape = (self.rows, self.width)  # NumPy leaves room, so that N may grow
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _widen(self) -> None:
        self.close()
        narrow = self.path.rename(self.path.with_suffix(".narrow"))
        rows = Stored(narrow)
        self.__init__(self.path, self.width, "float64")  # type: ignore[misc]
        for start in range(0, len(rows), 1 << 16):
            self.add(rows[start : start + (1 << 16)].numpy().astype(np.float64))
        narrow.unlink()
