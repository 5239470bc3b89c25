"""jensen evaluate RUN: bounds on log p(x), each with its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jensen._version import __version__
from jensen.cli.common import RunOptions, check_kept, print_json, say
from jensen.config.evaluation import EvaluationSettings
from jensen.config.parse import parse
from jensen.progress import parts

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.data import Dataset
    from jensen.figures.lines import Line


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(EvaluationSettings, RunOptions):
    """Bounds on log p(x) of a run's model, in nats per datum of the data as given; larger is better."""

    data_dir: Path | None = None
    """Folder of the named data sets."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Also write the bounds of each row, to compare models row by row; the suffix decides the format."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Sequence[str]) -> None:
    """Parse, evaluate, print the table."""
    options = parse(EvaluateOptions, arguments, "jensen evaluate")
    from jensen.data import check_suffix
    from jensen.figures import evaluate_run
    from jensen.run import Run

    run = Run.open(options.run)
    if options.out is not None:
        check_suffix(options.out, (1,))
        check_kept(options.out, run.settings.data)
    dataset = run.dataset(options.data_dir)

    def on_rows(values: "dict[str, Tensor]") -> None:
        if options.out is not None:
            write_bounds(options.out, dataset, options.split, values)

    with parts() as begin:
        figures = evaluate_run(run, dataset, options, device=options.device, begin=begin, on_rows=on_rows)
    if options.json:
        print_json({"run": str(run.path), "jensen": __version__, "seed": run.settings.seed} | figures)
    else:
        print(table(run.path, figures))


def write_bounds(path: Path, dataset: "Dataset", split: str, values: "dict[str, Tensor]") -> None:
    """A line for each row of the split: its number among the data, its name if any, its bounds in nats."""
    import torch

    from jensen.data import row_writer

    numbers = dataset.numbers(split)[: len(values["elbo"])].tolist()
    beside = {"row": [str(number) for number in numbers]}
    if dataset.names and dataset.names_are not in {*beside, *values}:
        beside[dataset.names_are] = [dataset.names[number] for number in numbers]
    with row_writer(path, list(values)) as write:
        write(torch.stack(list(values.values()), 1).numpy(force=True), beside)
    say(f"{path}: the bounds of {len(numbers):,} {split} rows, nats")


def table(path: Path, figures: dict[str, Any]) -> str:
    """The figures as text: a line each, with sign, unit and estimator."""
    from jensen.data.words import count
    from jensen.figures.lines import lines

    return "\n".join(
        [
            f"{path}: {count(figures['n'], figures['split'] + ' row')}; nats per datum of the data as given, "
            f"+/- one standard error over the rows{note(figures)}",
            "",
            *map(as_text, lines(figures)),
            "",
            *_remarks(figures),
        ]
    )


def as_text(line: "Line") -> str:
    """A line of the table. One row says nothing of its error: that is a question mark."""
    title = "  " + line.name if line.kind.part else line.name
    value, error = (f"{number:.{line.digits}f}" for number in (line.value, line.standard_error))
    error = error if math.isfinite(line.standard_error) else "?"
    better = "" if line.kind.unit == "nats" else f"; {line.kind.better} is better"
    rows = "" if line.rows is None else f" ({line.rows:,} rows)"
    return f"  {title:<18}{value:>10} +/- {error:<7}{line.how}{better}{rows}"


def _remarks(figures: dict[str, Any]) -> list[str]:
    """What the figures rest on, and what they say of the latents."""
    from jensen.figures.lines import cautions

    k, ess = figures["iwae"]["num_samples"], figures["iwae"]["effective_sample_size"]
    latents = figures["latents"]
    dimensions = latents["active"] + latents["collapsed"]
    lines = []
    if math.isfinite(ess):
        lines.append(f"effective sample size of IWAE: {ess:.1f} of {k:,} (mean over rows)")
    if "bdmc" in figures:
        found = figures["bdmc"]
        lower, upper, gap = (found[name] for name in ("lower", "upper", "gap"))
        between = f"between {lower['value']:.2f} and {upper['value']:.2f}"
        if gap["value"] < 0:  # each is a bound in expectation only
            between = (
                f"{lower['value']:.2f} from below and {upper['value']:.2f} from above, equal but for noise"
            )
        lines.append(
            f"BDMC on {found['n']} simulated data: log p(x) {between}, "
            f"gap {gap['value']:.2f} +/- {gap['standard_error']:.2f}"
        )
    lines += [f"caution: {caution}" for caution in cautions(figures)]
    lines.append(
        f"latent dimensions: {latents['active']} active, {latents['collapsed']} collapsed of {dimensions}"
    )
    if latents["rate_per_dimension"] is not None:
        rates = sorted(enumerate(latents["rate_per_dimension"]), key=lambda pair: -pair[1])
        shown = ", ".join(f"z{i} {rate:.2f}" for i, rate in rates[:10]) + (", ..." if len(rates) > 10 else "")
        lines.append(f"rate of each dimension, nats: {shown}")
    if "aggregate" in figures:
        found = figures["aggregate"]
        information, mismatch = found["mutual_information"], found["marginal_kl"]
        lines += [
            f"information I(x; z): {information['value']:.2f} or more, of at most {found['log_n']:.2f} nats "
            f"(log N); KL of the aggregate posterior from the prior: {mismatch['value']:.2f} or less; "
            f"MMD test p = {found['mmd_p_value']:.3f}",
            f"verdict: {found['verdict']}: {found['advice']}",
        ]
    lines += [f"not measured: {name} ({why})" for name, why in figures["not_measured"].items()]
    return [f"  {line}" for line in lines]


def note(figures: dict[str, Any]) -> str:
    """How the data were made binary or continuous, and what is given: figures compare only with such."""
    from jensen.figures.lines import stands_for

    parts = []
    if stands_for(figures):
        parts.append(f"p(x) stands for {stands_for(figures)}")
    if figures["binarize"] != "none":
        parts.append(f"{figures['binarize']} binarization")
    if figures["dequantize"]:
        parts.append("uniform dequantization")
    return "; " + ", ".join(parts) if parts else ""
