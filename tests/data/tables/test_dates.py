"""Dates and times in text: which forms are known, and that cells come back as they were written."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.edits import apply_edits, read_schema
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.summary import summarise

MOMENTS = [dt.datetime(2024, 1, 30, 23, 58) + dt.timedelta(minutes=733 * i) for i in range(40)]


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ("%Y-%m-%d", 1.0),
        ("%d.%m.%Y", 1.0),
        ("%d/%m/%Y %H:%M", 60.0),
        ("%m/%d/%Y %H:%M:%S", 1.0),
        ("%Y-%m-%d %H:%M", 60.0),
        ("%Y-%m-%dT%H:%M:%SZ", 1.0),
        ("%Y-%m-%d %H:%M:%S+02:00", 1.0),
        ("%Y-%m-%dT%H:%M-0530", 60.0),
    ],
)
def test_a_form_is_found_out_and_kept(form: str, step: float) -> None:
    cells = pa.array([moment.strftime(form) for moment in MOMENTS] + [None])
    schema = infer_schema(pa.table({"t": cells}))
    [column] = schema.columns
    assert (column.type, column.format, column.step) == ("date", form, step)
    codes = encode_table(pa.table({"t": cells}), schema).x
    assert decode_table(codes, schema)["t"].to_pylist() == cells.to_pylist()


def test_text_that_is_no_date() -> None:
    zones = [f"2024-01-01 10:00:00+0{i % 2 + 1}:00" for i in range(40)]  # not all in one time zone
    for texts in (zones, ["12:30", "13:45"] * 20, ["2024-13-01", "2024-14-02"] * 20):
        schema = infer_schema(pa.table({"t": pa.array(texts)}))
        assert schema.columns[0].type != "date"


FIRSTS = [dt.date(2000 + i // 12, i % 12 + 1, 1) for i in range(30)]
EARLY = [dt.date(2020, 1 + i * 5 % 12, 1 + i % 11) for i in range(30)]


@pytest.mark.parametrize(
    ("days", "form", "taken", "other"),
    [
        (FIRSTS, "%m/%d/%Y", "%m/%d/%Y", "%d/%m/%Y"),
        (FIRSTS, "%d/%m/%Y", "%d/%m/%Y", "%m/%d/%Y"),
        (FIRSTS, "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"),
        (EARLY, "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y"),
        ([*EARLY, dt.date(2020, 1, 13)], "%m/%d/%Y", "%m/%d/%Y", ""),
        ([dt.date(2020, i, i) for i in range(1, 9)], "%m/%d/%Y", "%d/%m/%Y", ""),
    ],
)
def test_day_or_month_first(days: list[dt.date], form: str, taken: str, other: str, tmp_path: Path) -> None:
    table = pa.table({"t": [day.strftime(form) for day in days]})
    schema = infer_schema(table)
    assert schema.columns[0].format == taken
    if not other:
        assert schema.warnings == ()
        return
    [said] = schema.warnings
    assert f"'t' is read as dates of the form {taken}, but {other} fits" in said
    (tmp_path / "edits.yaml").write_text(said.split("with the line ")[1])
    edited = apply_edits(read_schema(tmp_path / "edits.yaml"), schema, summarise([table]))
    assert (edited.columns[0].format, edited.warnings) == (other, ())


def test_a_format_that_a_user_gives() -> None:
    texts = pa.array([moment.strftime("%d/%m/%Y") for moment in MOMENTS if moment.day < 13])
    words = pa.array([moment.strftime("%d %b %Y") for moment in MOMENTS if moment.day < 13])
    table = pa.table({"day": texts, "words": words})
    edits = Schema(
        (
            Column("day", "date", "", format="%m/%d/%Y"),
            Column("words", "date", "", format="%d %b %Y"),
        )
    )
    schema = apply_edits(edits, infer_schema(table), summarise([table]))
    assert [column.format for column in schema.columns] == ["%m/%d/%Y", "%d %b %Y"]
    assert decode_table(encode_table(table, schema).x, schema).to_pydict() == table.to_pydict()
