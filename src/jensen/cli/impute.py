"""jensen impute RUN DATA -o FILE: the missing cells of a table, filled."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.cli.common import RowsOptions, check_kept, print_json, rows_for, say
from jensen.config.parse import parse
from jensen.errors import UserError, check_options
from jensen.progress import parts, told_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from jensen.data.tables.schema import Schema
    from jensen.models import VAE


@dataclass(frozen=True, kw_only=True)
class ImputeOptions(RowsOptions):
    """Fill the missing cells of a table, given the others.

    A number becomes its posterior mean, a category its likeliest level. Observed cells come back as they
    were, character for character. What a conditional run takes as given it cannot fill.
    """

    draws: int | None = None
    """For multiple imputation: write so many completed tables, FILE-1, FILE-2, ..., each with the missing
    cells drawn from the posterior, so that their spread shows what is not known."""
    num_samples: int = 200
    """Importance samples of each row, K."""
    seed: int = 0
    """Seed of all draws."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        """Refuse counts below one."""
        check_options(self, "num_samples draws", lambda v: v >= 1, "at least 1")
        check_options(self, "seed", lambda v: v >= 0, "0 or more")


def main(arguments: Sequence[str]) -> None:
    """Parse, fill, write."""
    options = parse(ImputeOptions, arguments, "jensen impute")
    from jensen.data.tables.filling import check_fillable, fill_file
    from jensen.data.words import count
    from jensen.run import Run
    from jensen.training.device import choose_device

    run = Run.open(options.run)
    if run.schema is None or run.settings.likelihood != "columns":
        raise UserError(
            f"{run.path} is not the run of a table with --likelihood columns, and nothing else can have "
            "missing cells; train one: jensen train TABLE"
        )
    outs = outs_of(options)
    for out in outs:
        check_kept(out, options.data, run.settings.data)
    device = choose_device(options.device)
    model = run.model(device)
    check_fillable(Path(options.data), options.out)
    dataset = rows_for(run, model, options)
    missing = Missing(run.places_given)
    with parts() as begin:
        told = begin("imputing rows", len(dataset.x))
        blocks = (missing.count(x).to(device) for x in told_of(run.blocks(dataset, "all"), told))
        filled = filled_blocks(model, blocks, run.schema, options)
        done = fill_file(Path(options.data), outs, filled, run.schema)
    unknown = missing.cells + done.constant - done.cells
    for sentence in _left_as_is(run.settings.condition, missing.given, unknown, done.left):
        say(f"{options.data}: {sentence}, left as is")
    how = (
        "filled, posterior means and likeliest levels"
        if options.draws is None
        else "drawn from the posterior"
    )
    if options.json:
        kept = {"given": missing.given, "unknown": unknown, **done.left}
        named = {"run": str(options.run), "out": [str(out) for out in outs]}
        print_json(named | {"cells": done.cells, "rows": done.rows, "left": kept})
    for out in outs:
        say(f"{out}: {count(done.cells, 'missing cell')} in {count(done.rows, 'row')} {how}")


def _left_as_is(
    names: Sequence[str], given: int, unknown: int, not_modelled: Mapping[str, int]
) -> Iterator[str]:
    """Which cells were not filled and why: so many of each kind, of the columns ``names`` that are given."""
    from jensen.data.words import count

    if given:
        yield f"{count(given, 'missing cell')} of {', '.join(names)}, which are given"
    if unknown:
        yield f"{count(unknown, 'cell')} of categories that training had not"
    for name, cells in not_modelled.items():
        if cells:
            yield f"{count(cells, 'missing cell')} of {name}, which is not modelled"


def filled_blocks(
    model: "VAE", blocks: "Iterable[Tensor]", schema: "Schema", options: ImputeOptions
) -> "Iterator[np.ndarray[Any, Any]]":
    """The completed tables ``[T, B, C]`` of each block of rows: one, or as many as are drawn."""
    import torch

    from jensen.evaluation.impute import draw_blocks, impute_blocks

    spent = {"num_samples": options.num_samples, "seed": options.seed}
    if options.draws is not None:
        return (x.numpy() for x in draw_blocks([model], blocks, options.draws, **spent))
    discrete = torch.tensor([not column.numeric for column in schema.modelled])
    return (x[None].numpy() for x in impute_blocks([model], blocks, discrete, **spent))


def outs_of(options: ImputeOptions) -> list[Path]:
    """The files to write: the one that is named, or one for each draw."""
    from jensen.data.tables.read import suffix_of

    if options.draws is None:
        return [options.out]
    ending = suffix_of(options.out) or ""
    name = options.out.name.removesuffix(ending)
    return [options.out.with_name(f"{name}-{number}{ending}") for number in range(1, options.draws + 1)]


class Missing:
    """How many cells of the blocks that have passed are missing, or of unknown categories.

    Args:
        places_given: the columns that a conditional model is given, which are counted apart.
    """

    def __init__(self, places_given: Sequence[int]) -> None:
        self.places_given = list(places_given)
        self.cells = self.given = 0

    def count(self, x: "Tensor") -> "Tensor":
        """Count a block ``[B, C]``, and give it back."""
        missing = x.isnan()
        self.given += int(missing[:, self.places_given].sum())
        missing[:, self.places_given] = False
        self.cells += int(missing.sum())
        return x
