"""Edits of a schema: what makes no sense is refused, with the column and the mend."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.edits import apply_edits, read_schema, write_schema
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.schema import Schema
from jensen.data.tables.summary import summarise
from jensen.errors import UserError

TABLE = pa.table(
    {
        "sex": ["Male", "Female"] * 30,
        "size": ["S", "M", "L"] * 20,
        "n": [0, 5, 10, 20] * 15,
        "v": pa.array([0.1, 0.3, 12345.6, 9.9] * 15, pa.float32()),
        "price": [Decimal("0.10"), Decimal("0.35"), Decimal("1.20")] * 20,
        "day": [dt.date(2020, 1, 1 + i % 9) for i in range(60)],
        "moment": [dt.datetime(2020, 1, 1, 6 * (i % 4)) for i in range(60)],
        "written": [f"2020-01-0{i % 9 + 1}" for i in range(60)],
        "always": ["NL"] * 60,
        "list": [[i] for i in range(60)],
    }
)


def edited(tmp_path: Path, *lines: str) -> Schema:
    (tmp_path / "edits.yaml").write_text("".join(f"- {{{line}}}\n" for line in lines))
    return apply_edits(read_schema(tmp_path / "edits.yaml"), infer_schema(TABLE), summarise([TABLE]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "name: sex, type: categorical, levels: Male",
            r"'sex' of the schema has the levels 'Male'; give a list",
        ),
        ("name: sex, type: categorical, levels: {a: 1}", r"'sex' of the schema has the levels"),
        (
            "name: sex, type: categorical, levels: [2020-01-01, 2020-01-02]",
            r"'sex' of the schema .* in quotes",
        ),
        ("name: sex, type: binary, levels: [Male, Male]", r"'sex' has the level 'Male' twice"),
        ("name: n, type: ordinal, levels: [0, 5, 5.0]", r"'n' has the level 5 twice"),
        (
            "name: sex, type: binary, levels: [Male]",
            r"'sex' cannot be binary: .* has 'Male'; give the others",
        ),
        ("name: size, type: binary", r"'size' cannot be binary: .* make it categorical"),
        ("name: size, type: binary, levels: [S, M, L]", r"'size' cannot be binary"),
        ("name: n, type: binary", r"'n' cannot be binary: .* has 0, 5, 10, 20; make it"),
        ("name: always, type: categorical", r"'always' cannot be categorical: .* or ignore it"),
        ("name: list, type: categorical", r"'list' cannot be categorical: its cells are of type list"),
        ("name: day, type: categorical", r"'day' cannot be categorical: its cells are of type date32"),
        ("name: size, type: ordinal, levels: [s, m]", r"column 'size' is one of its levels 's', 'm'"),
        (
            "name: sex, type: binary, levels: [no, yes]",
            r"'sex' is one of its levels False, True; its cells are",
        ),
        ("name: sex, type: binary, levels: [1, 2]", r"'sex' is one of its levels 1, 2"),
        ("name: n, type: ordinal, levels: [a, b]", r"'n' is one of its levels 'a', 'b'"),
        ("name: size, type: ordinal, levels: [S, 2]", r"'size' has levels of several kinds"),
        ("name: n, type: count, step: -1", r"'n' has the step -1; give a number above 0"),
        ("name: n, type: count, step: abc", r"'n' has the step 'abc'"),
        ("name: n, type: count, step: .inf", r"'n' has the step inf"),
        ("name: n, type: count, step: true", r"'n' has the step True"),
        ("name: n, type: count, step: 10", r"'n' cannot have the step 10: 5 is no multiple"),
        ("name: n, type: continuous, step: 10", r"'n' cannot have the step 10: 5 is no multiple"),
        ("name: n, type: count, step: 0.5", r"'n' cannot have the step 0.5: counts are whole"),
        ("name: v, type: continuous, step: 0.5", r"'v' cannot have the step 0.5"),
        ("name: day, type: date, step: 7", r"'day' cannot have the step 7: 2020-01-0. is no multiple"),
        ("name: moment, type: date, step: 86400", r"'moment' cannot have the step 86400"),
        ("name: written, type: date, step: 2", r"'written' cannot have the step 2"),
        ("name: written, type: date, format: 3", r"'written' of the schema has the format 3"),
    ],
)
def test_an_edit_without_sense_is_refused(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        edited(tmp_path, line)
    assert "\n" not in str(caught.value)


def test_edits_with_sense_are_followed(tmp_path: Path) -> None:
    schema = edited(
        tmp_path,
        "name: sex, type: ordinal, levels: [Male, Female]",
        "name: size, type: categorical, levels: [S, M, L, XL]",
        "name: n, type: count, step: 5",
        "name: v, type: positive, step: 0.1",
        "name: price, type: categorical",
        "name: moment, type: date, step: 3600",
    )
    columns = {column.name: column for column in schema.columns}
    assert [columns[name].step for name in ("n", "v", "moment")] == [5, 0.1, 3600]
    assert columns["price"].levels == (0.1, 0.35, 1.2)
    assert columns["size"].levels == ("S", "M", "L", "XL")
    again = decode_table(encode_table(TABLE, schema).x, schema)
    assert again.drop_columns("list").equals(TABLE.drop_columns("list"))


def test_a_whole_schema_passed_back_changes_nothing(tmp_path: Path) -> None:
    inferred = infer_schema(TABLE)
    write_schema(tmp_path / "schema.yaml", inferred)
    assert apply_edits(read_schema(tmp_path / "schema.yaml"), inferred, summarise([TABLE])) == inferred
