"""jensen encode RUN DATA -o FILE: the posterior of each row."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from jensen.cli.common import RowNames, RowsOptions, rows_for, say
from jensen.config.parse import parse


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(RowsOptions):
    """Write posterior means and standard deviations, columns z0.. and z0_sd.., a line for each row.

    Before them stands what tells the rows apart: the file of an image, or the column of a table that does.
    """


def main(arguments: Sequence[str]) -> None:
    """Parse, encode, write."""
    options = parse(EncodeOptions, arguments, "jensen encode")
    import torch

    from jensen.data import check_suffix, row_writer
    from jensen.data.words import count
    from jensen.evaluation.latents import encode_blocks
    from jensen.run import Run
    from jensen.training.device import choose_device

    run = Run.open(options.run)
    device = choose_device(options.device)
    model = run.model(device)
    check_suffix(options.out, (1,))
    dataset = rows_for(run, model, options)
    blocks = (x.to(device) for x in run.blocks(dataset, "all", alike=True))
    parts = encode_blocks(model, blocks)
    first = next(parts)
    numbers = range(first.mean.shape[1])
    point = run.settings.posterior == "point"  # without a spread
    names = [f"z{i}" for i in numbers] + [f"z{i}_sd" for i in numbers if not point]
    beside = RowNames(dataset, names)
    with row_writer(options.out, names) as write:
        for latents in itertools.chain([first], parts):
            rows = latents.mean if point else torch.cat([latents.mean, latents.standard_deviation], 1)
            write(rows.numpy(), beside.next(len(rows)))
    kind = "points" if point else "posterior mean and standard deviation"
    what = f"{kind} of {count(len(numbers), 'dimension')}"
    say(f"{options.out}: {count(len(dataset.x), 'row')}, {what}")
