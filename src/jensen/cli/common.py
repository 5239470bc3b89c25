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
    """The rows: a named data set, or a .npy or .npz file (FILE.npz:KEY for one array of it)."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write; its suffix decides the format."""
    data_dir: Path | None = None
    """Folder of the named data sets."""


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
    from jensen.data import load_rows, match_preparation

    dataset = load_rows(options.data, options.data_dir)
    if dataset.event_shape != run.event_shape:
        raise UserError(
            f"{options.data} has rows of shape {list(dataset.event_shape)}, but {run.path} was trained on "
            f"rows of shape {list(run.event_shape)}; give data of that shape"
        )
    return match_preparation(dataset, run.preparation, run.settings.seed)
