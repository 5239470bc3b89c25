"""A large mixed table in Parquet, for `out_of_core.py`: correlated columns, missing cells, 50,000 places."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

FLOATS, INTEGERS, KINDS = 14, 7, (3, 5, 8, 20, 50)
PLACES = 50_000
PIECE = 250_000  # rows of a row group


def write_table(folder: Path, rows: int, files: int = 4, seed: int = 0) -> int:
    """Write a folder of Parquet files with 30 columns; the bytes written.

    Two hidden factors drive all columns but the row number; three floats, two whole numbers and two kinds
    have missing cells, 5 % of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(seed).normal(size=(2, FLOATS + INTEGERS + len(KINDS) + 1))
    for number in range(files):
        begin, end = rows * number // files, rows * (number + 1) // files
        writer = None
        for start in range(begin, end, PIECE):
            table = piece(start, min(PIECE, end - start), weights, seed)
            writer = writer or ParquetWriter(folder / f"part-{number}.parquet", table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def piece(start: int, n: int, weights: "np.ndarray", seed: int = 0) -> pa.Table:
    """Rows ``start`` to ``start + n``."""
    draw = np.random.default_rng([seed, start])
    drive = draw.normal(size=(n, 2)) @ weights
    columns: dict[str, pa.Array] = {"id": pa.array(np.arange(start, start + n))}
    for i in range(FLOATS):
        values = drive[:, i] + 0.5 * draw.normal(size=n)
        values = np.exp(values) if i % 5 == 4 else values.round(2) if i % 5 == 3 else values
        columns[f"float{i}"] = _holes(values, draw if i < 3 else None)
    for i in range(INTEGERS):
        values = draw.poisson(np.exp(1 + 0.5 * drive[:, FLOATS + i]).clip(0, 500))
        columns[f"whole{i}"] = _holes(values, draw if i < 2 else None)
    for i, levels in enumerate(KINDS):
        score = drive[:, FLOATS + INTEGERS + i] + draw.normal(size=n)
        codes = np.clip((levels * (np.tanh(score / 2) + 1) / 2).astype(np.int32), 0, levels - 1)
        names = pa.array([f"kind {i}-{level}" for level in range(levels)])
        columns[f"kind{i}"] = names.take(_holes(codes, draw if i < 2 else None))
    place = (PLACES * draw.random(n) ** 2).astype(np.int32)  # some places are frequent, most are rare
    columns["place"] = pa.array([f"place {i:05d}" for i in range(PLACES)]).take(pa.array(place))
    columns["flag"] = pa.array(drive[:, -1] + draw.normal(size=n) > 0)
    days = 18_000 + (500 * (1 + np.tanh(drive[:, 0]))).astype(np.int32) + draw.integers(0, 30, n)
    columns["day"] = pa.array(days.astype(np.int32), pa.date32())
    return pa.table(columns)


def _holes(values: "np.ndarray", draw: "np.random.Generator | None") -> pa.Array:
    """Values, 5 % of them missing where there is a generator to draw them by."""
    return pa.array(values, mask=None if draw is None else draw.random(len(values)) < 0.05)
