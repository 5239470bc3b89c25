"""Dates and times in text: which forms are known, and that cells come back as they were written."""

import datetime as dt
import re
from pathlib import Path

import pyarrow as pa
import pytest

from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.edits import apply_edits, read_schema
from jensen.data.tables.forms import parse_dates
from jensen.data.tables.infer import infer_schema, schema_of
from jensen.data.tables.read import read_table
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.summary import summarise
from jensen.data.tables.where import parse_where
from jensen.data.tables.writing import write_table
from jensen.errors import UserError

MOMENTS = [dt.datetime(2024, 1, 30, 23, 58) + dt.timedelta(minutes=733 * i) for i in range(40)]


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ("%Y-%m-%d", 1.0),
        ("%d.%m.%Y", 1.0),
        *((form, 1.0) for form in ("%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y")),
        *((form, 1.0) for form in ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d")),
        ("%d/%m/%y %H:%M", 60.0),
        ("%d/%m/%Y %H:%M", 60.0),
        ("%m/%d/%Y %H:%M:%S", 60.0),
        ("%Y-%m-%d %H:%M", 60.0),
        ("%m/%d/%Y %I:%M:%S %p", 60.0),
        ("%d/%m/%Y %I:%M:%S %p", 60.0),
        ("%m/%d/%Y %I:%M %p", 60.0),
        ("%Y-%m-%dT%H:%M:%SZ", 60.0),
        ("%Y-%m-%d %H:%M:%S+02:00", 60.0),
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


@pytest.mark.parametrize(
    ("form", "seconds", "step"),
    [
        ("%Y-%m-%d %H:%M:%S", 86400, 86400.0),
        ("%d.%m.%Y %H:%M", 86400, 86400.0),
        ("%Y-%m-%dT%H:%M:%S+02:00", 86400, 86400.0),
        ("%Y-%m-%d %H:%M:%S", 3600, 3600.0),
    ],
)
def test_the_step_of_moments_in_text_is_that_of_all_of_them(form: str, seconds: int, step: float) -> None:
    start = dt.datetime(2021, 5, 26)
    cells = pa.array([(start + dt.timedelta(seconds=seconds * i**2)).strftime(form) for i in range(30)])
    schema = infer_schema(pa.table({"t": cells}))
    assert schema.columns[0].step == step
    x = encode_table(pa.table({"t": cells}), schema).x
    assert decode_table(x + 0.4 * step, schema)["t"].to_pylist() == cells.to_pylist()


WHEN = Column("when", "date", "string", step=1.0, format="%Y-%m-%d %H:%M:%S")
DAYS = Column("day", "date", "string", step=86400.0, format="%d.%m.%YT%H:%M")


@pytest.mark.parametrize("column", [WHEN, DAYS])
def test_a_date_alone_in_a_condition_is_its_midnight(column: Column) -> None:
    moment = dt.datetime(2021, 6, 1)
    assert column.format is not None
    whole, alone = (moment.strftime(form) for form in (column.format, column.format[:8]))
    schema = Schema((column,))
    for operator in ("=", ">", "<="):
        both = [parse_where(f"{column.name} {operator} {text}", schema) for text in (whole, alone)]
        assert both[0] == both[1]
    assert both[0][0].spans[0][1] == moment.replace(tzinfo=dt.UTC).timestamp()


def test_a_date_that_cannot_be_read_is_answered_by_an_example() -> None:
    with pytest.raises(UserError, match=r"write it as 2021-06-30 14:30:00, or 2021-06-30 for its midnight$"):
        parse_where("when > June", Schema((WHEN,)))
    with pytest.raises(UserError, match=r"write it as 2021-06-30, without a time zone$"):
        parse_where("d > June", Schema((Column("d", "date", "date32[day]", step=1.0),)))
    with pytest.raises(UserError, match=r"never 01.06.2021T12:00; the nearest .* 01.06.2021T00:00 and 02.06"):
        parse_where("day = 01.06.2021T12:00", Schema((DAYS,)))


def test_text_that_is_no_date() -> None:
    versions = [f"{i % 3 + 1}.{i % 7}.{i % 4}" for i in range(40)]
    for texts in (versions, ["12:30", "13:45"] * 20, ["2024-13-01", "2024-14-02"] * 20):
        schema = infer_schema(pa.table({"t": pa.array(texts)}))
        assert schema.columns[0].type != "date"


@pytest.mark.parametrize("piece", [40, 7])
@pytest.mark.parametrize("most", [0.9, 0.5, 0.1])
def test_moments_in_several_time_zones_are_those_of_utc(most: float, piece: int) -> None:
    winter = [True] * round(40 * most) + [False] * round(40 * (1 - most))
    zones = [dt.timezone(dt.timedelta(hours=1 if early else 2)) for early in winter]
    moments = [moment.replace(tzinfo=zone) for moment, zone in zip(MOMENTS, zones, strict=True)]
    table = pa.table({"t": [moment.isoformat() for moment in moments]})
    schema = schema_of(summarise(table.slice(start, piece) for start in range(0, 40, piece)))
    assert (schema.columns[0].type, schema.columns[0].format) == ("date", "%Y-%m-%dT%H:%M:%S%:z")
    codes = encode_table(table, schema).x
    assert codes[:, 0].tolist() == [moment.timestamp() for moment in moments]
    written = decode_table(codes, schema)
    assert written["t"][0].as_py() == "2024-01-30T22:58:00+00:00"
    assert (encode_table(written, schema).x == codes).all()
    [allowed] = parse_where("t <= 2024-01-31", schema)
    assert allowed.spans[0][1] == dt.datetime(2024, 1, 31, tzinfo=dt.UTC).timestamp()
    with pytest.raises(
        UserError, match=r"write it as 2021-06-30T14:30:00\+00:00, or 2021-06-30 for its midnight"
    ):
        parse_where("t > June", schema)


@pytest.mark.parametrize("form", ["%Y/%m/%d", "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"])
def test_two_digits_are_no_year_of_four(form: str) -> None:
    texts = pa.array([moment.strftime(form.replace("%Y", "%y")) for moment in MOMENTS])
    assert parse_dates(texts, form).null_count == 40
    with pytest.raises(UserError, match=f"is no date of the form {form}, nor are 39 other cells"):
        encode_table(pa.table({"t": texts}), Schema((Column("t", "date", "string", step=1.0, format=form),)))


FIRSTS = [dt.date(2000 + i // 12, i % 12 + 1, 1) for i in range(30)]
EARLY = [dt.date(2020, 1 + i * 5 % 12, 1 + i % 11) for i in range(30)]


@pytest.mark.parametrize(
    ("days", "form", "taken", "other"),
    [
        (FIRSTS, "%m/%d/%Y", "%m/%d/%Y", "%d/%m/%Y"),
        (FIRSTS, "%d/%m/%Y", "%d/%m/%Y", "%m/%d/%Y"),
        (FIRSTS, "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"),
        (EARLY, "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y"),
        (EARLY, "%m-%d-%Y", "%d-%m-%Y", "%m-%d-%Y"),
        (EARLY, "%m/%d/%y", "%d/%m/%y", "%m/%d/%y"),
        ([day.replace(year=2022) for day in EARLY], "%d-%m-%y", "%d-%m-%y", "%m-%d-%y"),
        ([day.replace(year=2022) for day in EARLY], "%y-%m-%d", "%y-%m-%d", "%d-%m-%y"),
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


def again(texts: list[str]) -> tuple[Column, list[str]]:
    """What a column of texts is taken for, and its cells after they were codes."""
    table = pa.table({"t": texts})
    schema = infer_schema(table)
    return schema.columns[0], decode_table(encode_table(table, schema).x, schema)["t"].to_pylist()


SPREAD = [dt.datetime(2020, 1, 2, 3, 4) + dt.timedelta(days=9 * i, hours=5 * i) for i in range(40)]


def without_zeros(text: str) -> str:
    return re.sub(r"(^|[/. -])0", r"\1", text)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("%m/%d/%Y", "%-m/%-d/%Y"),
        ("%d.%m.%Y", "%-d.%-m.%Y"),
        ("%Y-%m-%d", "%Y-%-m-%-d"),
        ("%m/%d/%Y %H:%M", "%-m/%-d/%Y %-H:%M"),
        ("%m/%d/%Y %I:%M %p", "%-m/%-d/%Y %-I:%M %p"),
        ("%b %d, %Y", "%b %-d, %Y"),
    ],
)
def test_days_without_zeros_stay_so(form: str, found: str) -> None:
    texts = [without_zeros(day.strftime(form)) for day in SPREAD]
    column, cells = again(texts)
    assert (column.format, cells) == (found, texts)
    schema = Schema((column,))
    [allowed] = parse_where(f"t <= {texts[3]}", schema)
    assert allowed.spans[0][1] == encode_table(pa.table({"t": texts}), schema).x[3, 0]
    assert parse_where("t <= " + SPREAD[3].strftime(form), schema) == [allowed], "with its zeros too"


def test_a_day_of_two_digits_says_nothing_of_zeros() -> None:
    column, _ = again([f"{day}/11/2020" for day in range(10, 30)])
    assert column.format == "%d/%m/%Y"
    mixed = ["1/11/2020", "02/11/2020", *(f"{day}/11/2020" for day in range(10, 30))]
    assert again(mixed)[0].format == "%d/%m/%Y"


@pytest.mark.parametrize("form", ["%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"])
def test_names_of_months(form: str) -> None:
    texts = [day.strftime(form) for day in SPREAD]
    column, cells = again(texts)
    assert (column.type, column.format, cells) == ("date", form, texts)


@pytest.mark.parametrize(("zones", "form"), [(("+0100", "+0200"), "%z"), (("+01:00", "+02:00"), "%:z")])
def test_several_zones_are_written_as_one_of_that_kind(zones: tuple[str, str], form: str) -> None:
    texts = [day.strftime("%Y-%m-%dT%H:%M:%S") + zones[i % 2] for i, day in enumerate(SPREAD)]
    column, cells = again(texts)
    assert column.format == f"%Y-%m-%dT%H:%M:%S{form}"
    assert cells[0] == "2020-01-02T02:04:00" + zones[0].replace("1", "0")
    read = dt.datetime.fromisoformat
    assert [*map(read, cells)] == [*map(read, texts)]


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint32()])
def test_whole_numbers_that_are_dates(kind: pa.DataType, tmp_path: Path) -> None:
    numbers = [None, *(int(day.strftime("%Y%m%d")) for day in SPREAD)]
    table = pa.table({"t": pa.array(numbers, kind)})
    schema = infer_schema(table)
    assert (schema.columns[0].type, schema.columns[0].format) == ("date", "%Y%m%d")
    codes = encode_table(table, schema).x
    assert codes[1, 0] == (dt.date(2020, 1, 2) - dt.date(1970, 1, 1)).days
    assert decode_table(codes, schema).equals(table)
    write_table(tmp_path / "t.csv", table.append_column("k", [numbers]))
    text = read_table(tmp_path / "t.csv", schema).select(["t"])
    assert (encode_table(text, schema).x[1:] == codes[1:]).all()
    [allowed] = parse_where("t >= 20200102", schema)
    assert allowed.spans[0][0] == codes[1, 0]
    with pytest.raises(UserError, match="'20201178' in row 1 is no date"):
        encode_table(pa.table({"t": pa.array([20201178], kind)}), schema)
    odd = infer_schema(pa.table({"t": pa.array([*numbers, 20201178], kind)}))
    assert odd.columns[0].type == "count", "one that is no date makes all of them numbers"


@pytest.mark.parametrize("text", ["01:35:00", "9:05", "0 days 01:35:00", "3 days, 1:02:03.5", "-12:30"])
def test_times_of_day_and_durations_are_said(text: str) -> None:
    texts = [text.replace("5", str(i % 10)).replace("3", str(i // 10)) for i in range(100)]
    [said] = infer_schema(pa.table({"t": texts, "x": range(100)})).warnings[:1]
    assert "look like times or durations; write them as numbers" in said
