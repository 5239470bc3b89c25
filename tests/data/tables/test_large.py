"""Tables larger than memory, with the bound lowered: the same types, codes and files as in memory."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
import torch

from jensen.data import dataset as datasets
from jensen.data import load, load_rows
from jensen.data.dataset import Dataset, digest_rows
from jensen.data.stored import Stored
from jensen.data.tables import batches, infer, summary
from jensen.data.tables.edits import write_schema
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.large import find_schema, write_codes
from jensen.data.tables.read import read_table
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.writing import write_table
from jensen.errors import UserError
from tests.cli.helpers import environment
from tests.data.tables.test_tables import ZOO, N, with_gaps

TABLE = pa.table(
    {name: with_gaps(cells) for name, cells in ZOO.items()}
    | {
        "id": pa.array(range(N)),
        "shuffled": pa.array([i * 17 % N for i in range(N)]),
        "constant": pa.array(["NL"] * N),
        "nothing": pa.array([None] * N, pa.float64()),
        "holes": pa.array([1.5, np.nan, np.nan, 3.25] * (N // 4)),
    }
)
AS_TEXT = ["int64", "double", "decimals", "skewed", "bool", "text", "written", "shuffled", "constant"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing fits in memory, and pieces have 7 rows; the folder of the test, the cache within."""
    monkeypatch.setattr(batches, "LARGE", 0)
    monkeypatch.setattr(datasets, "LARGE", 0)
    monkeypatch.setattr(batches, "ROWS", 7)
    monkeypatch.setattr(batches, "TEXT_BLOCK", 1 << 10)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def in_memory(path: Path | str, **options: object) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "LARGE", 1 << 40)
        return load(str(path), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv", ".tsv.gz"])
def test_types_and_codes_are_those_found_in_memory(small: Path, suffix: str) -> None:
    path = small / f"t{suffix}"
    write_table(path, TABLE.select(AS_TEXT) if "sv" in suffix else TABLE)
    whole, streamed = in_memory(path), load(str(path))
    assert streamed.schema == whole.schema == infer_schema(read_table(path))
    assert streamed.schema is not None
    assert streamed.schema.warnings == whole.schema.warnings  # type: ignore[union-attr]
    assert isinstance(streamed.x, Stored)
    assert torch.equal(streamed.x[:].double().nan_to_num(-9), whole.x[:].nan_to_num(-9))
    assert streamed.digest == digest_rows(streamed.x[:])
    numbers = torch.cat([streamed.numbers(name)[:] for name in ("train", "validation", "test")])
    assert torch.equal(numbers.sort().values, torch.arange(N))


def test_a_folder_is_read_file_after_file(small: Path) -> None:
    folder = small / "parts"
    folder.mkdir()
    write_table(folder / "a.parquet", pa.table({"n": [1, 2, 5] * 9, "kind": ["x", "y", "z"] * 9}))
    write_table(folder / "b.parquet", pa.table({"kind": ["w", "x"] * 9, "n": [0.5, 7.0] * 9}))
    whole, streamed = in_memory(folder), load(str(folder))
    assert streamed.schema == whole.schema
    assert torch.equal(streamed.x[:].double(), whole.x[:])
    write_table(folder / "c.parquet", pa.table({"n": [1], "other": ["x"]}))
    with pytest.raises(UserError, match=r"c.parquet has not the columns of the other files"):
        load(str(folder))


@pytest.mark.parametrize(
    ("cells", "kind", "levels"),
    [
        (("01", "11"), "binary", ("01", "11")),
        (("NA", "7"), "ignore", ()),
        (("1", "2.5"), "binary", (1.0, 2.5)),
        (("true", "yes"), "binary", ("true", "yes")),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_the_text_of_a_folder_is_what_all_of_its_files_say(
    small: Path, cells: tuple[str, str], kind: str, levels: tuple[object, ...], suffix: str
) -> None:
    folder = small / "parts"
    folder.mkdir()
    for name, cell in zip(("a.csv", f"b{suffix}"), cells, strict=True):
        mark = "\t" if "tsv" in name else ","
        (folder / name).write_text(f"c{mark}x\n" + "".join(f"{cell}{mark}{i}.5\n" for i in range(9)))
    whole, streamed = in_memory(folder), load(str(folder))
    assert streamed.schema == whole.schema
    assert whole.schema is not None
    assert (whole.schema.columns[0].type, whole.schema.columns[0].levels) == (kind, levels)
    assert torch.equal(streamed.x[:].double(), whole.x[:])


def test_files_of_a_folder_whose_types_have_nothing_in_common_are_refused(small: Path) -> None:
    folder = small / "parts"
    folder.mkdir()
    write_table(folder / "a.parquet", pa.table({"c": [1, 2]}))
    write_table(folder / "b.parquet", pa.table({"c": ["x", "y"]}))
    for read in (in_memory, load):
        with pytest.raises(UserError, match="columns of different types"):
            read(str(folder))
    (folder / "b.parquet").rename(small / "b.parquet")
    write_table(folder / "b.csv", pa.table({"c": ["3"]}))
    (folder / "c.csv").write_text("c\n")
    for read in (in_memory, load):
        with pytest.raises(UserError, match=r"c.csv has no rows"):
            read(str(folder))


def test_an_edited_schema_is_followed(small: Path) -> None:
    path = small / "t.parquet"
    write_table(path, TABLE)
    edits = Schema((Column("int64", "categorical", ""), Column("shuffled", "continuous", "")))
    write_schema(small / "schema.yaml", edits)
    whole, streamed = (read(path, schema=small / "schema.yaml") for read in (in_memory, load))
    assert streamed.schema == whole.schema
    assert torch.equal(streamed.x[:].double().nan_to_num(-9), whole.x[:].nan_to_num(-9))


def test_row_numbers_in_any_order_are_told_where_too_many_differ(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "MOST_DISTINCT", 10)
    monkeypatch.setattr(infer, "MOST_DISTINCT", 10)
    twice = [i * 17 % N for i in range(N)]
    twice[3] = twice[4]
    texts = [f"name {i % 39}" for i in range(N)]
    table = pa.table({"shuffled": TABLE["shuffled"], "twice": twice, "name": texts})
    write_table(small / "t.parquet", table)
    schema = find_schema(small / "t.parquet")
    assert [column.type for column in schema.columns] == ["ignore", "count", "ignore"]
    assert "more than 10 of its 40 cells are different texts" in schema.warnings[1]


def test_the_median_of_many_numbers_is_that_of_a_sample() -> None:
    draw, numbers = np.random.default_rng(0), summary.Numbers(most=2000)
    values = np.exp(draw.normal(size=40_000))
    for piece in np.array_split(np.sort(values), 37):
        numbers.add(piece)
    # The normal score of a sample's median has the standard deviation sqrt(pi / 2 / 2000).
    assert abs(np.log(numbers.median)) < 5 * np.sqrt(np.pi / 2 / 2000)
    assert (numbers.low, numbers.high, numbers.count) == (values.min(), values.max(), 40_000)
    assert numbers.ascending


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.tsv.gz", "t.parquet", "t.arrow", "t.feather", "stream.arrow"]
)
def test_what_is_large_is_told_by_what_is_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, table = tmp_path / name, pa.table({"a": [i % 7 for i in range(9000)], "b": [1.5] * 9000})
    if name == "t.feather":  # compressed
        pyarrow.feather.write_feather(table, path, chunksize=1000)
    elif name == "stream.arrow":
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
    else:
        write_table(path, table)
    if name.endswith(".gz"):  # in two parts
        path.write_bytes(path.read_bytes() + gzip.compress(b"1,1.5\n"))
    unzipped = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    codes = len(unzipped) if "sv" in name else 8 * 9000 * 2
    for bound, large in ((codes, True), (codes + 1, False)):
        monkeypatch.setattr(batches, "LARGE", bound)
        assert batches.is_large(path) == large
    path.write_bytes(path.read_bytes()[:9])
    assert not batches.is_large(path), "reading it says that it is damaged"


def test_codes_are_narrow_where_that_is_exact_and_wide_elsewhere(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 9, (50, 2)).astype(float)
    whole[3, 1] = np.nan
    write_codes(tmp_path / "narrow.npy", [whole[:30], whole[30:]])
    write_codes(tmp_path / "wide.npy", [whole, whole + 0.1, whole])
    narrow, wide = np.load(tmp_path / "narrow.npy"), np.load(tmp_path / "wide.npy")
    assert (narrow.dtype, wide.dtype) == (np.float32, np.float64)
    assert np.array_equal(narrow, whole, equal_nan=True)
    assert np.array_equal(wide, np.concatenate([whole, whole + 0.1, whole]), equal_nan=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["narrow.npy", "wide.npy"]


def test_unknown_categories_are_said_at_every_call(small: Path) -> None:
    schema = infer_schema(pa.table({"kind": ["a", "b", "c"] * 5, "n": [1, 2, 3] * 5}))
    path = small / "other.csv"
    path.write_text("kind,n\n" + "a,1\nzebra,2\n" * 20)
    for _ in range(2):
        said: list[str] = []
        rows = load_rows(str(path), schema=schema, on_choice=said.append)
        assert "'kind' has 20 cells of categories that the schema lacks" in " ".join(said)
        assert int(rows.x[:].isnan().sum()) == 20
        with pytest.raises(UserError, match="--strict"):
            load_rows(str(path), schema=schema, strict=True)


def test_a_text_file_with_a_bad_line_is_said(small: Path) -> None:
    path = small / "bad.csv"
    path.write_text("a,b\n" + "1,2\n" * 300 + "3\n")
    with pytest.raises(UserError, match=r"line 302: 1 cell where the header has 2"):
        load(str(path))


def test_killed_while_encoding_it_runs_again(small: Path) -> None:
    path = small / "t.parquet"
    write_table(path, TABLE)
    program = f"""
import os, signal
from jensen.data import load
from jensen.data.tables import batches, large
batches.LARGE, batches.ROWS = 0, 7
encode, calls = large.encode_table, []

def killed(*arguments, **options):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(*arguments, **options)

large.encode_table = killed
load({str(path)!r})
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    kept = small / "cache" / "jensen" / "tables"
    assert [folder.suffix for folder in kept.glob("[!.]*")] == [".partial"]
    streamed = load(str(path))
    assert torch.equal(streamed.x[:].double().nan_to_num(-9), in_memory(path).x[:].nan_to_num(-9))
    [folder] = kept.glob("[!.]*")
    assert json.loads((folder / "record.json").read_text())["digest"] == streamed.digest


def test_a_large_mapped_array_stays_on_disk(small: Path) -> None:
    np.save(small / "x.npy", np.zeros((20, 3, 3), np.uint8))
    mapped = np.load(small / "x.npy", mmap_mode="r")
    assert isinstance(datasets._rows_of(mapped), Stored)
    assert isinstance(datasets._rows_of(mapped[:5]), torch.Tensor), "a part of it is not the file"


@pytest.mark.parametrize("levels", [False, True])
def test_labels_that_are_no_number_are_missing(small: Path, levels: bool) -> None:
    kinds = pa.array([2.0, np.nan, 1.0, None, np.nan] * (N // 5))
    write_table(
        small / "t.parquet", TABLE.append_column("kind", kinds.dictionary_encode() if levels else kinds)
    )
    (small / "schema.yaml").write_text("- {name: kind, type: label}\n")
    for read in (load, in_memory):
        dataset = read(small / "t.parquet", schema=small / "schema.yaml")
        assert dataset.classes == ("1.0", "2.0")
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [1, -1, 0, -1, -1] * (N // 5)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_labels_are_kept(small: Path, suffix: str) -> None:
    kinds = pa.array([[None, "wren", "owl", "heron"][i % 4] for i in range(N)])
    write_table(small / f"t{suffix}", TABLE.append_column("kind", kinds))
    schema = small / "schema.yaml"
    schema.write_text("- {name: kind, type: label}\n")
    large, whole = (read(small / f"t{suffix}", schema=schema) for read in (load, in_memory))
    assert isinstance(large.x, Stored)
    assert large.labels is not None
    assert whole.labels is not None
    assert large.classes == whole.classes == ("heron", "owl", "wren")
    assert large.labels.tolist() == whole.labels.tolist() == [[-1, 2, 1, 0][i % 4] for i in range(N)]
