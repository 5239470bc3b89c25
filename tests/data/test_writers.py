import csv
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from jensen.data import WRITERS, check_suffix, row_writer, write_rows
from jensen.errors import UserError

DTYPES = ["float64", "float32", "float16", "uint8", "int64", "bool"]


def rows(dtype: str) -> np.ndarray:
    x = np.random.default_rng(0).normal(0, 100, size=(20, 3, 2))
    return (x > 0) if dtype == "bool" else np.abs(x).astype(dtype)


def refused(path: Path, x: np.ndarray, names: list[str] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        write_rows(path, x, names)
    assert "\n" not in str(caught.value)
    assert list(path.parent.glob("*")) == []
    return str(caught.value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_read_back_equal(tmp_path: Path, suffix: str, dtype: str) -> None:
    x = rows(dtype)
    write_rows(tmp_path / f"x{suffix}", x)
    read = pyarrow.csv.read_csv if suffix == ".csv" else pyarrow.parquet.read_table
    table = read(tmp_path / f"x{suffix}")
    assert table.column_names == ["x0_0", "x0_1", "x1_0", "x1_1", "x2_0", "x2_1"]
    back = np.stack([column.to_numpy() for column in table.columns], axis=1)
    assert np.array_equal(back.astype(dtype), x.reshape(20, 6))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_read_back_equal(tmp_path: Path, dtype: str) -> None:
    x = rows(dtype)
    write_rows(tmp_path / "x.npy", x)
    write_rows(tmp_path / "x.npz", x)
    for back in (np.load(tmp_path / "x.npy"), np.load(tmp_path / "x.npz")["x"]):
        assert back.dtype == x.dtype
        assert np.array_equal(back, x)


def test_csv_extremes_and_names(tmp_path: Path) -> None:
    x = np.array([[1e-310, 1 / 3], [np.nan, np.inf], [-1.7e308, 0.1 + 0.2]])
    write_rows(tmp_path / "x.csv", x, ["a, b", "c"])
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == '"a, b",c'
    table = pyarrow.csv.read_csv(tmp_path / "x.csv")
    back = np.stack([column.to_numpy() for column in table.columns], axis=1)
    assert np.array_equal(back, x, equal_nan=True)


@pytest.mark.parametrize("name", ["plain", 'with, "marks"'])
def test_texts_stand_beside_the_numbers(tmp_path: Path, name: str) -> None:
    x = np.arange(6.0).reshape(3, 2)
    names = [name, "b", "c"]
    for suffix in WRITERS:
        if suffix != ".png":
            with row_writer(tmp_path / f"x{suffix}") as write:
                write(x[:1], {"file": names[:1]})
                write(x[1:], {"file": names[1:]})
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["file", "x0", "x1"]
    assert table["file"].to_pylist() == names
    with open(tmp_path / "x.csv", newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["file", *names]
    assert np.array_equal(np.array([row[1:] for row in rows[1:]], float), x)
    assert ('"b"' in (tmp_path / "x.csv").read_text()) == (name != "plain"), "no quotes where none needs them"
    assert np.load(tmp_path / "x.npz")["file"].tolist() == names
    assert np.array_equal(np.load(tmp_path / "x.npy"), x)


def test_texts_called_like_the_rows_are_kept_beside_them(tmp_path: Path) -> None:
    with row_writer(tmp_path / "o.npz", ["z0"]) as write:
        write(np.ones((2, 1)), {"x": ["r1", "r2"], "x_": ["s1", "s2"]})
    arrays = np.load(tmp_path / "o.npz")
    assert {name: arrays[name].tolist() for name in arrays} == {
        "x": [[1.0], [1.0]],
        "x_": ["r1", "r2"],
        "x__": ["s1", "s2"],
    }


def test_grid_of_grey_images(tmp_path: Path) -> None:
    x = np.zeros((5, 40, 60), dtype=np.uint8)
    x[4] = 255
    write_rows(tmp_path / "x.png", x)
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    assert picture.shape == (2 * 42 + 2, 3 * 62 + 2)
    assert (picture[2:42, 2:62] == 0).all()
    assert (picture[44:84, 64:124] == 255).all()  # the fifth: second line, second column


@pytest.mark.parametrize(
    ("shape", "tile"), [((8, 8), (56, 56)), ((28, 14), (56, 28)), ((30, 55), (60, 110)), ((90, 8), (90, 8))]
)
def test_small_images_are_enlarged_by_a_whole_factor(
    tmp_path: Path, shape: tuple[int, int], tile: tuple[int, int]
) -> None:
    write_rows(tmp_path / "x.png", np.zeros((30, *shape)))  # five lines of six
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (6 * (tile[1] + 2) + 2, 5 * (tile[0] + 2) + 2)


def test_values_are_mapped_to_grey(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.png", np.array([[[0.0, 16.0], [8.0, 99.0]]]), value_range=(0, 16))
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    assert picture.shape == (60, 60)
    assert picture[29, 29] == 0
    assert (picture[2:30, 30:58] == 255).all()
    assert (picture[30:58, 30:58] == 255).all()
    assert picture[30, 29] == 128


@pytest.mark.parametrize("shape", [(3, 40, 40), (40, 40, 3)])
def test_colour_channels_first_and_last(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.zeros((1, *shape))
    x[(0, 0) if shape[0] == 3 else (0, ..., 0)] = 1
    write_rows(tmp_path / "x.png", x)
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    assert picture[20, 20].tolist() == [255, 0, 0]


def test_refusals(tmp_path: Path) -> None:
    message = refused(tmp_path / "x.txt", np.ones((2, 3)))
    assert all(suffix in message for suffix in (".txt", *WRITERS))
    assert ".csv, .parquet, .npy, .npz" in refused(tmp_path / "x.png", np.ones((2, 3)))
    assert "shape (0, 3, 3) makes no picture" in refused(tmp_path / "x.png", np.ones((0, 3, 3)))
    assert "1 name for 3 columns" in refused(tmp_path / "x.csv", np.ones((2, 3)), ["a"])
    for path, shape in ((tmp_path / "x.txt", (3, 3)), (tmp_path / "x.png", (3,))):
        with pytest.raises(UserError, match=str(path)):
            check_suffix(path, shape)
    check_suffix("x.PNG", (3, 3))
    check_suffix("x.csv", [3])
    with pytest.raises(UserError, match="missing"):
        write_rows(tmp_path / "missing" / "x.npy", np.ones((2, 3)))


@pytest.mark.parametrize(("shape", "last"), [((1,), r"\.npz"), ((8, 8), r"\.png")])
def test_another_suffix_is_refused_with_those_that_fit(
    tmp_path: Path, shape: tuple[int, ...], last: str
) -> None:
    with pytest.raises(UserError, match=rf"its suffix is '\.txt'; end it in \.csv.*{last}$"):
        check_suffix(tmp_path / "o.txt", shape)
