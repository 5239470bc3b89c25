"""jensen reconstruct RUN DATA -o FILE: each row as the model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from jensen.cli.common import RowsOptions, rows_for, say
from jensen.config.parse import parse


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(RowsOptions):
    """Write E[x | z] at z = E[z | x] for each row, in the units of the data as given."""


def main(arguments: Sequence[str]) -> None:
    """Parse, encode, decode, write."""
    options = parse(ReconstructOptions, arguments, "jensen reconstruct")
    from jensen.data import check_suffix, write_rows
    from jensen.evaluation import encode, reconstruct
    from jensen.run import Run, choose_device

    run = Run.open(options.run)
    device = choose_device(options.device)
    model = run.model(device)
    check_suffix(options.out, run.event_shape)
    dataset = rows_for(run, options)
    latents = encode(model, run.blocks(dataset, "all"))
    x = reconstruct(model.decoder, latents.mean.to(device))
    given = run.preparation.invert(x, mean=True)
    write_rows(options.out, given.numpy(), value_range=run.preparation.shown_range)
    say(f"{options.out}: {len(given)} reconstructions by {options.run}")
