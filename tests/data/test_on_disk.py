"""Arrays larger than memory, with the bound lowered: the same data as in memory, read from where they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

import jensen.cli
from jensen.data import binarize_static, fit_preparation, load, load_rows, on_disk
from jensen.data import dataset as datasets
from jensen.data.shares import Share
from jensen.data.stored import Stored
from jensen.errors import UserError

N = 2500


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing fits in memory; the cache is within the folder of the test."""
    monkeypatch.setattr(on_disk, "LARGE", 0)
    monkeypatch.setattr(datasets, "LARGE", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def array(kind: str) -> np.ndarray:
    draw = np.random.default_rng(0)
    if kind == "images":
        return draw.integers(0, 256, (N, 3, 5)).astype(np.uint8)
    return (draw.random((N, 4)) < 0.5) if kind == "bool" else draw.normal(size=(N, 4)).astype(kind)


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int16", "bool", "images"])
def test_they_are_the_data_that_they_are_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    x, path = array(kind), folder / "x.npy"
    np.save(path, x)
    large = load(str(path), seed=3)
    assert isinstance(large.x, Stored)
    mapped = load(np.load(path, mmap_mode="r"), seed=3)
    assert isinstance(mapped.x, Stored)
    monkeypatch.setattr(on_disk, "LARGE", 1 << 40)
    small = load(str(path), seed=3)
    assert isinstance(small.x, torch.Tensor)
    for other in (large, mapped):
        assert other.digest == small.digest
        assert other.value_range == small.value_range
        assert other.is_binary == small.is_binary
        for split in small.splits:
            assert torch.equal(other.numbers(split)[:], small.numbers(split))
            assert torch.equal(other.rows(split), small.rows(split))
    assert fit_preparation(large).to_dict() == fit_preparation(small).to_dict()


def test_a_split_is_thinned_evenly(folder: Path) -> None:
    np.save(folder / "x.npy", array("float32"))
    large = load(str(folder / "x.npy"))
    numbers = large.numbers("train")[:]
    thin = large.thinned("train", 5)
    assert torch.equal(thin.rows("train"), large.x[numbers[torch.arange(5) * len(numbers) // 5]])
    assert large.thinned("train", len(numbers)) is large


def test_of_very_many_rows_splits_are_not_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(folder / "x.npy", array("float32"))
    monkeypatch.setattr(on_disk, "LISTED", N - 1)
    dataset = load(str(folder / "x.npy"))
    assert all(isinstance(rows, Share) for rows in dataset.splits.values())
    assert sum(map(len, dataset.splits.values())) == N
    assert len(load_rows(str(folder / "x.npy")).numbers("all")) == N


def test_part_of_a_mapped_file_is_not_taken_for_all_of_it(folder: Path) -> None:
    np.save(folder / "x.npy", array("float32"))
    x = np.load(folder / "x.npy", mmap_mode="r")
    assert torch.equal(load_rows(x[5:20]).x[:], torch.from_numpy(np.array(x[5:20])))


def test_a_damaged_record_in_the_cache_is_said(folder: Path) -> None:
    path = folder / "x.npy"
    np.save(path, array("float32"))
    load(str(path))
    [record] = (folder / "cache" / "jensen" / "arrays").glob("*/record.json")
    record.write_text(record.read_text()[:-1])
    with pytest.raises(UserError, match=rf"{record.parent} is damaged .*; delete that folder"):
        load(str(path))


@pytest.mark.parametrize("how", ["by columns", "other byte order"])
def test_what_cannot_stay_on_disk_is_read(folder: Path, how: str) -> None:
    x = array("float32")
    np.save(folder / "x.npy", np.asfortranarray(x) if how == "by columns" else x.astype(">f4"))
    dataset = load(str(folder / "x.npy"))
    assert isinstance(dataset.x, torch.Tensor)
    assert torch.equal(dataset.x, torch.from_numpy(x))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.array([[1.0, np.nan]] * 9), "holds 9 NaN and 0 infinite values, the first at row 0, column 1"),
        (np.zeros(9), r"shape \(9,\)"),
        (np.zeros((0, 3)), "empty array"),
        (np.zeros((9, 2), complex), "complex128"),
    ],
)
def test_what_cannot_be_data_is_refused(folder: Path, x: np.ndarray, words: str) -> None:
    np.save(folder / "x.npy", x)
    with pytest.raises(UserError, match=words):
        load(str(folder / "x.npy"))


def test_static_binarization_is_the_same_draw(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "x.npy"
    np.save(path, array("images"))
    large = binarize_static(load(str(path)), seed=4)
    assert isinstance(large.x, Stored)
    monkeypatch.setattr(on_disk, "LARGE", 1 << 40)
    small = binarize_static(load(str(path)), seed=4)
    assert isinstance(small.x, torch.Tensor)
    assert torch.equal(large.x[:], small.x)
    assert large.digest == small.digest
    monkeypatch.setattr(on_disk, "LARGE", 0)
    again, other = (binarize_static(load(str(path)), seed) for seed in (4, 5))
    assert again.digest == large.digest != other.digest


def test_a_run_of_binarized_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images on disk, drawn to the cache: from training to scores."""
    np.save(folder / "x.npy", array("images"))
    run, data = str(folder / "run"), str(folder / "x.npy")
    quick = ["--epochs", "2", "--hidden", "4", "--latent-dim", "1", "--device", "cpu"]
    assert jensen.cli.main(["train", data, "--binarize", "static", "--out", run, *quick]) == 0
    assert "stay on disk while training" in capsys.readouterr().err
    assert jensen.cli.main(["score", run, data, "--num-samples", "1", "-o", str(folder / "s.csv")]) == 0
    assert len((folder / "s.csv").read_text().splitlines()) == 1 + N
