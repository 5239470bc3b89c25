"""Writing tables, by suffix."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.read import ARROW, PARQUET, SUFFIXES, TEXT, suffix_of
from jensen.errors import UserError
from jensen.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa


def check_table_suffix(path: Path) -> None:
    """Refuse a path to which no table can be written, before the work that makes it.

    Raises:
        UserError: an unknown suffix, or no such folder.
    """
    if suffix_of(path) is None:
        raise UserError(f"cannot write {path}: a table ends in {', '.join(SUFFIXES)}; give such a name")
    if not path.parent.is_dir():
        raise UserError(
            f"cannot write {path}: there is no folder {path.parent}; make it, or give another path"
        )


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a table as CSV, TSV (also .gz), Parquet or Arrow; an old file is replaced whole.

    Raises:
        UserError: see `check_table_suffix`.
    """
    check_table_suffix(path)
    suffix = suffix_of(path)
    with atomic(path) as temporary:
        if suffix in TEXT:
            _write_text(temporary, table, "\t" if suffix.startswith(".tsv") else ",", suffix.endswith(".gz"))
        elif suffix in PARQUET:
            from pyarrow.parquet import write_table as write_parquet

            write_parquet(table, temporary)
        elif suffix in ARROW:
            import pyarrow as pa

            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)


def _write_text(path: Path, table: "pa.Table", delimiter: str, zipped: bool) -> None:
    """Text with quotes only where they are needed, which pyarrow's writer puts around every text."""
    import csv

    opened: Any = gzip.open if zipped else open
    with opened(path, "wt", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(max_chunksize=1 << 16):
            writer.writerows(zip(*(_as_text(column) for column in batch.columns), strict=True))


def _as_text(cells: Any) -> list[str | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    texts: list[str | None] = pc.cast(cells, pa.string()).to_pylist()
    return texts
