"""jensen reconstruct RUN DATA -o FILE: each row as the model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from jensen.cli.common import RowsOptions, check_data_suffix, rows_for, say, write_data
from jensen.config.parse import parse


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(RowsOptions):
    """Write E[x | z] at z = E[z | x] for each row, in the units of the data as given."""


def main(arguments: Sequence[str]) -> None:
    """Parse, encode, decode, write."""
    options = parse(ReconstructOptions, arguments, "jensen reconstruct")
    from jensen.evaluation import encode, reconstruct
    from jensen.run import Run, choose_device

    run = Run.open(options.run)
    device = choose_device(options.device)
    model = run.model(device)
    check_data_suffix(run, options.out)
    dataset = rows_for(run, model, options)
    latents = encode(model, run.blocks(dataset, "all"))
    x = reconstruct(model.decoder, latents.mean.to(device), context=model.context_of(dataset.x))
    write_data(run, options.out, x, mean=True)
    say(f"{options.out}: {len(x)} reconstructions by {options.run}")
