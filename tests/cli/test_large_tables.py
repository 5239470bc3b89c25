"""Commands on a table larger than memory, with the bound lowered: they write what they write in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from jensen.data import dataset as datasets
from jensen.data import writers
from jensen.data.tables import batches
from jensen.data.tables.writing import write_table
from tests.cli.helpers import TRAIN, Call, digests

N = 600
SMALL = ["--lr-schedule", "plateau", *TRAIN, "--epoch-rows", "128"]


def table(n: int = N) -> pa.Table:
    draw = np.random.default_rng(0)
    size = draw.normal(size=n)
    kinds = pa.array(["a", "b", "c"]).take(pa.array(draw.integers(0, 3, n), mask=draw.random(n) < 0.1))
    return pa.table(
        {
            "size": pa.array(size, mask=draw.random(n) < 0.2),
            "count": draw.poisson(np.exp(size)),
            "kind": kinds,
            "category": kinds.dictionary_encode(),
        }
    )


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing fits in memory; the current folder is the test's, with the table and the cache in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(writers, "PIECE", 300)
    monkeypatch.setattr(batches, "ROWS", 101)
    set_large(monkeypatch, 0)
    write_table(tmp_path / "t.parquet", table())
    return monkeypatch


def set_large(monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    monkeypatch.setattr(batches, "LARGE", bound)
    monkeypatch.setattr(datasets, "LARGE", bound)


def test_what_is_written_is_what_is_written_in_memory(large: pytest.MonkeyPatch, call: Call) -> None:
    status, _, said = call("train", "t.parquet", "--out", "run", *SMALL)
    assert status == 0, said
    assert "t.parquet is large: its 600 rows stay on disk" in said
    assert "an epoch takes the next 128 of" in said.lower()
    write_table(Path("t.csv"), table())
    few = ["--num-samples", "5"]
    commands = {
        "score.csv": ["score", "run", "t.parquet", *few, "--per-column"],
        "score.npy": ["score", "run", "t.csv", *few],
        "latents.parquet": ["encode", "run", "t.parquet"],
        "means.arrow": ["reconstruct", "run", "t.parquet"],
        "filled.parquet": ["impute", "run", "t.parquet", *few],
        "filled.arrow": ["impute", "run", "t.parquet", *few],
        "filled.csv": ["impute", "run", "t.csv", *few],
        "drawn.csv": ["impute", "run", "t.csv", *few, "--draws", "2"],
    }
    written = {}
    for bound, folder in ((0, "streamed"), (1 << 40, "whole")):
        Path(folder).mkdir()
        set_large(large, bound)
        for name, words in commands.items():
            status, _, said = call(*words, "-o", f"{folder}/{name}")
            assert status == 0, said
        written[folder] = {path.name: path for path in Path(folder).iterdir()}
    assert sorted(written["streamed"]) == sorted(
        [*set(commands) - {"drawn.csv"}, "drawn-1.csv", "drawn-2.csv"]
    )
    for name, path in written["streamed"].items():
        other = written["whole"][name]
        if path.suffix == ".parquet":
            tables = [pyarrow.parquet.read_table(some) for some in (path, other)]
            assert tables[0].to_pydict() == tables[1].to_pydict(), name
        elif path.suffix == ".arrow":
            tables = [pa.ipc.open_file(some).read_all() for some in (path, other)]
            assert tables[0].to_pydict() == tables[1].to_pydict(), name
        else:
            assert path.read_bytes() == other.read_bytes(), name
    assert pyarrow.parquet.read_table(written["streamed"]["filled.parquet"]).schema == table().schema


def test_a_stopped_run_goes_on_to_the_same_weights(large: pytest.MonkeyPatch, call: Call) -> None:
    whole, part = ["--out", "whole", *SMALL], ["--out", "part", *SMALL]
    assert call("train", "t.parquet", *whole, "--epochs", "7")[0] == 0
    assert call("train", "t.parquet", *part, "--epochs", "4")[0] == 0
    assert call("train", "--resume", "part", "--epochs", "7")[0] == 0
    same = [digests(Path(run))["checkpoint"] for run in ("whole", "part")]
    assert same[0] == same[1]
    models = [Path(run, "model.safetensors").read_bytes() for run in ("whole", "part")]
    assert models[0] == models[1]


def test_figures_and_report_of_a_large_table(large: pytest.MonkeyPatch, call: Call) -> None:
    assert call("train", "t.parquet", "--out", "run", *SMALL)[0] == 0
    status, printed, said = call("evaluate", "run", "--num-samples", "5", "--refine-steps", "0", "--json")
    assert status == 0, said
    assert '"elbo"' in printed
    status, _, said = call("report", "run")
    assert status == 0, said


def test_a_likelihood_that_needs_all_rows_works_on_numbers(large: pytest.MonkeyPatch, call: Call) -> None:
    write_table(
        Path("n.parquet"), pa.table({f"x{i}": np.random.default_rng(i).normal(size=N) for i in range(3)})
    )
    status, _, said = call("train", "n.parquet", "--likelihood", "normal", *SMALL)
    assert status == 0, said
    assert "rows stay on disk" in said


def test_epochs_can_be_bounded_in_memory_too(trained: Path, tmp_path: Path, call: Call) -> None:
    words = ["train", str(trained / "d.npy"), *TRAIN, "--epoch-rows", "16", "--json"]
    status, printed, said = call(*words, "--out", str(tmp_path / "run"))
    assert status == 0, said
    assert '"epochs": 3' in printed
