import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csc_array, csr_array, save_npz

from jensen.data import NAMED, Dataset, load, load_rows
from jensen.errors import UserError

SHARED = Path(os.environ.get("JENSEN_DATA", Path(__file__).parents[2] / "../shared/data")).resolve()
FOLDERS = {
    "mnist": ("mnist", 70_000, (54_000, 6_000, 10_000)),
    "fashion-mnist": ("fashion_mnist", 70_000, (54_000, 6_000, 10_000)),
    "binarized-mnist": ("binarized_mnist", 70_000, (50_000, 10_000, 10_000)),
    "omniglot": ("omniglot", 32_460, (21_910, 2_435, 8_115)),
}


def refused(source: str | Path, **options: float) -> str:
    with pytest.raises(UserError) as caught:
        load(str(source), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_partition(dataset: Dataset) -> None:
    assert list(dataset.splits) == ["train", "validation", "test"]
    joined = torch.cat(list(dataset.splits.values()))
    assert torch.equal(joined.sort().values, torch.arange(len(dataset.x)))
    for rows in dataset.splits.values():
        assert rows.dtype == torch.int64
        assert len(rows) > 0
        assert bool((rows.diff() > 0).all())


def test_digits_as_stored() -> None:
    digits = load("digits")
    assert digits.x.shape == (1797, 8, 8)
    assert digits.x.dtype == torch.uint8
    assert digits.value_range == (0, 16)
    assert digits.is_image
    assert not digits.is_binary
    assert digits.labels is not None
    assert int(digits.labels.max()) == 9
    assert_partition(digits)
    assert len(digits.rows("validation")) == len(digits.rows("test")) == 180


def test_splits_depend_on_the_seed_alone() -> None:
    one, same, other = load("digits", seed=1), load("digits", seed=1), load("digits", seed=2)
    assert all(torch.equal(one.splits[name], same.splits[name]) for name in one.splits)
    assert not torch.equal(one.splits["test"], other.splits["test"])
    assert one.digest == same.digest == other.digest


@pytest.mark.parametrize("name", FOLDERS)
def test_named_sets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, count, sizes = FOLDERS[name]
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no {folder}/ in $JENSEN_DATA or ../shared/data")
    monkeypatch.setenv("JENSEN_DATA", str(SHARED))
    dataset = load(name)
    assert dataset.x.shape == (count, 28, 28)
    assert dataset.x.dtype == torch.uint8
    assert tuple(len(rows) for rows in dataset.splits.values()) == sizes
    assert_partition(dataset)
    assert dataset.is_binary == (name == "binarized-mnist")
    assert dataset.value_range == ((0, 1) if dataset.is_binary else (0, 255))
    if name in ("mnist", "fashion-mnist"):
        assert torch.equal(dataset.splits["test"], torch.arange(60_000, 70_000))
    if name == "omniglot":
        assert dataset.labels is not None
        assert torch.equal(dataset.labels[dataset.splits["test"]].bincount(), torch.full((1623,), 5))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int16", "int32", "int64"])
def test_dtypes_are_kept(tmp_path: Path, dtype: str) -> None:
    x = np.arange(40).reshape(10, 4).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    dataset = load(str(tmp_path / "x.npy"))
    assert dataset.x.dtype == getattr(torch, dtype)
    assert np.array_equal(dataset.x.numpy(), x)
    assert dataset.digest == hashlib.sha256(f"{dtype} (10, 4) ".encode() + x.tobytes()).hexdigest()
    assert dataset.event_shape == (4,)
    assert not dataset.is_image
    assert dataset.labels is None
    assert_partition(dataset)


def test_bool_big_endian_and_column_order(tmp_path: Path) -> None:
    x = np.arange(24).reshape(6, 4)
    np.save(tmp_path / "bool.npy", x % 3 == 0)
    np.save(tmp_path / "big.npy", x.astype(">f8"))
    np.save(tmp_path / "columns.npy", np.asfortranarray(x.astype(np.float64)))
    binary = load(str(tmp_path / "bool.npy"))
    assert binary.x.dtype == torch.uint8
    assert binary.is_binary
    assert binary.value_range == (0, 1)
    big, columns = load(str(tmp_path / "big.npy")), load(str(tmp_path / "columns.npy"))
    assert torch.equal(big.x, columns.x)
    assert big.digest == columns.digest


@pytest.mark.parametrize(
    ("shape", "image"),
    [((6, 5), True), ((3, 6, 5), True), ((6, 5, 1), True), ((2, 6, 5), False), ((7,), False)],
)
def test_what_is_an_image(tmp_path: Path, shape: tuple[int, ...], image: bool) -> None:
    np.save(tmp_path / "x.npy", np.arange(4 * np.prod(shape)).reshape(4, *shape).astype(np.uint8))
    dataset = load(str(tmp_path / "x.npy"))
    assert dataset.is_image is image
    assert dataset.value_range == ((0, 255) if image else (0, 1))


def test_npz_keys_and_labels(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(9, 2)), np.arange(9, dtype=np.int16)
    np.savez(tmp_path / "one.npz", features=x)
    np.savez(tmp_path / "labelled.npz", X=x, y=y)
    np.savez(tmp_path / "two.npz", a=x, b=x + 1, labels=y)
    np.savez(tmp_path / "short.npz", X=x, y=y[:3])
    assert load(str(tmp_path / "one.npz")).labels is None
    labelled = load(str(tmp_path / "labelled.npz"))
    assert labelled.labels is not None
    assert labelled.labels.dtype == torch.int64
    assert labelled.labels.tolist() == y.tolist()
    keyed = load(f"{tmp_path / 'two.npz'}:b")
    assert np.array_equal(keyed.x.numpy(), x + 1)
    assert keyed.labels is not None
    assert load(f"{tmp_path / 'short.npz'}:X").labels is None
    message = refused(tmp_path / "two.npz")
    assert "a, b, labels" in message
    assert "two.npz:a" in message
    assert "X, y" in refused(tmp_path / "short.npz")
    assert "'c'" in refused(f"{tmp_path / 'two.npz'}:c")


@pytest.mark.parametrize("kind", ["U", "S", "f", "column"])
def test_npz_labels_that_are_text_or_floats(tmp_path: Path, kind: str) -> None:
    x, texts = np.random.default_rng(0).normal(size=(9, 2)), np.array(["owl", "", "ant"] * 3)
    whole = np.array([2, 0, 1] * 3)
    given = {"U": texts, "S": texts.astype("S"), "f": whole.astype(float), "column": whole[:, None]}[kind]
    np.savez(tmp_path / "x.npz", X=x, y=given)
    dataset = load(str(tmp_path / "x.npz"))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == whole.tolist()
    assert dataset.classes == (("", "ant", "owl") if kind in "US" else ())
    np.savez(tmp_path / "x.npz", X=x, y=np.arange(9) / 2)  # a target to predict labels nothing
    assert load(str(tmp_path / "x.npz")).labels is None


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize(
    ("most", "dtype"), [(255, torch.uint8), (256, torch.int16), (70_000, torch.int32), (2**40, torch.int64)]
)
def test_sparse_rows(tmp_path: Path, kind: str, most: int, dtype: torch.dtype) -> None:
    x = np.zeros((7, 5), dtype=np.int64)
    x[1, 2], x[3, 0], x[6, 4] = 3, most, 1
    save_npz(tmp_path / "x.npz", {"csr": csr_array, "csc": csc_array}[kind](x))
    dataset = load(str(tmp_path / "x.npz"))
    assert dataset.x.dtype == dtype
    assert np.array_equal(dataset.x.numpy(), x)


def test_sparse_rows_with_labels_and_without_a_format(tmp_path: Path) -> None:
    x = csr_array(np.eye(6, 4) * 0.5)
    parts = {"data": x.data, "indices": x.indices, "indptr": x.indptr, "shape": x.shape}
    np.savez(tmp_path / "x.npz", y=np.arange(6), **parts)
    dataset = load(str(tmp_path / "x.npz"))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == list(range(6))
    assert np.array_equal(dataset.x.numpy(), x.toarray())
    np.savez(tmp_path / "x.npz", **{**parts, "indices": x.indices + 9})
    assert "damaged" in refused(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", **{**parts, "shape": np.array([6])})
    assert "damaged" in refused(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", **{**parts, "data": x.data * np.nan})
    assert "NaN" in refused(tmp_path / "x.npz")


def test_labels_that_cannot_be_read_do_not_spoil_the_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", X=np.ones((5, 2)), y=np.array(["a", 1, None, 2, 3], dtype=object))
    assert load(str(tmp_path / "x.npz")).labels is None


def test_unknown_name() -> None:
    message = refused("mnits")
    assert "did you mean mnist?" in message
    assert all(name in message for name in (*NAMED, ".npy", ".npz"))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_missing_truncated_and_foreign_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    assert f"{path}: no such file" in refused(path)
    (np.save if suffix == "npy" else np.savez)(path, np.ones((50, 20)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert f"{path} is damaged" in refused(path)
    path.write_bytes(b"1,2,3\n")
    assert f"{path} is not a NumPy file" in refused(path)
    path.write_bytes(b"")
    assert str(path) in refused(path)
    path.unlink()
    path.mkdir()
    assert str(path) in refused(path)


def test_damaged_npz_member(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(50, 20)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert f"{path} is damaged" in refused(path)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([[1, "a"]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", np.array([[1, "a"]], dtype=object))
    (tmp_path / "raw.npy").write_bytes(pickle.dumps([1, 2]))
    for name in ("objects.npy", "objects.npz", "raw.npy"):
        message = refused(tmp_path / name)
        assert "pickled objects" in message
        assert "astype(float)" in message


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.ones(5), "(5,)"),
        (np.float64(3), "()"),
        (np.ones((0, 3)), "empty"),
        (np.ones((3, 0)), "empty"),
        (np.ones((3, 2), dtype=complex), "complex128"),
        (np.full((3, 2), "a"), "<U1"),
        (np.full((3, 2), "2020-01-01", dtype="datetime64[D]"), "datetime64"),
        (np.ones((2, 2)), "2 rows"),
    ],
)
def test_arrays_that_are_no_rows(tmp_path: Path, array: np.ndarray, named: str) -> None:
    np.save(tmp_path / "x.npy", array)
    message = refused(tmp_path / "x.npy")
    assert named in message
    assert "x.npy" in message


def test_not_finite(tmp_path: Path) -> None:
    x = np.zeros((6, 4, 2))
    x[4, 1, 0], x[3, 2, 1], x[5, 0, 0] = np.nan, -np.inf, np.nan
    np.save(tmp_path / "image.npy", x)
    np.save(tmp_path / "flat.npy", x.reshape(6, 8))
    message = refused(tmp_path / "image.npy")
    assert "2 NaN and 1 infinite" in message
    assert "row 3, index (2, 1)" in message
    assert "impute" in message
    assert "row 3, column 5" in refused(tmp_path / "flat.npy")


@pytest.mark.parametrize(
    "options",
    [
        {"test_fraction": 0.0},
        {"validation_fraction": 1.0},
        {"test_fraction": float("nan")},
        {"test_fraction": 0.5, "validation_fraction": 0.5},
        {"seed": -1},
    ],
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    assert next(iter(options)).replace("_", "-") in refused("digits", **options)


@pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.49, 0.5), (0.9, 0.05)])
@pytest.mark.parametrize("count", [3, 4, 7])
def test_no_split_is_empty(tmp_path: Path, count: int, fractions: tuple[float, float]) -> None:
    np.save(tmp_path / "x.npy", np.arange(2.0 * count).reshape(count, 2))
    dataset = load(str(tmp_path / "x.npy"), test_fraction=fractions[0], validation_fraction=fractions[1])
    assert_partition(dataset)


def test_load_rows_takes_even_one(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 2)))
    one = load_rows(str(tmp_path / "x.npy"))
    assert one.rows("all").tolist() == [[1, 1]]
    assert len(load_rows("digits").rows("all")) == 1797


def test_unknown_split() -> None:
    with pytest.raises(UserError, match="train, validation, test"):
        load("digits").rows("dev")


def test_labels_that_are_no_finite_whole_numbers_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", x=np.zeros((3, 4)), y=np.array([1.0, np.inf, 2.0]))
    assert load(str(tmp_path / "odd.npz")).labels is None


@pytest.mark.parametrize("name", ["pipe.npy", "pipe.csv", "pipe"])
def test_a_pipe_is_refused_before_it_is_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="is a pipe or a device"):
        load(str(tmp_path / name))
