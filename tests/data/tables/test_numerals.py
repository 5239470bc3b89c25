"""Which cells of text are numbers, and the stray ones in a column of numbers."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jensen.data.tables.batches import Pieces
from jensen.data.tables.cells import maybe_text
from jensen.data.tables.large import find_schema
from jensen.data.tables.numerals import is_number
from jensen.data.tables.read import read_table
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.source import read_tables
from jensen.errors import UserError

READ = (read_table, lambda *given: pa.concat_tables(Pieces(*given)))


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "+1",
        "-1.",
        ".5",
        "-.5e5",
        "1E+5",
        "1e",
        "1e999",
        ".",
        "1_000",
        "٣",
        "½",
        "inf",
        "-Infinity",
        "nan",
        "0x10",
        "1d5",
        "++1",
        "1.#IND",
        "1.5.2",
        "$5",
        "1,5",
    ],
)
def test_numbers_are_what_pyarrow_reads(text: str) -> None:
    try:
        pc.cast(pa.scalar(text), pa.float64())
        read = True
    except pa.ArrowInvalid:
        read = False
    assert is_number(text) is read
    assert is_number(text, commas=True) is (read or text == "1,5")


def written(path: Path, cells: list[str], mark: str = ",") -> Path:
    path.write_text(f"a{mark}b\n" + "".join(f'"{cell}"{mark}{i % 3}\n' for i, cell in enumerate(cells)))
    return path


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("cell", ["1_000", "٣", "1.#IND"])
def test_what_python_alone_reads_is_no_number(tmp_path: Path, read: object, cell: str) -> None:
    path = written(tmp_path / "t.csv", ["1", cell])
    schema = Schema((Column("a", "count", "int64"), Column("b", "count", "int64")))
    with pytest.raises(UserError, match=f"line 3: '{cell}' in column 'a' is no number"):
        read(path, schema)  # type: ignore[operator]


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize(
    ("numbers", "stray", "mark"),
    [
        ([str(i) for i in range(30)], "-", ","),
        ([f"{i}.25" for i in range(300)], "none", ","),
        ([f"{i}.25" for i in range(30)], "1,234", ","),
        ([f"{i},25" for i in range(30)], "1.234,5", ";"),
    ],
)
def test_a_stray_cell_among_numbers_is_refused(
    tmp_path: Path, read: object, numbers: list[str], stray: str, mark: str
) -> None:
    path = written(tmp_path / "t.csv", [*numbers[:7], "", stray, *numbers[7:], stray], mark)
    count = rf"{len(numbers)} of its {len(numbers) + 2} cells are"
    with pytest.raises(UserError, match=rf"line 10: '{stray}' in column 'a'.*{count}.*empty.*--schema"):
        read(path)  # type: ignore[operator]


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize(
    "cells",
    [
        ["1"] * 9 + ["-"],  # too few to tell
        ["1"] * 27 + ["K1A"] * 3,  # nine of ten, not more
        ["01234"] + ["12345"] * 30 + ["K1A"],  # codes
    ],
)
def test_texts_with_some_numbers(tmp_path: Path, read: object, cells: list[str]) -> None:
    table = read(written(tmp_path / "t.csv", cells))  # type: ignore[operator]
    assert table["a"].to_pylist() == cells


@pytest.mark.parametrize("kind", ["categorical", "ignore"])
def test_a_user_may_insist_on_text(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = written(tmp_path / "t.csv", ["12345", "54321"] * 20 + ["K1A"])
    edits = tmp_path / "edits.yaml"
    edits.write_text(f"- {{name: a, type: {kind}}}\n- {{name: b, type: categorical}}\n")
    schema = read_tables(path, edits).schema
    assert schema is not None
    a, b = schema.columns
    assert (a.type, a.levels) == (kind, ("12345", "54321", "K1A") if kind == "categorical" else ())
    assert (b.storage, b.levels) == ("int64", (0, 1, 2))
    edited = Schema((Column("a", kind, ""), Column("b", "categorical", "")))
    assert find_schema(path, edited) == schema
    assert maybe_text(Schema((Column("a", "count", "int64"),))) == Schema(())
