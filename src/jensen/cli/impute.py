"""jensen impute RUN DATA -o FILE: the missing cells of a table, filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jensen.cli.common import RowsOptions, rows_for, say
from jensen.config.parse import parse
from jensen.errors import UserError, check_options


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

    def __post_init__(self) -> None:
        """Refuse counts below one."""
        check_options(self, "num_samples draws", lambda v: v >= 1, "at least 1")
        check_options(self, "seed", lambda v: v >= 0, "0 or more")


def main(arguments: Sequence[str]) -> None:
    """Parse, fill, write."""
    options = parse(ImputeOptions, arguments, "jensen impute")
    import torch

    from jensen.data.tables.filling import check_fillable, fill_file
    from jensen.data.tables.read import suffix_of
    from jensen.evaluation.impute import impute, impute_draws
    from jensen.run import Run, choose_device

    run = Run.open(options.run)
    if run.schema is None or run.settings.likelihood != "columns":
        raise UserError(
            f"{run.path} is not the run of a table with --likelihood columns, and nothing else can have "
            "missing cells; train one: jensen train TABLE"
        )
    device = choose_device(options.device)
    model = run.model(device)
    check_fillable(Path(options.data), options.out)
    dataset = rows_for(run, model, options)
    missing = dataset.x.isnan()
    if run.places_given and bool(left := int(missing[:, run.places_given].sum())):
        given = ", ".join(run.settings.condition)
        say(f"{options.data}: {left} missing cells of {given}, which are given, stay so")
        missing[:, run.places_given] = False
    blocks = (x.to(device) for x in run.blocks(dataset, "all"))
    if options.draws is None:
        discrete = torch.tensor([not column.numeric for column in run.schema.modelled])
        x = impute(model, blocks, discrete, num_samples=options.num_samples, seed=options.seed)
        fill_file(Path(options.data), options.out, x.numpy(), run.schema)
        how = "posterior means and likeliest levels"
        say(f"{options.out}: {int(missing.sum())} missing cells in {_rows(missing)} rows filled, {how}")
        return
    tables = impute_draws(model, blocks, options.draws, num_samples=options.num_samples, seed=options.seed)
    for number, x in enumerate(tables, 1):
        ending = suffix_of(options.out) or ""
        out = options.out.with_name(f"{options.out.name[: -len(ending)]}-{number}{ending}")
        fill_file(Path(options.data), out, x.numpy(), run.schema)
        say(f"{out}: {int(missing.sum())} missing cells in {_rows(missing)} rows drawn from the posterior")


def _rows(missing: "object") -> int:
    return int(missing.any(1).sum())  # type: ignore[attr-defined]
