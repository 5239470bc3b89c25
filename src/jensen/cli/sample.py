"""jensen sample RUN -n N -o FILE: new data."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jensen.cli.common import RunOptions, check_kept, print_json, say
from jensen.cli.writing import check_data_suffix, data_writer
from jensen.config.parse import parse
from jensen.errors import UserError, check_options
from jensen.files import check_space
from jensen.progress import parts, told_of

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.models import VAE
    from jensen.run import Run


@dataclass(frozen=True, kw_only=True)
class SampleOptions(RunOptions):
    """Draw new data: z from the prior, x from the decoder, noise included."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write, by its suffix: of a table .csv, .tsv (also .gz), .parquet or .arrow; of what is none
    .csv, .parquet, .npy, .npz or, of images, .png."""
    num: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 64
    """How many."""
    mean: bool = False
    """Write E[x | z] in place of a draw: smoother to look at, but no sample of p(x)."""
    where: str | None = None
    """Only rows that meet a condition, such as "education = Masters and age > 40": comparisons (= != < <= >
    >=, in (A, B)) joined by `and`. For tables; drawn without rejection, and how likely the condition is,
    said. In a run conditional on labels: "label = NAME", "batch = B2". In a conditional run, what it asks of
    the given columns chooses them from the training rows (or is taken as it is where it leaves one value to
    each and no row has them)."""
    seed: int = 0
    """Seed of the draws."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        """Refuse a count below one and a seed below 0."""
        if self.num < 1:
            raise UserError(f"-n is {self.num}; it must be at least 1")
        check_options(self, "seed", lambda v: v >= 0, "0 or more")


def main(arguments: Sequence[str]) -> None:
    """Parse, draw, write."""
    options = parse(SampleOptions, arguments, "jensen sample")
    from jensen.evaluation import sample_blocks
    from jensen.run import Run
    from jensen.training.device import choose_device

    run = Run.open(options.run)
    model = run.model(choose_device(options.device))
    check_data_suffix(run, options.out)
    check_kept(options.out, run.settings.data)
    check_space(options.out, options.num * math.prod(run.event_shape))  # a byte for each number, at least
    if run.settings.bound == "reconstruction":
        say("training did not use the prior (--bound reconstruction): draws from it may be unlike the data")
    if options.where is not None:
        x, figures = _where(run, model, options)
        _write(run, [x], options)
        _report(options, {"where": options.where, **figures})
        return
    _write(run, sample_blocks(model, options.num, mean=options.mean, seed=options.seed), options)
    given = ", ".join(run.settings.condition)
    say(
        f"{options.out}: {_kind(options)} of {options.run}"
        + (f", for the {given} of training rows (--where chooses)" if given else "")
        + _speckle(run, options)
    )
    _report(options, {})


def _report(options: SampleOptions, figures: dict[str, Any]) -> None:
    """What was drawn, and how likely its condition is, as JSON where that is asked for."""
    if options.json:
        print_json({"run": str(options.run), "out": str(options.out), "n": options.num, **figures})


def _kind(options: SampleOptions) -> str:
    from jensen.data.words import count

    return count(options.num, "decoder mean" if options.mean else "sample")


def _write(run: "Run", blocks: "Iterable[Tensor]", options: SampleOptions) -> None:
    with parts() as begin, data_writer(run, options.out, mean=options.mean) as write:
        for x in told_of(blocks, begin("drawing rows", options.num)):
            write(x)


def _speckle(run: "Run", options: SampleOptions) -> str:
    """Why pictures drawn from a density are speckled, and how to be rid of it; nothing for others."""
    noisy = options.out.suffix.lower() == ".png" and run.preparation.support in ("real", "unit")
    return "; true draws, noise included (--mean for decoder means)" if noisy and not options.mean else ""


def _where(run: "Run", model: "VAE", options: SampleOptions) -> "tuple[Tensor, dict[str, Any]]":
    """Rows that meet the condition, and its figures; what they rest on is said."""
    from jensen.data.tables.where import parse_where
    from jensen.data.words import count
    from jensen.evaluation.conditions import sample_where
    from jensen.evaluation.contexts import split_conditions

    labels = run.preparation.labels
    modelled: list[Any] = []
    if labels is not None:
        given = parse_where(options.where or "", labels.schema)
    elif run.schema is not None and run.settings.likelihood == "columns":
        conditions = parse_where(options.where or "", run.schema)
        given, modelled = split_conditions(conditions, run.places_given, len(run.schema.modelled))
    else:
        raise UserError(
            f"--where is for tables and for runs with --condition, and {run.path} is neither (or not "
            "with --likelihood columns); leave it out"
        )
    contexts = _contexts(run, model, given, options)
    if not modelled and contexts is not None:
        return _under(run, model, contexts, options), {}
    if options.mean:
        raise UserError("--where draws rows, and --mean writes none that was drawn; leave one of them out")
    drawn = sample_where(model, options.num, modelled, contexts=contexts, seed=options.seed)
    say(
        f"{options.out}: {count(options.num, 'sample')} of {run.path} where {options.where}; under the model "
        f"that has {drawn.kind} {drawn.probability:.3g} +/- {drawn.standard_error:.1g}"
        + (f" given {', '.join(run.settings.condition)}" if contexts is not None else "")
    )
    size = drawn.effective_sample_size
    say(f"effective sample size {size:,.0f}: so many different latents, of {drawn.proposed:,} proposed")
    if size < options.num:
        say(f"fewer than the {options.num:,} rows: rows that share a latent resemble each other")
    figure = {"value": drawn.probability, "standard_error": drawn.standard_error}
    return drawn.x, {drawn.kind: figure, "effective_sample_size": size, "proposed": drawn.proposed}


def _contexts(run: "Run", model: "VAE", given: list[Any], options: SampleOptions) -> "Tensor | None":
    """The contexts that a conditional model samples under, and how many there are, said; else None."""
    from jensen.evaluation.contexts import choose_contexts
    from jensen.models import ConditionalVAE

    if not isinstance(model, ConditionalVAE):
        return None
    remembered = model.contexts.rows
    chosen = choose_contexts(remembered, given, options.where or "")
    names, seen = ", ".join(run.settings.condition), f"{len(remembered):,} training rows"
    if given and len(chosen) == 1 and not bool((remembered == chosen).all(1).any()):
        say(f"{names}: none of {seen} has these values; the model has not seen what it is asked for")
    else:
        say(f"{names}: as in {len(chosen):,} of {seen}")
    return chosen


def _under(run: "Run", model: "VAE", contexts: "Tensor", options: SampleOptions) -> "Tensor":
    """Rows, or decoder means, for contexts drawn from those given."""
    import torch

    from jensen.data import generator
    from jensen.evaluation import sample

    picks = torch.randint(len(contexts), (options.num,), generator=generator(options.seed, "contexts"))
    context = contexts[picks.to(contexts.device)]
    x = sample(model, options.num, context=context, mean=options.mean, seed=options.seed)
    say(f"{options.out}: {_kind(options)} of {options.run} where {options.where}{_speckle(run, options)}")
    return x
