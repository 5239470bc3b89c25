"""Tables larger than memory: read in pieces, written once as codes on disk."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arrays import Array, chunks
from jensen.data.cache import cached, identity_of
from jensen.data.dataset import digest_rows
from jensen.data.npy import NpyFile
from jensen.data.raw import Raw
from jensen.data.stored import Stored
from jensen.data.tables.batches import Pieces
from jensen.data.tables.cells import maybe_text
from jensen.data.tables.codec import encode_table
from jensen.data.tables.edits import apply_edits
from jensen.data.tables.infer import schema_of
from jensen.data.tables.odd import Odd, sentences, together
from jensen.data.tables.read import table_files
from jensen.data.tables.schema import Schema
from jensen.data.tables.source import labels_of
from jensen.data.tables.summary import Summary, summarise

FORM = 5
"""Of what is kept; a change makes jensen prepare anew all that it kept before."""


def find_schema(
    path: Path, edited: Schema | None = None, on_choice: Callable[[str], None] = lambda said: None
) -> Schema:
    """The schema of a table by all its rows, read in pieces; found once for the same files.

    The types are those of `jensen.data.tables.infer.infer_schema`, but that text with more than 200,000
    different cells is taken for names, and that the median by which skewed numbers are told is that of a
    uniform sample of 100,000 of them.
    """

    def build(folder: Path) -> dict[str, Any]:
        on_choice(f"{path} is large: reading all of it, piece by piece, for the types of its columns")
        pieces = Pieces(path, edited=None if edited is None else maybe_text(edited))
        summaries = summarise(pieces, bounded=True)
        schema = schema_of(summaries, lambda summary: _all_differ(pieces, summary))
        if edited is not None:
            schema = apply_edits(edited, schema, summaries)
        return {"columns": schema.to_dict(), "warnings": schema.warnings}

    key = [FORM, identity_of(table_files(path)), None if edited is None else edited.to_dict()]
    _, record = cached("schemas", key, build)
    return replace(Schema.from_dict(record["columns"]), warnings=tuple(record["warnings"]))


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
) -> Raw:
    """The rows of a table as codes on disk, encoded once for the same files and schema.

    Raises:
        UserError: as for `jensen.data.tables.source.read_tables`; the cache cannot be written.
    """
    labelled = any(column.type == "label" for column in schema.columns)

    def build(folder: Path) -> dict[str, Any]:
        on_choice(f"writing the cells of {path} as numbers to {folder.parent}, once for these files")
        odd: list[Odd] = []

        def pieces() -> Iterator[Array]:
            rows = 0
            for piece in Pieces(path, schema):
                encoded = encode_table(piece, schema, strict=strict, name=str(path), before=rows)
                odd[:] = together([*odd, *encoded.odd])
                rows += len(piece)
                yield encoded.x

        write_codes(folder / "codes.npy", pieces())
        labels, classes = labels_of(Pieces(path, schema), schema) if labelled else (None, ())
        if labels is not None:
            np.save(folder / "labels.npy", labels, allow_pickle=False)
        digest = digest_rows(Stored(folder / "codes.npy"))
        return {"digest": digest, "odd": [asdict(some) for some in odd], "classes": classes}

    key = [FORM, identity_of(table_files(path)), schema.to_dict(), *(["labels"] if labelled else [])]
    folder, record = cached("tables", key, build)
    for sentence in sentences(str(path), [Odd(**some) for some in record["odd"]], strict=strict):
        on_choice(sentence)
    x = Stored(folder / "codes.npy")
    # Copy-on-write: torch takes writable arrays alone, and the file stays as it is.
    labels = np.load(folder / "labels.npy", mmap_mode="c") if (folder / "labels.npy").exists() else None
    classes = tuple(record.get("classes", ()))
    return Raw(x, labels, {}, (0.0, 1.0), schema=schema, digest=record["digest"], classes=classes)


def write_codes(path: Path, pieces: Iterable[Array]) -> None:
    """Write codes ``[N, C]`` of float64 as a ``.npy`` file: of float32 where that holds all of them exactly.

    It begins as float32; at the first number that would be rounded, what is there is written anew as float64.
    """
    pieces = iter(pieces)
    left: list[Array] = []
    with NpyFile(path) as file:
        for codes in pieces:
            narrow = _narrow(codes)
            if narrow is None:
                left = [codes]
                break
            file.write(narrow)
    if not left:
        return
    written = path.rename(path.with_suffix(".narrow"))
    with NpyFile(path) as file:
        if file_rows := _rows_in(written):
            for rows in chunks(file_rows):
                file.write(file_rows[rows].numpy().astype(np.float64))
        for codes in itertools.chain(left, pieces):
            file.write(codes)
    written.unlink()


def _rows_in(path: Path) -> Stored | None:
    """The rows of a file; None where none was written."""
    return Stored(path) if path.stat().st_size else None


def _narrow(codes: Array) -> Array | None:
    """Codes as float32, or None where that would round one of them."""
    with np.errstate(over="ignore"):
        narrow = codes.astype(np.float32)
    return narrow if ((narrow == codes) | np.isnan(codes)).all() else None
