"""Each command as a user runs it, in a folder of the user's; one process each, and the rest in this one."""

import csv
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import yaml
from PIL import Image

import jensen
from jensen.cli.evaluate import as_text
from jensen.figures.lines import KINDS, Line
from tests.cli.helpers import TRAIN, Call, environment, shell


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def test_help_names_every_command(tmp_path: Path) -> None:
    done = shell("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert not done.stderr
    for command in ("train", "evaluate", "sample", "encode", "reconstruct", "report"):
        assert f"jensen {command}" in done.stdout
    assert shell("--version", cwd=tmp_path).stdout == f"jensen {jensen.__version__}\n"


def test_a_run_is_a_folder_that_anyone_can_read(trained: Path) -> None:
    run = trained / "run"
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files >= {"config.yaml", "model.safetensors", "metrics.jsonl", "checkpoint/state.safetensors"}
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["latent_dim"] == 2
    assert config["likelihood"] == "normal", "`auto` is written as what it came to"
    recorded = config["recorded"]
    assert recorded["jensen"] == jensen.__version__
    assert recorded["data"]["shape"] == [60, 5]
    assert recorded["data"]["splits"] == {"train": 48, "validation": 6, "test": 6}
    assert len(recorded["data"]["digest"]) == 64
    assert recorded["preparation"]["binarize"] == "none"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_train_prints_one_json_object_and_plain_lines_of_progress(tmp_path: Path, trained: Path) -> None:
    done = shell("train", str(trained / "d.npy"), "--out", "new run", "--json", *TRAIN, cwd=tmp_path)
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["run"] == "new run"
    assert result["unit"] == "nats"
    assert result["epochs"] == 3
    assert result["validation_bound"] == pytest.approx(
        -result["validation_distortion"] - result["validation_rate"]
    )
    lines = done.stderr.splitlines()
    assert lines[0].startswith("epoch    1  elbo: train ")
    assert lines[-1].startswith("epoch    3  "), "the last epoch is always shown"
    assert "\x1b" not in done.stderr, "no terminal, no control characters"


def test_evaluate_prints_one_json_object(here: Path) -> None:
    done = shell("evaluate", "run", "--num-samples", "5", "--json", cwd=here)
    assert done.returncode == 0
    assert not done.stderr
    figures = json.loads(done.stdout)
    assert (figures["unit"], figures["split"], figures["n"]) == ("nats", "test", 6)
    value = {name: figures[name]["value"] for name in ("elbo", "distortion", "rate", "iwae")}
    assert value["elbo"] == pytest.approx(-value["distortion"] - value["rate"])
    assert value["iwae"] >= value["elbo"]
    assert figures["iwae"]["num_samples"] == 5
    assert all(figures[name]["standard_error"] > 0 for name in value)


def test_evaluate_repeats_and_limits(here: Path, call: Call) -> None:
    words = ("evaluate", "run", "--num-samples", "5", "--json")
    first = json.loads(call(*words)[1])
    assert json.loads(call(*words)[1]) == first
    assert json.loads(call(*words, "--seed", "1")[1])["elbo"] != first["elbo"]
    assert json.loads(call(*words, "--limit", "2")[1])["n"] == 2
    assert json.loads(call(*words, "--split", "train")[1])["n"] == 48
    status, text, _ = call("evaluate", "run", "--num-samples", "5")
    assert status == 0
    assert f"{first['elbo']['value']:.2f}" in text


def test_evaluate_of_one_row_has_no_standard_error(here: Path, call: Call) -> None:
    status, text, said = call("evaluate", "run", "--num-samples", "5", "--limit", "1", "--json")
    assert (status, said) == (0, "")
    elbo = json.loads(text)["elbo"]
    assert elbo["value"] < 0
    assert elbo["standard_error"] is None, "NaN is no JSON"


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_encode_writes_means_and_standard_deviations(
    suffix: str, here: Path, tmp_path: Path, call: Call
) -> None:
    out = tmp_path / f"z{suffix}"
    status, text, said = call("encode", "run", "d.npy", "-o", str(out))
    assert (status, text) == (0, "")
    assert str(out) in said
    names = ["z0", "z1", "z0_sd", "z1_sd"]
    if suffix == ".csv":
        header, *lines = csv.reader(out.read_text().splitlines())
        assert header == names
        table = np.array(lines, dtype=float)
    elif suffix == ".parquet":
        read = pyarrow.parquet.read_table(out)
        assert read.column_names == names
        table = np.stack([column.to_numpy() for column in read.columns], 1)
    else:
        loaded = np.load(out)
        table = loaded if suffix == ".npy" else loaded["x"]
    assert table.shape == (60, 4)
    assert (table[:, 2:] > 0).all()
    call("encode", "run", "d.npy", "-o", str(tmp_path / "again.npy"))
    assert np.allclose(np.load(tmp_path / "again.npy"), table, rtol=1e-6)


def test_reconstruct_is_in_units_of_the_data(here: Path, tmp_path: Path, call: Call) -> None:
    assert call("reconstruct", "run", "d.npy", "-o", str(tmp_path / "x.npy"))[0] == 0
    rows = np.load(tmp_path / "x.npy")
    assert rows.shape == (60, 5)
    assert call("reconstruct", "bits", "binary.npy", "-o", str(tmp_path / "p.npy"))[0] == 0
    probabilities = np.load(tmp_path / "p.npy")
    assert ((probabilities > 0) & (probabilities < 1)).all()
    one = np.load("d.npy")[:1]
    np.save(tmp_path / "one.npy", one)
    out = tmp_path / "one row.npy"
    assert call("reconstruct", "run", str(tmp_path / "one.npy"), "-o", str(out))[0] == 0
    assert np.allclose(np.load(out), rows[:1], rtol=1e-4), "a row means the same alone and among others"


def test_sample_draws_by_its_seed(here: Path, tmp_path: Path, call: Call) -> None:
    def draw(*words: str) -> np.ndarray:
        assert call("sample", "run", "-n", "7", "-o", str(tmp_path / "x.npy"), *words)[0] == 0
        return np.load(tmp_path / "x.npy")

    first = draw()
    assert first.shape == (7, 5)
    assert (draw() == first).all()
    assert (draw("--seed", "1") != first).any()
    assert (draw("--mean") != first).any()
    assert call("sample", "bits", "-o", str(tmp_path / "bits.npy"))[0] == 0
    assert set(np.unique(np.load(tmp_path / "bits.npy"))) == {0, 1}


def test_sample_draws_pictures_of_images(here: Path, tmp_path: Path, call: Call) -> None:
    status, _, said = call("sample", "images", "-n", "9", "-o", str(tmp_path / "new.png"))
    assert status == 0
    assert "; true draws, noise included (--mean for decoder means)" in said
    for name, *words in (("new.npy",), ("mean.png", "--mean")):
        status, _, said = call("sample", "images", "-o", str(tmp_path / name), *words)
        assert (status, "noise" in said) == (0, False)
    with Image.open(tmp_path / "new.png") as picture:
        assert picture.size[0] == picture.size[1] >= 3 * 4


def test_report_writes_one_page_and_names_it(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = shell("report", "run", "-o", str(out), "--num-samples", "5", cwd=here)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(out)]
    assert "<html" in out.read_text(encoding="utf-8")


def test_a_config_begins_the_same_run_and_options_come_on_top(here: Path, tmp_path: Path, call: Call) -> None:
    call("train", "--config", "run/config.yaml", "--out", str(tmp_path / "same"))
    weights = "model.safetensors"
    assert (tmp_path / "same" / weights).read_bytes() == (here / "run" / weights).read_bytes()
    assert (tmp_path / "same/config.yaml").read_text() == (here / "run/config.yaml").read_text()
    call("train", "--config", "run/config.yaml", "--epochs", "1", "--out", str(tmp_path / "short"))
    config = yaml.safe_load((tmp_path / "short/config.yaml").read_text())
    assert (config["epochs"], config["latent_dim"]) == (1, 2)


def test_a_recipe_is_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    status, text, _ = call("train", "--config", "lecture", *TRAIN, "--epochs", "1")
    assert (status, text.splitlines()[-1]) == (0, "next: jensen evaluate runs/digits")
    config = yaml.safe_load((tmp_path / "runs/digits/config.yaml").read_text())
    assert (config["data"], config["variance"], config["scaling"]) == ("digits", "unit", "none")
    assert (config["epochs"], config["hidden"]) == (1, [8])


def test_overwrite_replaces_a_run_whole(here: Path, tmp_path: Path, call: Call) -> None:
    run = tmp_path / "run"
    shutil.copytree(here / "run", run)
    (run / "report.html").write_text("of the old run")
    words = ("train", "d.npy", *TRAIN, "--seed", "5", "--out", str(run))
    assert call(*words)[0] == 2
    assert call(*words, "--overwrite")[0] == 0
    assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == 5
    assert not (run / "report.html").exists(), "a report of the old run would mislead"


def test_resume_goes_on_where_the_run_ended(here: Path, tmp_path: Path, call: Call) -> None:
    run = tmp_path / "run"
    call("train", "d.npy", *TRAIN, "--epochs", "1", "--out", str(run))
    done = shell("train", "--resume", str(run), "--epochs", "3", "--json", cwd=here)
    assert json.loads(done.stdout)["epochs"] == 3
    assert (run / "model.safetensors").read_bytes() == (here / "run/model.safetensors").read_bytes()
    for data in ((), ("d.npy",), (str(here / "d.npy"),)):  # the data may be named again, as before or in full
        status, _, said = call("train", *data, "--resume", str(run))
        assert (status, said.count("\n")) == (0, 1)
        assert (
            said == f"no epoch was left to train; {run} has 3 epochs, and --epochs is 3: raise it to go on\n"
        )
    said = call("train", "--resume", str(run), "--epochs", "9", "--max-time", "0.001")[2]
    assert said == "no epoch was left to train; raise --patience or --max-time to go on\n"


def test_paths_with_spaces_and_of_any_alphabet(
    here: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "мои данные ✓ [1]*"
    folder.mkdir()
    shutil.copy("d.npy", folder / "dätä set.npy")
    done = shell("train", "dätä set.npy", *TRAIN, "--out", "rün 1", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "next: jensen evaluate 'rün 1'" in done.stdout, "a path that can be copied to the next command"
    monkeypatch.chdir(folder)
    for words in (
        ("evaluate", "rün 1", "--num-samples", "2"),
        ("encode", "rün 1", "dätä set.npy", "-o", "z wert.csv"),
        ("report", "rün 1", "--num-samples", "2"),
        ("train", "--resume", "rün 1", "--epochs", "4"),
    ):
        assert call(*words)[0] == 0
    assert {path.name for path in folder.iterdir()} == {"dätä set.npy", "rün 1", "z wert.csv"}


def test_choices_that_follow_from_others_are_said(here: Path, tmp_path: Path, call: Call) -> None:
    out = str(tmp_path / "run")
    status, _, said = call("train", "d.npy", *TRAIN, "--posterior", "point", "--out", out)
    assert status == 0
    assert "reconstruction" in said.splitlines()[0]
    for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines():
        rate = json.loads(line, parse_constant=pytest.fail)["validation_rate"]
        assert rate is None, "a point posterior has no rate, and NaN is no JSON"


def test_output_to_a_reader_that_left_is_no_fault(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jensen", "--help"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 0


def test_one_row_has_no_standard_error() -> None:
    line = Line("elbo", KINDS["elbo"], "ELBO", -2.5, math.nan, "meaning", None)
    assert as_text(line) == "  ELBO                   -2.50 +/- ?      meaning"
    assert "+/- 0.25 " in as_text(replace(line, standard_error=0.25))
