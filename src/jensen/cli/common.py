"""Options and output that several commands share."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jensen.errors import UserError

if TYPE_CHECKING:
    from jensen.data import Dataset
    from jensen.models import VAE
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
    """Refuse cells of tables that training could not have had, such as new categories (else missing) and
    counts below 0; without it they are counted, and the first is named."""
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


def rows_for(run: "Run", model: "VAE", options: RowsOptions) -> "Dataset":
    """The rows of ``options.data``, checked against what ``run`` and its ``model`` were trained on.

    Raises:
        UserError: another number or arrangement of features, or values that the model cannot take.
    """
    from jensen.data import ImageOptions, load_rows, match_preparation
    from jensen.data.strange import another_scale

    check_kept(options.out, options.data, run.settings.data)
    images = ImageOptions.like(run.event_shape, skip_bad=options.skip_bad)
    by_column = run.settings.likelihood == "columns"
    dataset = load_rows(
        options.data,
        options.data_dir,
        schema=run.schema if by_column or run.schema is None else run.schema.of_numbers(),
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
    _check_shape(run, options.data, dataset.event_shape)
    _check_features(run, dataset)
    _check_given(run, model, dataset)
    dataset = match_preparation(dataset, run.preparation)
    for sentence in another_scale(dataset, run.preparation):
        say(sentence)
    return dataset


def _check_shape(run: "Run", name: str, given: tuple[int, ...]) -> None:
    """Refuse rows of another shape than in training.

    Raises:
        UserError: both shapes; and how to move the channels of images that have them at the other end.
    """
    known = run.event_shape
    if given == known:
        return
    mend = "give data of that shape"
    if len(given) == 3 and known in ((*given[1:], given[0]), (given[2], *given[:2])):
        ends = (1, -1) if known == (*given[1:], given[0]) else (-1, 1)
        mend += f": an array with its channels moved there, by np.moveaxis(x, {ends[0]}, {ends[1]})"
    raise UserError(
        f"{name} has rows of shape {list(given)}, but {run.path} was trained on rows of shape {list(known)}; "
        f"{mend}"
    )


def _check_features(run: "Run", dataset: "Dataset") -> None:
    """Refuse rows whose numbers are called otherwise than in training, such as genes in another order.

    Raises:
        UserError: the first that is, and the mend.
    """
    if not run.features or not dataset.features or run.features == dataset.features:
        return
    pairs = zip(dataset.features, run.features, strict=True)
    place, (given, known) = next((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    raise UserError(
        f"{dataset.name}: column {place} is {given!r}, and {run.path} was trained with {known!r} there; "
        f"bring them into the order of the features in {run.config}, as in adata[:, features]"
    )


def _check_given(run: "Run", model: "VAE", dataset: "Dataset") -> None:
    """Refuse rows without what a conditional model is given, where it learned from rows that all have it.

    Where some training rows lack it, its absence is a value like any other.

    Raises:
        UserError: which column, in how many rows, and the mend.
    """
    from jensen.data.arrays import chunks
    from jensen.models import ConditionalVAE

    if not isinstance(model, ConditionalVAE) or run.schema is None:
        return
    learned = model.contexts.rows.isnan().any(0).tolist()
    for place, known in zip(model.given.tolist(), learned, strict=True):
        lacking = sum(int(dataset.x[rows][:, place].isnan().sum()) for rows in chunks(dataset.x))
        if lacking and not known:
            raise UserError(
                f"{dataset.name}: column {run.schema.modelled[place].name!r} is given to {run.path}, and in "
                f"{lacking} of {len(dataset.x)} rows it is missing or of a category that training had not; "
                "give it there, or leave those rows out"
            )


def check_kept(out: Path, *sources: str) -> None:
    """Refuse to write over data that were given, or into a folder from which all is read.

    Args:
        out: the file to write.
        sources: of data, as users name them.

    Raises:
        UserError: ``out`` is the file of one of them, or is or would be one of the files in its folder.
    """
    from jensen.data.sources import is_of

    for source in filter(lambda source: is_of(source, out), sources):
        if out.exists():
            raise UserError(f"{out} holds the data themselves, and would be lost; give another path with -o")
        raise UserError(
            f"{out} would be read with the data, which are all such files in {source}; give another path "
            "with -o"
        )


class RowNames:
    """The names of rows, which go beside what is written of them.

    Args:
        dataset: whose rows are written, in their order.
        taken: names of the other columns; if the names of the rows are called like one, they are left out.
    """

    def __init__(self, dataset: "Dataset", taken: Sequence[str]) -> None:
        self.called = dataset.names_are
        self.names = () if self.called in taken else dataset.names
        self.start = 0
        if dataset.names and not self.names:
            say(f"the column {self.called!r}, which names the rows, is left out: another column is called so")

    def next(self, count: int) -> dict[str, Sequence[str]]:
        """Those of the next rows, as columns of text (see `jensen.data.row_writer`)."""
        self.start += count
        return {self.called: self.names[self.start - count : self.start]} if self.names else {}
