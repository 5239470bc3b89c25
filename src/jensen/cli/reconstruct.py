"""jensen reconstruct RUN DATA -o FILE: each row as the model sees it."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.cli.common import Beside, RowsOptions, check_data_suffix, rows_for, say
from jensen.config.parse import parse

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.data import Dataset
    from jensen.run import Run

    Write = Callable[[Tensor], object]
    """Takes E[x | z] of the next rows, ``[n, *event]`` in the model's domain."""


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(RowsOptions):
    """Write E[x | z] at z = E[z | x] for each row, in the units of the data as given.

    What tells the rows apart goes with them: the file of an image, before its numbers (.npy and .png go
    without); the column of a table that does, in its place. Other columns that are not modelled are empty.
    """


def main(arguments: Sequence[str]) -> None:
    """Parse, encode, decode, write."""
    options = parse(ReconstructOptions, arguments, "jensen reconstruct")
    from jensen.data.words import count
    from jensen.evaluation import encode, reconstruct
    from jensen.run import Run
    from jensen.training.device import choose_device

    run = Run.open(options.run)
    device = choose_device(options.device)
    model = run.model(device)
    check_data_suffix(run, options.out)
    dataset = rows_for(run, model, options)
    blocks = (x.to(device) for x in run.blocks(dataset, "all", alike=True))
    writer = _array_writer if run.schema is None else _table_writer
    with writer(run, dataset, options.out) as write:
        for x in blocks:
            z = encode(model, [x]).mean.to(device)
            write(reconstruct(model.decoder, z, context=model.context_of(x)))
    say(f"{options.out}: {count(len(dataset.x), 'reconstruction')} by {options.run}")


@contextmanager
def _array_writer(run: "Run", dataset: "Dataset", path: Path) -> "Iterator[Write]":
    """Rows of numbers, with their names and the labels that were given before them."""
    from jensen.data import row_writer
    from jensen.data.labels import LABEL

    preparation, labels = run.preparation, run.preparation.labels
    columns = run.features or [f"x{i}" for i in range(math.prod(run.event_shape))]
    beside = Beside(dataset, [*columns, LABEL, "x"])  # an .npz file has the rows as "x"

    def texts(x: "Tensor") -> dict[str, Sequence[str]]:
        given = {} if labels is None else {LABEL: labels.texts(labels.split(x)[1][:, 0])}
        return {**beside.next(len(x)), **given}

    with row_writer(path, run.features or None, value_range=preparation.shown_range) as write:
        yield lambda x: write(preparation.invert(x, mean=True).numpy(), texts(x))


@contextmanager
def _table_writer(run: "Run", dataset: "Dataset", path: Path) -> "Iterator[Write]":
    """A table with the columns of the one that was given, of which that with the names is filled."""
    from jensen.data.tables.codec import decode_table
    from jensen.data.tables.writing import table_writer

    schema, done = run.schema, 0
    assert schema is not None
    cells = _cells_of_names(dataset, schema)

    with table_writer(path) as write:

        def take(x: "Tensor") -> None:
            nonlocal done
            table = decode_table(run.preparation.invert(x, mean=True).numpy(), schema)
            if cells is not None:
                place = table.column_names.index(dataset.names_are)
                table = table.set_column(place, dataset.names_are, cells.slice(done, len(x)))
            done += len(x)
            write(table)

        yield take


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
