"""jensen sample RUN -n N -o FILE: new data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jensen.cli.common import RunOptions, check_data_suffix, say, write_data
from jensen.config.parse import parse
from jensen.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SampleOptions(RunOptions):
    """Draw new data: z from the prior, x from the decoder, noise included."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write: .png (images), .csv, .parquet, .npy or .npz by its suffix."""
    num: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 64
    """How many."""
    mean: bool = False
    """Write E[x | z] in place of a draw: smoother to look at, but no sample of p(x)."""
    seed: int = 0
    """Seed of the draws."""


def main(arguments: Sequence[str]) -> None:
    """Parse, draw, write."""
    options = parse(SampleOptions, arguments, "jensen sample")
    if options.num < 1:
        raise UserError(f"-n is {options.num}; it must be at least 1")
    if options.seed < 0:
        raise UserError(f"--seed is {options.seed}; it must be 0 or more")
    from jensen.evaluation import sample
    from jensen.run import Run, choose_device

    run = Run.open(options.run)
    model = run.model(choose_device(options.device))
    check_data_suffix(run, options.out)
    x = sample(model, options.num, mean=options.mean, seed=options.seed)
    write_data(run, options.out, x, mean=options.mean)
    kind = "decoder means" if options.mean else "samples"
    say(f"{options.out}: {options.num} {kind} of {options.run}")
