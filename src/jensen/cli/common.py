"""Options and output that several commands share."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jensen.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.data import Dataset
    from jensen.run import Run


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every command about a run takes."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: cuda where there is one."""


@dataclass(frozen=True, kw_only=True)
class RowsOptions(RunOptions):
    """What the commands take that turn rows of data into rows of output."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """The rows: whatever `jensen train` takes, a table, images (also a single one), an array or a name."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write; its suffix decides the format."""
    data_dir: Path | None = None
    """Folder of the named data sets."""
    strict: bool = False
    """Refuse categories that training had not; else they are taken as missing, and counted."""
    skip_bad: bool = False
    """Leave out images that cannot be read, and name them; else they are refused."""


def print_json(figures: Mapping[str, Any]) -> None:
    """One JSON object on standard output (NaN and infinity, which JSON lacks, as null)."""
    print(json.dumps(_finite(figures), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(message: str) -> None:
    """A message for the user, on standard error."""
    print(message, file=sys.stderr, flush=True)


def rows_for(run: "Run", options: RowsOptions) -> "Dataset":
    """The rows of ``options.data``, checked against what ``run`` was trained on.

    Raises:
        UserError: another number or arrangement of features, or values that the model cannot take.
    """
    from jensen.data import ImageOptions, load_rows, match_preparation

    images = ImageOptions.like(run.event_shape, skip_bad=options.skip_bad)
    dataset = load_rows(
        options.data,
        options.data_dir,
        schema=run.schema,
        strict=options.strict,
        images=images,
        on_choice=say,
    )
    for sentence in dataset.notes:
        say(sentence)
    if (dataset.schema is None) != (run.schema is None):
        was, given = ("a table", "no table") if run.schema else ("an array", "a table")
        raise UserError(
            f"{run.path} was trained on {was}, and {options.data} is {given}; give data of that kind"
        )
    if dataset.event_shape != run.event_shape:
        raise UserError(
            f"{options.data} has rows of shape {list(dataset.event_shape)}, but {run.path} was trained on "
            f"rows of shape {list(run.event_shape)}; give data of that shape"
        )
    return match_preparation(dataset, run.preparation, run.settings.seed)


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


def write_data(run: "Run", path: Path, x: "Tensor", *, mean: bool = False) -> None:
    """Write rows of the model's domain as the data were given: a table with its columns, or an array.

    Args:
        run: whose data they are.
        path: the file; its suffix decides the format.
        x: ``[N, *event]``, in the model's domain.
        mean: x is an expectation, not a datum (see `jensen.data.Preparation.invert`).
    """
    given = run.preparation.invert(x, mean=mean).numpy()
    if run.schema is not None:
        from jensen.data.tables.codec import decode_table
        from jensen.data.tables.writing import write_table

        write_table(path, decode_table(given, run.schema))
        return
    from jensen.data import write_rows

    write_rows(path, given, value_range=run.preparation.shown_range)
