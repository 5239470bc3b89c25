"""Annotated matrices of single-cell biology: ``.h5ad`` files, by way of anndata."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from jensen.data.arrays import Array, check_rows
from jensen.data.extras import extra
from jensen.data.raw import Raw
from jensen.data.words import count
from jensen.errors import UserError

LABELS = (
    "cell_type",
    "celltype",
    "cell_types",
    "cell_ontology_class",
    "label",
    "labels",
    "leiden",
    "louvain",
)
"""Columns of obs that label the rows, the first that is there, whatever its case."""
OTHER_COLUMN = (
    "no other column of obs can be given yet: write it as y beside the rows, as in np.savez('cells.npz', "
    "x=rows, y=data.obs['batch'].to_numpy(str)), and train on that file with --condition label"
)
"""How a model is given a column of obs that is not the label."""
COUNTS = "counts"
"""The layer where counts are kept by custom, when X holds something made of them."""


def read_h5ad(path: Path) -> Raw:
    """The matrix X of a file as rows ``[N, D]``: whole numbers as counts, anything else as numbers.

    Where X is not whole and there is a layer "counts", that layer is taken. Labels are the first column of
    obs that is called like one (see `LABELS`). Cells and genes keep their names.

    Raises:
        UserError: anndata is not installed, no such file, a damaged one, or values that are not finite.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a .h5ad file that exists")
    anndata = extra("anndata", str(path))
    try:
        data = anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise errors of many kinds on a damaged file
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is damaged or no .h5ad file ({reason}); copy or write it again") from None
    matrix, notes = data.X, []
    if (matrix is None or not _is_count(matrix)) and COUNTS in data.layers:
        matrix = data.layers[COUNTS]
        notes.append(f"{path}: X holds no counts, so its layer {COUNTS!r} is taken")
    if matrix is None:
        raise UserError(f"{path} has no matrix X; write one into it, or give another file")
    x = check_rows(_dense(matrix), str(path))
    is_count = x.dtype.kind in "iu"
    kind = "count" if is_count else "number"
    notes.insert(0, f"{count(len(x), 'row')} of {count(x.shape[1], kind)}")
    labels, classes, said = _labels(data.obs)
    rows = {"train": np.arange(len(x))}
    genes = _names(data.var_names)
    return Raw(
        x,
        labels,
        rows,
        (0.0, 1.0),
        is_count=is_count,
        names=_names(data.obs_names),
        names_are=str(data.obs_names.name or "cell"),
        features=genes if len(set(genes)) == len(genes) else (),
        classes=classes,
        notes=(*notes, *said),
    )


def _names(index: Any) -> tuple[str, ...]:
    """What an index calls its entries; nothing where it only numbers them, as anndata does by itself."""
    names = tuple(map(str, index))
    return () if names == tuple(map(str, range(len(names)))) else names


def _values(matrix: Any) -> Array:
    """The values that are written down: of a sparse matrix, those that are not zero."""
    return np.asarray(matrix.data if sparse.issparse(matrix) else matrix)


def _is_count(matrix: Any) -> bool:
    values = _values(matrix)
    return not values.size or bool((values >= 0).all() and (values == np.floor(values)).all())


def _dense(matrix: Any) -> Array:
    """The whole matrix; of counts, in the narrowest type of whole numbers that holds them."""
    if not _is_count(matrix):
        kind: Any = np.float32
    else:
        largest = _values(matrix).max(initial=0)
        kind = next(k for k in (np.uint8, np.int16, np.int32, np.int64) if largest <= np.iinfo(k).max)
    matrix = matrix.astype(kind)
    return np.ascontiguousarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def _labels(obs: Any) -> tuple[Array | None, tuple[str, ...], list[str]]:
    """Numbers of the levels of the column of ``obs`` that labels the rows, their names, and which it is."""
    by_name = {str(name).lower(): name for name in reversed(list(obs.columns))}
    column = next((by_name[name] for name in LABELS if name in by_name), None)
    if column is None:
        return None, (), []
    levels = obs[column].astype("category").cat
    said = [f"labels, for plots and --condition label: the column {column!r} of obs"]
    return levels.codes.to_numpy().astype(np.int64), tuple(map(str, levels.categories)), said
