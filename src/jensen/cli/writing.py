"""Writing rows as the data were given: what `jensen sample` and `jensen reconstruct` share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.cli.common import RowNames

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.data import Dataset
    from jensen.run import Run

    Write = Callable[[Tensor], object]
    """Takes the next rows, ``[n, *event]`` in the model's domain."""


def check_data_suffix(run: "Run", path: Path) -> None:
    """Refuse a path to which data of ``run`` cannot be written, before the work that makes them.

    Raises:
        UserError: an unknown suffix, a picture of what is no image, or no such folder.
    """
    if run.schema is not None:
        from jensen.data.tables.writing import check_table_suffix

        check_table_suffix(path)
        return
    from jensen.data import check_suffix

    check_suffix(path, run.event_shape)


@contextmanager
def data_writer(
    run: "Run", path: Path, *, mean: bool = False, dataset: "Dataset | None" = None
) -> "Iterator[Write]":
    """Yield a function that writes rows as the data were given: a table with its columns, or an array.

    It takes them piece by piece; the file is there when the block ends.

    Args:
        run: whose data they are.
        path: the file; its suffix decides the format.
        mean: they are expectations, not data (see `jensen.data.Preparation.invert`).
        dataset: whose rows they are of, in their order, so that what tells those apart goes with them.
    """
    writer = _array_writer if run.schema is None else _table_writer

    def given(x: "Tensor") -> Any:
        return run.preparation.invert(x, mean=mean).numpy()

    with writer(run, path, given, dataset) as write:
        yield write


@contextmanager
def _array_writer(
    run: "Run", path: Path, given: "Callable[[Tensor], Any]", dataset: "Dataset | None"
) -> "Iterator[Write]":
    """Rows of numbers, with their names and the labels that were given before them."""
    from jensen.data import row_writer
    from jensen.data.labels import LABEL

    labels = run.preparation.labels
    # An .npz file has the rows as "x".
    taken = [*run.names, LABEL, *(() if labels is None else labels.levels), "x"]
    beside = None if dataset is None else RowNames(dataset, taken)

    def texts(x: "Tensor") -> dict[str, Any]:
        names = {} if beside is None else beside.next(len(x))
        return {**names, **({} if labels is None else labels.texts(labels.split(x)[1]))}

    with row_writer(path, run.features or None, value_range=run.preparation.shown_range) as write:
        yield lambda x: write(given(x), texts(x))


@contextmanager
def _table_writer(
    run: "Run", path: Path, given: "Callable[[Tensor], Any]", dataset: "Dataset | None"
) -> "Iterator[Write]":
    """A table with the columns of the one that was given, of which that with the names is filled."""
    import torch

    from jensen.data.tables.codec import decode_table
    from jensen.data.tables.writing import table_writer
    from jensen.data.writers import PIECE

    schema, done = run.schema, 0
    assert schema is not None
    cells = None if dataset is None else _cells_of_names(dataset, schema)

    held: list[Tensor] = []
    with table_writer(path) as write:

        def take(x: "Tensor") -> None:
            held.append(x)
            if sum(map(len, held)) >= PIECE:
                flush()

        def flush() -> None:  # few rows at a time would be a row group of Parquet each
            nonlocal done
            x = torch.cat(held)
            held.clear()
            table = decode_table(given(x), schema)
            if dataset is not None and cells is not None:
                place = table.column_names.index(dataset.names_are)
                table = table.set_column(place, dataset.names_are, cells.slice(done, len(x)))
            done += len(x)
            write(table)

        yield take
        if held:
            flush()


def _cells_of_names(dataset: "Dataset", schema: Any) -> Any:
    """The names of all rows of a table as its cells, in the type that they had; None where it has none."""
    import pyarrow as pa

    from jensen.data.tables.storage import arrow_type

    column = next((column for column in schema.columns if column.name == dataset.names_are), None)
    if not dataset.names or column is None:
        return None
    cells, kind = pa.array(dataset.names), arrow_type(column.storage)
    try:
        return cells if kind is None else cells.cast(kind)
    except pa.ArrowException:  # there are types that text is not cast to
        return cells
