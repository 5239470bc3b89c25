"""jensen reconstruct RUN DATA -o FILE: each row as the model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from jensen.cli.common import RowsOptions, rows_for, say
from jensen.cli.writing import check_data_suffix, data_writer
from jensen.config.parse import parse


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
    with data_writer(run, options.out, mean=True, dataset=dataset) as write:
        for x in blocks:
            z = encode(model, [x]).mean.to(device)
            write(reconstruct(model.decoder, z, context=model.context_of(x)))
    say(f"{options.out}: {count(len(dataset.x), 'reconstruction')} by {options.run}")
