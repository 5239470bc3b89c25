"""jensen encode RUN DATA -o FILE: the posterior of each row."""

from collections.abc import Sequence
from dataclasses import dataclass

from jensen.cli.common import RowsOptions, rows_for, say
from jensen.config.parse import parse


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(RowsOptions):
    """Write posterior means and standard deviations, columns z0.. and z0_sd.., a line for each row."""


def main(arguments: Sequence[str]) -> None:
    """Parse, encode, write."""
    options = parse(EncodeOptions, arguments, "jensen encode")
    import torch

    from jensen.data import check_suffix, write_rows
    from jensen.evaluation import encode
    from jensen.evaluation.compiled import compiled
    from jensen.run import Run, choose_device

    run = Run.open(options.run)
    model = run.model(choose_device(options.device))
    check_suffix(options.out, (1,))
    dataset = rows_for(run, options)
    # Compiled models decode when they are asked for log p(x | z): here never.
    latents = encode(compiled(model), run.blocks(dataset, "all"))
    numbers = range(latents.mean.shape[1])
    names = [f"z{i}" for i in numbers] + [f"z{i}_sd" for i in numbers]
    table = torch.cat([latents.mean, latents.standard_deviation], 1)
    write_rows(options.out, table.numpy(), names)
    what = f"posterior mean and standard deviation of {len(numbers)} dimensions"
    say(f"{options.out}: {len(table)} rows, {what}")
