"""Blanks around names and levels: text files say nothing by them; rows that have them may come as text."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jensen.data.tables import batches
from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.filling import fill_file
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.read import read_table
from jensen.data.tables.source import read_tables
from jensen.data.tables.where import parse_where
from jensen.data.tables.writing import write_table

WORK = [" Private", " State", " State", "Self emp "] * 5
TABLE = pa.table({" age ": np.arange(20.0) % 7 + 0.5, " work": WORK, "land": [" US"] * 20})
"""As pandas makes of ``age , work`` above ``39, Private``: kept in a Parquet file."""
SCHEMA = infer_schema(TABLE)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("folder", [False, True])
def test_rows_written_as_text_are_read_as_those_of_training(
    large: bool, folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `jensen sample -o new.csv` writes, `jensen score new.csv --strict` takes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(batches, "LARGE", 1 if large else 1 << 40)
    path = tmp_path / "parts" / "new.csv"
    path.parent.mkdir()
    codes = encode_table(TABLE, SCHEMA, strict=True).x
    write_table(path, decode_table(codes, SCHEMA))
    found = read_tables(path.parent if folder else path, SCHEMA, strict=True)
    assert np.asarray(found.x[:]).tolist() == codes.tolist()


@pytest.mark.parametrize("large", [False, True])
def test_a_text_file_is_filled_with_its_own_names(
    large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LARGE", 1 if large else 1 << 40)
    source, out = tmp_path / "given.csv", tmp_path / "filled.csv"
    source.write_text("work, age\nPrivate,1.5\n,2.5\n", encoding="utf-8")
    fill_file(source, [out], [np.array([[[1.5, 0.0], [2.5, 1.0]]])], SCHEMA)
    assert out.read_text(encoding="utf-8") == "work, age\nPrivate,1.5\n State,2.5\n"


def test_the_other_way_round_and_levels_that_blanks_tell_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("work,x\nPrivate,1\nState,2\nPrivate,3\n")
    codes = encode_table(
        pa.table({"work": [" State", "Private "], "x": [1, 2]}), infer_schema(read_table(path))
    )
    assert codes.x[:, 0].tolist() == [1, 0]
    both = pa.table({"work": ["a", " a", "b"] * 4})
    assert encode_table(both, infer_schema(both), strict=True).x[:, 0].tolist() == [1, 0, 2] * 4


@pytest.mark.parametrize("text", ["work = Private", "work = ' private'", "' work' in (Private)"])
def test_conditions_need_no_blanks(text: str) -> None:
    [allowed] = parse_where(text, SCHEMA)
    assert (allowed.place, allowed.levels) == (1, (0,))
