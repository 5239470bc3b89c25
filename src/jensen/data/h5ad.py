"""Annotated matrices of single-cell biology: ``.h5ad`` files, by way of anndata."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from jensen.data.arrays import Array, check_rows
from jensen.data.extras import extra
from jensen.data.labels import LABEL, numbered_levels
from jensen.data.raw import Raw
from jensen.data.words import count, few
from jensen.errors import UserError, did_you_mean, one_line

LABELS = (
    "label",
    "labels",
    "cell_type",
    "celltype",
    "cell_types",
    "cell_ontology_class",
    "leiden",
    "louvain",
)
"""Columns of obs that label the rows, the first that is there, whatever its case."""
COUNTS = "counts"
"""The layer where counts are kept by custom, when X holds something made of them."""
RAW = "raw"
"""What the matrix is called that a file keeps from before its genes were chosen."""
REAL = "biuf"
"""Kinds of dtypes that are real numbers."""


def read_h5ad(path: Path, key: str | None = None) -> Raw:
    """A matrix of a file as rows ``[N, D]``: whole numbers as counts, anything else as numbers.

    Labels are the first column of obs that is called like one (see `LABELS`); all columns of obs go with the
    rows. Cells and genes keep their names.

    Args:
        path: the file.
        key: which matrix: a layer, X or `RAW`. Left out: X, or the layer `COUNTS` where that holds counts and
            X does not.

    Raises:
        UserError: anndata is not installed, no such file or matrix, a damaged one, or values that are not
            finite.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a .h5ad file that exists")
    anndata = extra("anndata", str(path))
    try:
        with warnings.catch_warnings():  # such as of names that occur twice, which are no harm here
            warnings.simplefilter("ignore")
            data = anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise errors of many kinds on a damaged file
        raise UserError(
            f"{path} is damaged or no .h5ad file ({one_line(error)}); copy or write it again"
        ) from None
    matrix, genes, notes = _matrix(path, key, data)
    x = check_rows(_dense(matrix), str(path))
    is_count = x.dtype.kind in "iu"
    labels, classes, label = _labels(data.obs)
    if labels is not None:
        notes.append(f"labels, for plots and --condition label: the column {label!r} of obs")
    return Raw(
        x,
        labels,
        {"train": np.arange(len(x))},
        (0.0, 1.0),
        is_count=is_count,
        names=_names(data.obs_names),
        names_are=str(data.obs_names.name or "cell"),
        features=genes if len(set(genes)) == len(genes) else (),
        classes=classes,
        labels_are=label,
        columns={str(name): column for name, column in data.obs.items()},
        notes=(f"{count(len(x), 'row')} of {count(x.shape[1], 'count' if is_count else 'number')}", *notes),
    )


def _matrix(path: Path, key: str | None, data: Any) -> tuple[Any, tuple[str, ...], list[str]]:
    """The matrix of a key, the names of its genes, and what to say of the choice."""
    genes = _names(data.var_names)
    found = {str(name): (layer, genes) for name, layer in data.layers.items() if name is not None}
    if data.raw is not None:
        found.setdefault(RAW, (data.raw.X, _names(data.raw.var_names)))
    if data.X is not None:
        found["X"] = (data.X, genes)
    if key is not None:
        if key not in found:
            raise UserError(
                f"{path} has no matrix {key!r}{did_you_mean(key, found)}; it has "
                f"{few(list(found)) or 'none'}: give {path}:NAME with one of them"
            )
        return *found[key], []
    if "X" in found and _is_count(found["X"][0]):
        return *found["X"], []
    others = [name for name, (matrix, _) in found.items() if name != "X" and _is_count(matrix)]
    if COUNTS in others:
        return *found[COUNTS], [f"{path}: X holds no counts, so its layer {COUNTS!r} is taken"]
    if "X" in found:
        said = [f"X holds no counts, and {name} does: {path}:{name} takes that" for name in others]
        return *found["X"], said
    names = few(list(found))
    raise UserError(
        f"{path} has no matrix X; "
        + (f"give {path}:NAME with another one, of {names}" if names else "write one into it")
    )


def _names(index: Any) -> tuple[str, ...]:
    """What an index calls its entries; nothing where it only numbers them, as anndata does by itself."""
    names = tuple(map(str, index))
    return () if names == tuple(map(str, range(len(names)))) else names


def _values(matrix: Any) -> Array:
    """The values that are written down: of a sparse matrix, those that are not zero, one for each place."""
    if not sparse.issparse(matrix):
        return np.asarray(matrix)
    matrix.sum_duplicates()  # a file may hold several numbers for a place, which mean their sum
    return np.asarray(matrix.data)


def _is_count(matrix: Any) -> bool:
    values = _values(matrix)
    return values.dtype.kind in REAL and bool((values >= 0).all() and (values == np.floor(values)).all())


def _dense(matrix: Any) -> Array:
    """The whole matrix: of counts, in the narrowest type of whole numbers that holds them, else of floats."""
    values = _values(matrix)
    if values.dtype.kind in REAL:  # what else there is, `check_rows` refuses
        types: Any = (np.uint8, np.int16, np.int32, np.int64) if _is_count(matrix) else (np.float32,)
        furthest = max(values.max(initial=0).item(), -values.min(initial=0).item())
        matrix = matrix.astype(next((t for t in types if furthest <= _largest(t)), np.float64))
    return np.ascontiguousarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def _largest(kind: Any) -> float:
    """The largest number of a type; as Python's own, which compares exactly."""
    return np.iinfo(kind).max if np.issubdtype(kind, np.integer) else float(np.finfo(kind).max)


def _labels(obs: Any) -> tuple[Array | None, tuple[str, ...], str]:
    """Numbers of the levels of the column of ``obs`` that labels the rows, their names, and its own."""
    by_name = {str(name).lower(): name for name in reversed(list(obs.columns))}
    column = next((by_name[name] for name in LABELS if name in by_name), None)
    if column is None:
        return None, (), LABEL
    return *numbered_levels(obs[column]), str(column)
