"""Tables: what is read is what was written, what each column is, and what is wrong with a file."""

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml

from jensen.data import load, load_rows
from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.edits import apply_edits, read_schema, write_schema
from jensen.data.tables.filling import fill_file, fill_table
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.read import read_table, table_files
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.summary import summarise
from jensen.data.tables.writing import write_table
from jensen.errors import UserError

N = 40
DRAW = np.random.default_rng(0)
WHOLE = DRAW.integers(0, 50, N)
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in DRAW.integers(0, 900, N)]
MOMENTS = [dt.datetime(2021, 5, 3, 1, 2, 3) + dt.timedelta(seconds=int(s)) for s in DRAW.integers(0, 1e7, N)]
ZOO = {
    "int64": pa.array(WHOLE),
    "int8": pa.array(WHOLE.astype(np.int8)),
    "uint16": pa.array(WHOLE.astype(np.uint16)),
    "negative": pa.array(WHOLE - 25),
    "double": pa.array(DRAW.normal(size=N)),
    "float": pa.array(DRAW.normal(size=N).astype(np.float32)),
    "decimals": pa.array(DRAW.normal(size=N).round(2)),
    "skewed": pa.array(np.exp(3 * DRAW.normal(size=N))),
    "bool": pa.array(WHOLE > 20),
    "text": pa.array([["ant", "bee", "cat"][i % 3] for i in WHOLE]),
    "yes": pa.array([["no", "yes"][i % 2] for i in WHOLE]),
    "category": pa.array([["x", "y", "z"][i % 3] for i in WHOLE]).dictionary_encode(),
    "day": pa.array(DAYS, pa.date32()),
    "moment_us": pa.array(MOMENTS, pa.timestamp("us")),
    "moment_ns": pa.array(MOMENTS, pa.timestamp("ns", tz="UTC")),
    "written": pa.array([day.strftime("%d/%m/%Y") for day in DAYS]),
}
TYPES = {
    "int64": "count",
    "int8": "count",
    "uint16": "count",
    "negative": "continuous",
    "double": "continuous",
    "float": "continuous",
    "decimals": "continuous",
    "skewed": "positive",
    "bool": "binary",
    "text": "categorical",
    "yes": "binary",
    "category": "categorical",
    "day": "date",
    "moment_us": "date",
    "moment_ns": "date",
    "written": "date",
}


def with_gaps(cells: pa.Array) -> pa.Array:
    return pa.array([None if i % 7 == 3 else cell for i, cell in enumerate(cells.to_pylist())], cells.type)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("name", ZOO)
def test_a_column_comes_back_as_it_was(name: str, gaps: bool) -> None:
    cells = with_gaps(ZOO[name]) if gaps else ZOO[name]
    table = pa.table({name: cells})
    schema = infer_schema(table)
    assert schema.columns[0].type == TYPES[name]
    encoded = encode_table(table, schema)
    assert encoded.x.shape == (N, 1)
    assert np.isnan(encoded.x).sum() == cells.null_count
    assert encoded.odd == []
    again = decode_table(encoded.x, schema)
    assert again.schema.field(0).type == cells.type
    assert again[name].to_pylist() == cells.to_pylist()
    assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".arrow", ".feather"])
def test_a_file_comes_back_as_it_was(tmp_path: Path, suffix: str) -> None:
    kept = ["int64", "double", "bool", "text", "written"]
    table = pa.table({name: with_gaps(ZOO[name]) for name in kept})
    path = tmp_path / f"table{suffix}"
    write_table(path, table)
    assert table_files(path) == [path]
    if suffix.startswith((".csv", ".tsv")):  # text keeps the spelling of true and false
        table = table.set_column(2, "bool", table["bool"].cast(pa.string()))
    assert read_table(path).to_pydict() == table.to_pydict()


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    for part in range(3):
        write_table(tmp_path / f"part{part}.parquet", pa.table({"a": [part, part], "b": ["x", "y"]}))
    assert len(table_files(tmp_path)) == 3
    assert read_table(tmp_path)["a"].to_pylist() == [0, 0, 1, 1, 2, 2]
    write_table(tmp_path / "part9.parquet", pa.table({"a": [1], "c": ["x"]}))
    with pytest.raises(UserError, match=r"part9.parquet has not the columns"):
        read_table(tmp_path)


def test_what_cannot_be_modelled_is_left_out_and_said() -> None:
    table = pa.table(
        {
            "id": list(range(1, 301)),
            "name": [f"person {i}" for i in range(300)],
            "country": ["NL"] * 300,
            "nothing": pa.array([None] * 300, pa.float64()),
            "x": list(np.random.default_rng(0).normal(size=300)),
        }
    )
    schema = infer_schema(table)
    assert [column.type for column in schema.columns] == ["ignore"] * 4 + ["continuous"]
    words = " ".join(schema.sentences())
    for said in ("'id' is left out: it numbers the rows", "'name' is left out: 300 of its 300", "'NL'"):
        assert said in words
    assert "'nothing' is left out: all its cells are missing" in words
    assert "--schema" in words
    again = decode_table(encode_table(table, schema).x, schema)
    assert again.column_names == table.column_names
    assert again["country"].to_pylist() == ["NL"] * 300
    assert again["id"].null_count == 300


def test_types_that_are_easily_mistaken() -> None:
    table = pa.table(
        {
            "holes": [1.0, None, 2.0, 5.0] * 20,  # whole numbers that missing cells made floats
            "two": [0, 1, 1, 0] * 20,
            "step": [0.1, 0.2, 0.7, 1.3] * 20,
            "fine": list(np.linspace(0, 1, 80) / 3),
        }
    )
    schema = infer_schema(table)
    found = {column.name: (column.type, column.step) for column in schema.columns}
    assert found["holes"] == ("count", 1.0)
    assert found["two"][0] == "binary"
    assert found["step"] == ("continuous", 0.1)
    assert found["fine"] == ("continuous", None)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_missing_cells_and_blanks_of_text_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "n, kind\n1, a\n ?,b\nNA, a\n4,\n5,?\n")
    table = read_table(path)
    assert table.to_pydict() == {"n": [1, None, None, 4, 5], "kind": ["a", "b", "a", None, None]}


def test_a_file_without_a_header(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", "1,2.5\n3,4.5\n"))
    assert table.to_pydict() == {"x0": [1, 3], "x1": [2.5, 4.5]}


BAD = [
    ("a,b\n1,2\n3\n", r"line 3: 1 cell where the header has 2"),
    ("a,a\n1,2\n", r"two columns named 'a'"),
    ("", r"is empty"),
    ("a,b\n", r"no rows"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_wrong_with_a_text_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read_table(write(tmp_path / "bad.csv", text))
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("a,b\n1,caf\xe9\n".encode("latin1"))
    with pytest.raises(UserError, match="UTF-8"):
        read_table(tmp_path / "latin.csv")
    for name in ("a.parquet", "a.arrow"):
        (tmp_path / name).write_bytes(b"PAR1 nonsense")
        with pytest.raises(UserError, match="damaged"):
            read_table(tmp_path / name)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 50)[:30])
    with pytest.raises(UserError, match=r"damaged|cannot be read"):
        read_table(tmp_path / "a.csv.gz")
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none.csv")


def trained_on() -> Schema:
    table = pa.table(
        {"n": [1, 2, 3, 4] * 10, "kind": ["a", "b", "c", "a"] * 10, "v": [0.123456, 1.2, 3.4, 7.7] * 10}
    )
    return infer_schema(table)


def test_other_rows_must_have_the_columns(tmp_path: Path) -> None:
    schema = trained_on()
    good = pa.table({"v": [1.5], "kind": ["b"], "n": [9]})
    assert encode_table(good, schema).x.tolist() == [[9.0, 1.0, 1.5]], "in any order"
    with pytest.raises(UserError, match="lacks the column 'v'"):
        encode_table(good.drop_columns(["v"]), schema)
    with pytest.raises(UserError, match="'extra', which training had not"):
        encode_table(good.append_column("extra", pa.array([1])), schema)
    text = write(tmp_path / "t.csv", "n,kind,v\n1,a,2.5\n2,b,much\n")
    with pytest.raises(UserError, match=r"line 3: 'much' in column 'v' is no number"):
        read_table(text, schema)
    with pytest.raises(UserError, match="column 'n'"):
        encode_table(pa.table({"n": ["x"], "kind": ["a"], "v": [1.0]}), schema)
    with pytest.raises(UserError, match="infinite"):
        encode_table(pa.table({"n": [1], "kind": ["a"], "v": [np.inf]}), schema)


def test_unknown_categories_are_counted_or_refused() -> None:
    schema = trained_on()
    table = pa.table({"n": [1, 2], "kind": ["a", "zebra"], "v": [1.0, 2.0]})
    encoded = encode_table(table, schema)
    assert [(odd.column, odd.number, odd.first, odd.row) for odd in encoded.odd] == [
        ("kind", 1, "'zebra'", 2)
    ]
    assert np.isnan(encoded.x[1, 1])
    with pytest.raises(
        UserError, match="'kind' has 1 cell of categories that the schema lacks, 'zebra' in row 2; mend"
    ):
        encode_table(table, schema, strict=True)


def test_a_schema_can_be_edited(tmp_path: Path) -> None:
    table = pa.table(
        {"n": [1, 2, 3, 4] * 10, "size": ["S", "M", "L", "M"] * 10, "v": [-1.0, 2.5, 3.5, 0.5] * 10}
    )
    inferred = infer_schema(table)
    path = tmp_path / "schema.yaml"
    write_schema(path, inferred)
    assert read_schema(path) == inferred
    edits = Schema((Column("n", "categorical", ""), Column("size", "ordinal", "", levels=("S", "M", "L"))))
    summaries = summarise([table])
    schema = apply_edits(edits, inferred, summaries)
    assert schema.columns[0].levels == (1, 2, 3, 4)
    assert schema.columns[1].levels == ("S", "M", "L")
    assert schema.columns[2] == inferred.columns[2]
    assert decode_table(encode_table(table, schema).x, schema).to_pydict() == table.to_pydict()
    with pytest.raises(UserError, match=r"'siz' that the table lacks \(did you mean size\?\)"):
        apply_edits(Schema((Column("siz", "ignore", ""),)), inferred, summaries)
    with pytest.raises(UserError, match="cannot be count: it has -1"):
        apply_edits(Schema((Column("v", "count", ""),)), inferred, summaries)
    with pytest.raises(UserError, match="cannot be continuous"):
        apply_edits(Schema((Column("size", "continuous", ""),)), inferred, summaries)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {name: a, type: number}", "'number'"),
        ("- {name: a}", "a name and a type"),
        ("- {name: a, type: count}\n- {name: a, type: count}", "twice"),
        ("- {name: a, type: count, kind: 3}", "unknown key 'kind'"),
        ("a: [", "not valid YAML"),
        ("hello", "list of columns"),
    ],
)
def test_a_schema_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_schema(write(tmp_path / "schema.yaml", text))


def test_filling_a_text_file_leaves_all_else_character_for_character(tmp_path: Path) -> None:
    rows = [f"0{i},{i}.50,{'ab'[i % 2]}, padded" for i in range(30)]
    source = write(
        tmp_path / "in.csv", "\n".join(["code,v,kind,pad", *rows, "07,,b, padded", "08, ? ,, padded"]) + "\n"
    )
    table = read_table(source)
    schema = infer_schema(table)
    x = encode_table(table, schema).x
    x = np.where(np.isnan(x), 1.0, x)
    fill_file(source, [tmp_path / "out.csv"], [x[None]], schema)
    before, after = source.read_text().splitlines(), (tmp_path / "out.csv").read_text().splitlines()
    assert before[:-2] == after[:-2]
    assert after[-2] == "07,1,b, padded"
    assert after[-1] == "08,1,b, padded"


def test_a_text_file_that_is_filled_into_parquet_gets_types(tmp_path: Path) -> None:
    rows = "".join(f"0{i},{i}.50,{'ab'[i % 2]}\n" for i in range(30))
    source, out = write(tmp_path / "in.csv", f"code,v,kind\n{rows}07,,b\n"), tmp_path / "out.parquet"
    table = read_table(source)
    schema = infer_schema(table)
    x = encode_table(table, schema).x
    fill_file(source, [out], [np.where(np.isnan(x), 1.0, x)[None]], schema)
    filled = pyarrow.parquet.read_table(out)
    assert filled.schema.types == table.schema.types == [pa.string(), pa.float64(), pa.string()]
    assert filled.to_pylist() == [*table.to_pylist()[:-1], {"code": "07", "v": 1.0, "kind": "b"}]


@pytest.mark.parametrize(("no", "yes"), [("False", "True"), ("FALSE", "TRUE"), ("false", "true")])
def test_true_and_false_are_written_as_in_the_file(tmp_path: Path, no: str, yes: str) -> None:
    lines = [f"{(no, yes, 'NA')[i % 3]},{i % 7}" for i in range(30)]
    source = write(tmp_path / "t.csv", "flag,n\n" + "\n".join(lines) + "\n")
    [schema, x] = [(d := load(str(source))).schema, d.x.numpy()]
    assert schema is not None
    assert schema.columns[0] == Column("flag", "binary", "string", (no, yes))
    assert Schema.from_dict(yaml.safe_load(yaml.safe_dump(schema.to_dict()))) == schema
    out = tmp_path / "o.csv"
    fill_file(source, [out], [np.where(np.isnan(x), 1.0, x)[None]], schema)
    assert {line.split(",")[0] for line in out.read_text().splitlines()[1:]} == {no, yes}
    for cells in (pa.array([False, True, None]), pa.array(["false", "TRUE", None]), pa.array([0, 1, None])):
        codes = encode_table(pa.table({"flag": cells, "n": [1, 2, 3]}), schema, strict=True).x[:, 0]
        assert np.array_equal(codes, [0, 1, np.nan], equal_nan=True)


def test_true_in_several_spellings_is_one_level(tmp_path: Path) -> None:
    cells = ["true", "FALSE", "True", "False", "TRUE"] * 4
    source = write(tmp_path / "t.csv", "flag,n\n" + "\n".join(f"{c},{i % 7}" for i, c in enumerate(cells)))
    dataset = load(str(source))
    assert dataset.schema is not None
    assert dataset.schema.columns[0].levels == ("FALSE", "true")
    assert dataset.x[:5, 0].tolist() == [1, 0, 1, 0, 1]
    edited = write(tmp_path / "s.yaml", "- {name: flag, type: ordinal, levels: [true, false]}")
    again = load(str(source), schema=edited)
    assert again.schema is not None
    assert again.schema.columns[0].levels == ("true", "FALSE")
    assert again.x[:5, 0].tolist() == [0, 1, 0, 1, 0]
    before = Schema((Column("flag", "binary", "bool", (False, True)), dataset.schema.columns[1]))
    assert load_rows(str(source), schema=before).x[:5, 0].tolist() == [1, 0, 1, 0, 1]


def test_filling_a_parquet_file_leaves_all_else_bit_for_bit(tmp_path: Path) -> None:
    table = pa.table({name: with_gaps(cells) for name, cells in ZOO.items()} | {"more": pa.array([None] * N)})
    source = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(table, source)
    schema = infer_schema(table)
    x = encode_table(table, schema).x
    fill_file(source, [tmp_path / "out.parquet"], [np.where(np.isnan(x), 1.0, x)[None]], schema)
    filled = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert filled.schema.types == table.schema.types
    for name in ZOO:
        assert filled[name].null_count == 0
        old, new = table[name].to_pylist(), filled[name].to_pylist()
        assert [a for a in old if a is not None] == [
            b for a, b in zip(old, new, strict=True) if a is not None
        ]
    assert filled["more"].null_count == N


CONSTANT = pa.table(
    {
        "k": [5.0] * N,
        "town": ["NL"] * N,
        "day": [dt.date(2020, 1, 2)] * N,
        "price": [Decimal("1.50")] * N,
        "level": pa.array(["a"] * N).dictionary_encode(),
        "row": list(range(N)),
        "x": [i % 7 for i in range(N)],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".parquet"])
def test_a_column_that_was_constant_is_filled_with_its_value(tmp_path: Path, suffix: str) -> None:
    source, out = tmp_path / f"t{suffix}", tmp_path / f"o{suffix}"
    write_table(source, CONSTANT.take(pa.array([None if i in (3, 4) else i for i in range(N)])))
    table = read_table(source)
    schema = infer_schema(table)
    assert [column.name for column in schema.modelled] == ["x"]
    x = encode_table(table, schema).x
    done = fill_file(source, [out], [np.where(np.isnan(x), 1.0, x)[None]], schema)
    assert (done.cells, done.rows, done.constant, +done.left) == (12, 2, 10, {"row": 2})
    filled = read_table(out)
    assert filled.schema == table.schema
    assert filled["row"].null_count == 2
    for name in ("k", "town", "day", "price", "level"):
        assert filled[name].to_pylist() == [table[name][0].as_py()] * N


def test_filling_columns_whose_type_is_not_that_of_training() -> None:
    schema = infer_schema(CONSTANT)
    decoded = decode_table(encode_table(CONSTANT, schema).x, schema)
    nothing = CONSTANT.set_column(0, "k", pa.nulls(N)).set_column(6, "x", pa.nulls(N))
    filled = fill_table(nothing, decoded, schema)
    assert filled.select(["k", "x"]) == CONSTANT.select(["k", "x"])
    other = CONSTANT.set_column(0, "k", pa.array([None, "four"] * (N // 2)))
    assert fill_table(other, decoded, schema)["k"] == other["k"], "5.0 is no text"


def test_a_table_is_a_data_set(tmp_path: Path) -> None:
    lines = [f"{i % 5},{'ab'[i % 2]}" for i in range(50)]
    path = write(tmp_path / "t.csv", "n,kind\n" + "\n".join(lines) + "\n,\n")
    dataset = load(str(path))
    assert dataset.schema is not None
    assert dataset.x.shape == (51, 2)
    assert dataset.x.isnan().sum() == 2
    assert {name: len(rows) for name, rows in dataset.splits.items()} == {
        "train": 41,
        "validation": 5,
        "test": 5,
    }
    said: list[str] = []
    other = write(tmp_path / "o.csv", "kind,n\nzebra,3\n")
    rows = load_rows(str(other), schema=dataset.schema, on_choice=said.append)
    assert rows.x[0, 0] == 3
    assert rows.x[0, 1].isnan()
    assert "1 cell of categories that the schema lacks" in said[0]


@pytest.mark.parametrize("ordered", [True, False])
def test_categories_keep_their_order_in_samples_and_filled_files(tmp_path: Path, ordered: bool) -> None:
    """All levels in the order given, whichever are there: an ordered S < M < L must not become L < M."""
    levels = pa.array(["S", "M", "L"])
    sizes = pa.DictionaryArray.from_arrays(pa.array([2, 1, None, 2], pa.int32()), levels, ordered=ordered)
    table = pa.table({"size": sizes, "n": pa.array([1, 2, 3, 4])})
    schema = infer_schema(table)
    drawn = decode_table(np.array([[2.0, 1.0], [1.0, 2.0]]), schema)["size"].combine_chunks()
    assert drawn.to_pylist() == ["L", "M"]
    assert drawn.type == sizes.type
    assert drawn.dictionary.equals(levels)
    decoded = decode_table(np.array([[2.0, 1], [1, 2], [0, 3], [2, 4]]), schema)
    filled = fill_table(table, decoded, schema)["size"].combine_chunks()
    assert filled.to_pylist() == ["L", "M", "S", "L"]
    assert filled.type == sizes.type
    assert filled.dictionary.equals(levels)
    # A file may have fewer categories than training had.
    fewer = pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int32()), pa.array(["M"]), ordered=ordered)
    part = pa.table({"size": fewer, "n": pa.array([1, 2])})
    filled = fill_table(part, decode_table(np.array([[1.0, 1], [0, 2]]), schema), schema)["size"]
    assert filled.to_pylist() == ["M", "S"]


def test_the_column_that_tells_rows_apart_names_them(tmp_path: Path) -> None:
    n = 40
    table = pa.table(
        {
            "constant": ["NL"] * n,
            "gap": pa.array([None, *range(1, n)], pa.int64()),
            "customer_id": [1000 + i * 7 % 41 for i in range(n)],
            "x": [float(i % 9) for i in range(n)],
        }
    )
    dataset = load_rows(table)
    assert dataset.names_are == "customer_id"
    assert dataset.names == tuple(str(1000 + i * 7 % 41) for i in range(n))
    few = load_rows(table.select(["x"]), schema=dataset.schema)
    assert few.names == ()


@pytest.mark.parametrize("form", ["%B %d, %Y at noon", "%d %b %Y", "0%H:%M:%S", "$%y%j"])
def test_what_is_no_name_names_no_row(form: str) -> None:
    days = [dt.datetime(2020, 1, 1) + dt.timedelta(days=3 * i, seconds=61 * i) for i in range(40)]
    table = pa.table({"left": [day.strftime(form) for day in days], "x": [i % 9 for i in range(40)]})
    left_out = Schema((Column("left", "ignore", "string"), *infer_schema(table).columns[1:]))
    assert load_rows(table, schema=left_out).names_are == ("left" if "noon" in form else "")


def test_a_file_without_names_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("".join(f"{i % 7},{i % 3}\n" for i in range(40)))
    said: list[str] = []
    load(str(tmp_path / "t.csv"), on_choice=said.append)
    assert "begins with numbers" in said[0]


@pytest.mark.parametrize("encoding", ["latin1", "utf-16"])
def test_an_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("größe,b\n1,ü\n2,x\n".encode(encoding))
    with pytest.raises(UserError, match=f"iconv -f {encoding}"):
        read_table(tmp_path / "t.csv")
