"""Python objects, .h5ad files and data sets of Hugging Face as rows."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from scipy import sparse
from torch.utils.data import IterableDataset, TensorDataset

from jensen.data import load, store
from jensen.errors import UserError
from jensen.estimator.rows import as_rows

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 2


class Pictures(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        return Image.fromarray(np.full((4, 5), number, np.uint8)), number % 3


@pytest.mark.parametrize(
    "data",
    [X, torch.tensor(X), sparse.csr_matrix(X), TensorDataset(torch.tensor(X), torch.tensor(Y))],
    ids=["numpy", "tensor", "sparse", "dataset"],
)
def test_arrays_of_every_library_are_the_same_rows(data: object) -> None:
    assert np.array_equal(load(data).x.numpy(), X)
    assert np.array_equal(as_rows(data), X)


def test_frames_are_tables_and_labels_are_kept() -> None:
    table = pa.table({"a": X[:, 0], "b": ["x", "y"] * 6})
    for frame in (table, table.to_pandas()):
        schema = load(frame).schema
        assert schema is not None
        assert [column.type for column in schema.columns] == ["continuous", "binary"]
    assert load(TensorDataset(torch.tensor(X), torch.tensor(Y))).labels.tolist() == Y.tolist()


def test_a_data_set_of_pictures_is_stored_for_a_run(tmp_path: Path) -> None:
    dataset = load(store(Pictures(), tmp_path / "x.npz"))
    assert dataset.event_shape == (4, 5)
    assert dataset.value_range == (0, 255)
    assert dataset.x[:, 0, 0].tolist() == list(range(12))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [number % 3 for number in range(12)]
    assert load(store(pd.DataFrame({"a": X[:, 0]}), tmp_path / "x.csv")).x.shape == (12, 1)


def test_what_cannot_be_rows_says_so(tmp_path: Path) -> None:
    class Endless(IterableDataset):
        def __iter__(self) -> Iterator[int]:
            return iter([1])

    with pytest.raises(UserError, match="map-style"):
        load(Endless())
    with pytest.raises(UserError, match="NumPy arrays, pandas"):
        load(object())
    with pytest.raises(UserError, match="reshape"):
        as_rows(np.zeros((4, 2, 2)))
    with pytest.raises(UserError, match=r"\.npy or \.npz"):
        store(X, tmp_path / "x.csv")


def test_numbers_of_bfloat16_are_rows() -> None:
    x = torch.tensor(X).bfloat16()
    items = TensorDataset(x, torch.tensor(Y))
    for data in (x, items):
        assert torch.equal(load(data).x, x.float())


def test_items_of_several_types_are_refused_before_they_are_rounded() -> None:
    class Mixed(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 12

        def __getitem__(self, number: int) -> np.ndarray:
            return np.arange(3) if number == 0 else X[number]

    with pytest.raises(UserError, match=r"item 1 of Mixed is of float64, and item 0 of int64"):
        load(Mixed())


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_tables_keep_their_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "t").mkdir()
    for split, rows in (("train", X), ("test", X[:4])):
        table = pa.table({"a": rows[:, 0], "b": ["x", "y"] * (len(rows) // 2)})
        pyarrow.parquet.write_table(table, tmp_path / "t" / f"{split}.parquet")
    dataset = load(f"hf:{tmp_path / 't'}")
    assert dataset.splits["test"].tolist() == [12, 13, 14, 15]
    assert np.array_equal(dataset.x[:12, 0].numpy(), X[:, 0])
    assert len(load(f"hf:{tmp_path / 't'}:test").x) == 4
    with pytest.raises(UserError, match="nosplit"):
        load(f"hf:{tmp_path / 't'}:nosplit")


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    features = datasets.Features({"pic": datasets.Image(), "kind": datasets.ClassLabel(names=["a", "b"])})
    pictures = [Image.fromarray(np.full((3, 3), number, np.uint8)) for number in range(12)]
    made = datasets.Dataset.from_dict({"pic": pictures, "kind": Y.tolist()}, features=features)
    made.save_to_disk(tmp_path / "saved")
    dataset = load(f"hf:{tmp_path / 'saved'}")
    assert dataset.x[:, 1, 1].tolist() == list(range(12))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == Y.tolist()


@pytest.mark.parametrize(("source", "module"), [("hf:any", "datasets"), ("x.h5ad", "anndata")])
def test_a_missing_extra_says_what_to_install(
    source: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.h5ad").touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"needs the package {module}.*pip install {module}"):
        load(source)
