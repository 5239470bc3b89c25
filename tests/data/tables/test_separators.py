"""Text tables whose cells are separated by other marks than commas, with numbers such as 3,5."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from jensen.data.tables import batches
from jensen.data.tables.batches import Pieces
from jensen.data.tables.filling import fill_file
from jensen.data.tables.read import read_table
from jensen.data.tables.schema import Column, Schema
from jensen.errors import UserError


@pytest.mark.parametrize("mark", [";", "|", "\t"])
def test_other_separators_are_found(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'"a, b"{mark}c{mark}"d"\n1{mark}2,5{mark}"x{mark}y"\n3{mark}4{mark}z\n')
    assert read_table(path).to_pydict() == {"a, b": [1, 3], "c": [2.5, 4.0], "d": [f"x{mark}y", "z"]}


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a;b\n1,5;2\n-,5;3\n+2,25e-3;?\n", {"a": [1.5, -0.5, 0.00225], "b": [2, 3, None]}),
        ("a\tb\n1,5\tx\n1.5\ty\n", {"a": ["1,5", "1.5"], "b": ["x", "y"]}),  # thousands or not?
        ("a;b\n1,5;1,2 kg\n2;0,7\n", {"a": [1.5, 2.0], "b": ["1,2 kg", "0,7"]}),
        ("a;b\n01,5;1\n2;3\n", {"a": ["01,5", "2"], "b": [1, 3]}),
        ('a,b\n"1,234",2\n"3,5",4\n', {"a": ["1,234", "3,5"], "b": [2, 4]}),
        ("1,5;2,5\n3,5;4,5\n", {"x0": [1.5, 3.5], "x1": [2.5, 4.5]}),
        ("1,5;2;3,5\n2,5;4;1\n", {"x0": [1.5, 2.5], "x1": [2, 4], "x2": [3.5, 1.0]}),
    ],
)
def test_decimal_commas(tmp_path: Path, text: str, cells: dict[str, list[object]]) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    whole = read_table(path)
    assert whole.to_pydict() == cells
    [piece] = Pieces(path)
    assert piece.equals(whole)


def test_two_decimal_marks_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;1.234\n2,5;3.200\n")
    for read in (read_table, lambda path: list(Pieces(path))):
        with pytest.raises(UserError, match=r"commas \(column 'a'\).*points \(column 'b'\)"):
            read(path)


def test_the_line_of_what_is_no_number_among_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;1\n2,5;2\n")
    schema = Schema((Column("a", "continuous", "double"), Column("b", "count", "int64")))
    assert read_table(path, schema).to_pydict() == {"a": [1.5, 2.5], "b": [1, 2]}
    path.write_text("a;b\n1,5;1\n1.234,5;2\n")
    with pytest.raises(UserError, match=r"line 3: '1\.234,5' in column 'a' is no number"):
        read_table(path, schema)


def test_filling_keeps_separators_and_decimal_commas(tmp_path: Path) -> None:
    source, out = tmp_path / "t.csv", tmp_path / "out.csv"
    source.write_text("a;b;c\n1,5;u;1\n;v;2\n2,50;;3\n0,5;u;4\n")
    schema = Schema(
        (
            Column("a", "continuous", "double"),
            Column("b", "categorical", "string", levels=("u", "v")),
            Column("c", "count", "int64", step=1.0),
        )
    )
    done = fill_file(source, [out], [np.tile([[[9.25, 1, 7]]], (1, 4, 1))], schema)
    assert (done.cells, done.rows) == (2, 2)
    assert out.read_text() == "a;b;c\n1,5;u;1\n9,25;v;2\n2,50;v;3\n0,5;u;4\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_of_several_lines(tmp_path: Path, end: str) -> None:
    path = tmp_path / "t.csv"
    lines = ['"Price', '(USD)",b', "1,2", "3,4"]
    path.write_text(end.join(lines) + end, newline="")
    whole, [piece] = read_table(path), Pieces(path)
    assert whole.to_pydict() == {f"Price{end}(USD)": [1, 3], "b": [2, 4]}
    assert piece.equals(whole)
    schema = Schema((Column("b", "count", "int64"),))
    for last, wrong in (("3,4,5", "line 4: 3 cells"), ("3,x", "line 4: 'x' in column 'b'")):
        path.write_text(end.join([*lines[:-1], last]) + end, newline="")
        for read in (read_table, lambda path, schema: list(Pieces(path, schema))):
            with pytest.raises(UserError, match=wrong):
                read(path, schema)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('"p\nq",x,1', r"'x' in column 'b' is no number"),
        ("p,1", "2 cells where the header has 3"),
        ("p,2.5,soon", r"'soon' in column 'c' is no number"),
    ],
)
def test_the_line_is_said_whatever_cells_and_empty_lines_come_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, said: str, suffix: str, end: str
) -> None:
    monkeypatch.setattr(batches, "ROWS", 4)
    rows = ['"two\n lines, ""quoted""",1,2', "", '5" pipe,3,4', *["u,1.5,2"] * 9]
    text = "\n".join(['"name\n(short)",b,c', *rows])
    line = len(text.split("\n")) + 1
    content = "\n".join([text, bad, "u,1,2", ""]).replace("\n", end).encode()
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == ".csv.gz" else content)
    known = Schema(tuple(Column(name, "continuous", "double") for name in "bc"))
    for schema in (None, known):
        for read in (read_table, lambda *given: list(Pieces(*given))):
            with pytest.raises(UserError, match=f"line {line}: {said}"):
                read(path, schema)


@pytest.mark.parametrize(
    "text",
    [
        " age, weight ,kind\n31, 1.5 ,a\n,2.5,b\n",
        "kind,age\r\na,31\r\nb,\r\n",
        "\ufeffage,kind\n31,a\n,b\n",
        'age;kind\n31;"x;y"\n;z\n',
        "age\tkind\n31\ta\n\tb\n",
        "1,2\n31,\n4,5\n",
    ],
    ids=["blanks", "line ends", "byte order mark", "semicolons", "tabs", "no header"],
)
def test_a_filled_file_has_the_layout_of_the_one_given(text: str, tmp_path: Path) -> None:
    source, out = tmp_path / "given.csv", tmp_path / "filled.csv"
    source.write_text(text, encoding="utf-8", newline="")
    table = read_table(source)
    columns = [Column(name, "continuous", "int64") for name in table.column_names]
    holes = [column for column in columns if table[column.name].null_count]
    left = [Column(c.name, "ignore", str(table[c.name].type)) for c in columns if c not in holes]
    schema = Schema((*left, *holes))
    fill_file(source, [out], [np.full((1, len(table), 1), 7)], schema)
    lines = [f"7{line}" if line[:1] in (",", ";", "\t") else line for line in text.splitlines(keepends=True)]
    expected = "".join(line.replace(",\r", ",7\r").replace(",\n", ",7\n") for line in lines)
    assert out.read_bytes().decode() == expected


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path, name: str) -> None:
    """All lines after it were one cell, and their rows were lost in silence."""
    path = tmp_path / name
    rows = "".join(f"{i},x\n" for i in range(20))

    def write(text: str) -> None:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())

    write(f'a,b\n7,"two\nlines"\n{rows}8,"open\n{rows}')
    for read in (read_table, lambda file: list(batches._text_cells(file, None))):
        with pytest.raises(UserError, match=r"opened in the row of line 24, and never closed"):
            read(path)
    write(f'a,b\n{rows}8,"two\nlines"\n\n')
    assert read_table(path).column("b").to_pylist()[-1] == "two\nlines"
    assert sum(cells.num_rows for cells in batches._text_cells(path, None)) == 21


def test_only_the_last_cell_of_a_large_file_has_to_close_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + '1,"two\nlines"\n' * 50 + "2,x\n")
    monkeypatch.setattr(batches, "TEXT_BLOCK", 64)
    assert sum(cells.num_rows for cells in batches._text_cells(path, None)) == 51
