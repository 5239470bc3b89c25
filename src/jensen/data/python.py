"""What Python users have in hand (arrays, frames, tensors, data sets) as rows, and as files for a run."""

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arrays import Array, check_rows, image_range
from jensen.data.raw import Raw
from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import without_views
from jensen.errors import UserError, one_line
from jensen.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

FRAMES = ("pandas", "polars", "pyarrow")
TAKEN = (
    "NumPy arrays, pandas, polars and pyarrow tables, PyTorch tensors and map-style data sets, SciPy sparse "
    "matrices"
)


def kind_of(data: Any) -> str:
    """pandas, polars or pyarrow for a frame of that library; array for anything else."""
    library = type(data).__module__.partition(".")[0]
    return library if library in FRAMES and hasattr(data, "shape") and len(data.shape) == 2 else "array"


def to_arrow(frame: Any) -> "pa.Table":
    """A frame as an Arrow table, NaN as missing.

    Raises:
        UserError: a column holds objects of several kinds, or has no name of text.
    """
    import pyarrow as pa

    library = kind_of(frame)
    if library == "pyarrow":
        return without_views(frame)
    if library == "polars":
        return without_views(frame.to_arrow())
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:
        raise UserError(
            f"a column holds objects that cannot be cells, or several kinds of them ({one_line(error)}); "
            "make them numbers, text or dates"
        ) from None
    return table.replace_schema_metadata(None)


def plain(data: Any) -> Any:
    """A sparse matrix, a tensor or a PyTorch data set as an array; anything else as it is.

    Raises:
        UserError: a data set without a length, or whose items are no arrays of one shape; what only leads to
            rows, such as a path or a loader; an AnnData.
    """
    from scipy import sparse
    from torch import Tensor
    from torch.utils.data import Dataset

    if sparse.issparse(data):  # first: some sparse matrices are mappings too
        return data.toarray()
    if mend := _leading_to_rows(data):
        raise UserError(f"X is of type {type(data).__name__}, which is no rows in memory; give {mend}")
    if isinstance(data, Tensor):
        return _numbers_of(data)
    if isinstance(data, Dataset):
        return stacked(data)[0]
    return data


def _leading_to_rows(data: Any) -> str:
    """What to give in place of something that is no rows, but leads to some; nothing for all else."""
    from torch.utils.data import DataLoader

    if isinstance(data, str | PathLike):
        return "what pandas.read_csv or numpy.load make of it, or train on the file with jensen.session.start"
    if isinstance(data, DataLoader):
        return "its data set, loader.dataset, or dataset.tensors[0] of a TensorDataset"
    if type(data).__name__ == "AnnData":
        return "one of its matrices, as in adata.X, or train on the file with jensen.session.start"
    if type(data).__name__ == "LazyFrame":  # of polars
        return "the frame that it makes, X.collect()"
    if isinstance(data, Iterator):
        return "all of them at once, as numpy.array(list(X))"
    return "pandas.DataFrame(X)" if isinstance(data, Mapping) else ""


def _numbers_of(tensor: "Tensor") -> Array:
    """A tensor as an array; of bfloat16, which NumPy lacks, as float32."""
    import torch

    dense = (tensor.to_dense() if tensor.is_sparse else tensor).detach().cpu()
    found: Array = (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    return found


def stacked(data: Any) -> tuple[Array, Array | None]:
    """The items of a map-style PyTorch data set as rows ``[N, *event]``, and their labels ``[N]`` if any.

    An item is an array, a tensor or a Pillow image, or a tuple that begins with one and goes on with a whole
    number, the label.

    Raises:
        UserError: it has no length, or its items are something else, or of different shapes or types.
    """
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise UserError(
            f"{type(data).__name__} has no length or no items by number; give a map-style data set, or the "
            "rows as an array"
        )
    if not len(data):
        raise UserError(f"{type(data).__name__} is empty; give at least 3 rows")
    first, _ = _item(data[0], 0)
    x = np.empty((len(data), *first.shape), dtype=first.dtype)
    labels: list[Any] = []
    for number in range(len(data)):
        row, label = _item(data[number], number)
        if row.shape != first.shape:
            raise UserError(
                f"item {number} of {type(data).__name__} has shape {row.shape}, and item 0 {first.shape}; "
                "bring all to one shape, as torchvision.transforms.Resize does"
            )
        if not np.can_cast(row.dtype, first.dtype, "safe"):
            raise UserError(
                f"item {number} of {type(data).__name__} is of {row.dtype}, and item 0 of {first.dtype}; "
                "bring all to one type, as in array.astype(float)"
            )
        x[number] = row
        labels.append(label)
    whole = all(isinstance(label, int | np.integer) for label in labels)
    return x, np.asarray(labels, dtype=np.int64) if whole else None


def _item(item: Any, number: int) -> tuple[Array, Any]:
    """The row and the label of one item."""
    from torch import Tensor

    parts = item if isinstance(item, tuple | list) and not np.isscalar(item[0]) else (item,)
    row = _numbers_of(parts[0]) if isinstance(parts[0], Tensor) else np.asarray(parts[0])
    if row.dtype.kind not in "biuf" or row.ndim == 0:
        raise UserError(
            f"item {number} is {type(parts[0]).__name__}, no row of numbers; give a data set whose items are "
            "arrays, or tuples that begin with one"
        )
    label = parts[1] if len(parts) > 1 else None
    return row, label.item() if isinstance(label, Tensor) and label.numel() == 1 else label


def read(
    data: Any,
    schema: Schema | Path | None = None,
    *,
    strict: bool = False,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Raw:
    """Rows from Python, as those of a file are read: frames are tables, anything else is an array.

    Raises:
        UserError: it is nothing of `TAKEN`, or its values cannot be used.
    """
    name = f"the {type(data).__name__}"
    if kind_of(data) != "array":
        from jensen.data.tables.source import read_arrow

        return read_arrow(to_arrow(data), name, schema, strict=strict, on_choice=on_choice)
    from jensen.data.on_disk import read_mapped

    mapped = read_mapped(data)
    if mapped is not None:
        return mapped
    x, labels = _array(data)
    dtype = x.dtype
    x = check_rows(x, name)
    return Raw(x, labels, {"train": np.arange(len(x))}, image_range(dtype, x.shape[1:]))


def _array(data: Any) -> tuple[Array, Array | None]:
    from torch.utils.data import Dataset

    if isinstance(data, Dataset):
        return stacked(data)
    x = np.asarray(plain(data))
    if x.dtype == object:
        raise UserError(f"{type(data).__name__} cannot be data; give one of {TAKEN}")
    return x, None


def store(data: Any, path: str | Path) -> str:
    """Write rows from Python as a file to train on: ``Settings(data=store(X, "x.npz"))``.

    The data of a run are a file, so that every later command finds them again.

    Args:
        data: one of `TAKEN`.
        path: the file: of frames a table (see `jensen.data.tables.read.SUFFIXES`), of all else ``.npy``, or
            ``.npz`` with the labels of a data set beside the rows.

    Returns:
        The path as text.

    Raises:
        UserError: the data cannot be used, or the suffix is another.
    """
    path = Path(path)
    if kind_of(data) != "array":
        from jensen.data.tables.writing import write_table

        write_table(path, to_arrow(data))
        return str(path)
    if path.suffix not in (".npy", ".npz"):
        raise UserError(f"cannot write {path}: an array ends in .npy or .npz; give such a name")
    x, labels = _array(data)
    x = check_rows(x, f"the {type(data).__name__}")
    with atomic(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, x, allow_pickle=False)
        elif labels is None:
            np.savez(temporary, x=x)  # numbers, as labels are; NumPy before 2.2 takes no allow_pickle
        else:
            np.savez(temporary, x=x, y=labels)
    return str(path)
