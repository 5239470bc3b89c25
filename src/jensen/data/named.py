"""The named data sets: from their files to rows, labels and the splits their authors published."""

import gzip
import importlib.util
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jensen.data.arrays import Array
from jensen.data.download import locate
from jensen.data.npy import read_file
from jensen.data.origins import DRAWERS, ORIGINS
from jensen.data.raw import Raw
from jensen.errors import UserError


def digits(data_dir: Path | None) -> Raw:
    """1,797 handwritten digits, 8x8, whole numbers 0..16, from scikit-learn. No published split."""
    # The file that its load_digits reads; to import scikit-learn takes longer than the first epoch.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise UserError("the digits are part of scikit-learn, which is not installed; install it")
    rows = np.loadtxt(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    x = rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8)
    return Raw(x, rows[:, -1].astype(np.int64), {"train": np.arange(len(x))}, (0.0, 16.0))


def mnist(data_dir: Path | None) -> Raw:
    """70,000 handwritten digits, 28x28, the last 10,000 of them for testing (LeCun, Cortes and Burges)."""
    return _idx_set("mnist", data_dir)


def fashion_mnist(data_dir: Path | None) -> Raw:
    """70,000 pictures of clothes, 28x28, the last 10,000 of them for testing (Xiao, Rasul, Vollgraf 2017)."""
    return _idx_set("fashion-mnist", data_dir)


def binarized_mnist(data_dir: Path | None) -> Raw:
    """MNIST drawn once to black and white, with its three published splits (Larochelle and Murray 2011)."""
    [path] = locate("binarized-mnist", ORIGINS["binarized-mnist"], data_dir)
    packed = [read_file(path, key)[0] for key in ("train", "valid", "test")]
    x = np.concatenate([np.unpackbits(part, axis=1, count=784) for part in packed]).reshape(-1, 28, 28)
    ends = np.cumsum([len(part) for part in packed])
    rows = np.split(np.arange(len(x)), ends[:-1])
    return Raw(x, None, dict(zip(("train", "validation", "test"), rows, strict=True)), (0.0, 1.0))


def omniglot(data_dir: Path | None) -> Raw:
    """32,460 handwritten characters of 50 alphabets, 28x28, ink 255 (Lake, Salakhutdinov and Tenenbaum 2015).

    Each of 1,623 characters was drawn by 20 people: the first 15 train, the last 5 test.
    """
    [path] = locate("omniglot", ORIGINS["omniglot"], data_dir)
    parts = [read_file(path, key)[0] for key in ("background", "evaluation")]
    x = np.concatenate(parts).reshape(-1, 28, 28)
    character, drawer = np.divmod(np.arange(len(x)), DRAWERS)
    splits = {"train": np.flatnonzero(drawer < 15), "test": np.flatnonzero(drawer >= 15)}
    return Raw(x, character, splits, (0.0, 255.0))


NAMED: dict[str, Callable[[Path | None], Raw]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "binarized-mnist": binarized_mnist,
    "omniglot": omniglot,
}


def _idx_set(name: str, data_dir: Path | None) -> Raw:
    train_x, train_labels, test_x, test_labels = (read_idx(p) for p in locate(name, ORIGINS[name], data_dir))
    x = np.concatenate([train_x, test_x])
    labels = np.concatenate([train_labels, test_labels]).astype(np.int64)
    train, test = np.split(np.arange(len(x)), [len(train_x)])
    return Raw(x, labels, {"train": train, "test": test}, (0.0, 255.0))


def read_idx(path: Path) -> Array:
    """A gzipped idx file of bytes: 0, 0, 8, the number of axes, the lengths as big-endian uint32, the values.

    Raises:
        UserError: the file cannot be read or is not of this form.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({error}); delete it, and jensen downloads it again"
        ) from None
    axes = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    header = 4 + 4 * axes
    shape = [int(n) for n in np.frombuffer(content[4:header].ljust(4 * axes, b"\0"), dtype=">u4")]
    if axes == 0 or len(content) != header + int(np.prod(shape)):
        raise UserError(f"{path} is not an idx file of bytes; delete it, and jensen downloads it again")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
