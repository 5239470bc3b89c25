"""jensen evaluate RUN: bounds on log p(x), each with its standard error."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jensen.cli.common import RunOptions, print_json
from jensen.config.evaluation import EvaluationSettings
from jensen.config.parse import parse
from jensen.progress import bar


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(EvaluationSettings, RunOptions):
    """Bounds on log p(x) of a run's model, in nats per datum of the data as given; larger is better."""

    data_dir: Path | None = None
    """Folder of the named data sets."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Sequence[str]) -> None:
    """Parse, evaluate, print the table."""
    options = parse(EvaluateOptions, arguments, "jensen evaluate")
    from jensen.figures import evaluate_run
    from jensen.run import Run

    run = Run.open(options.run)
    dataset = run.dataset(options.data_dir)
    rows = min(len(dataset.splits[options.split]), options.limit or sys.maxsize)
    with bar("evaluating", rows) as on_rows:
        figures = evaluate_run(run, dataset, options, device=options.device, on_rows=on_rows)
    if options.json:
        print_json(figures)
    else:
        print(table(run.path, figures))


def table(path: Path, figures: dict[str, Any]) -> str:
    """The figures as text: a line each, with sign, unit and estimator."""
    from jensen.data.words import count

    lines = [
        f"{path}: {count(figures['n'], figures['split'] + ' row')}; nats per datum of the data as given, "
        f"+/- one standard error over the rows{note(figures)}",
        "",
        *(
            _line(title, figures[key], meaning, figures["n"])
            for title, key, meaning in _rows(figures)
            if _is_there(figures, key)
        ),
        "",
        *_remarks(figures),
    ]
    return "\n".join(lines)


def _rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Title, key and meaning of every line that the table can have."""
    k = figures["iwae"]["num_samples"]
    kl = "closed form" if figures["rate"]["exact"] else f"Monte Carlo, K = {k}"
    annealed = figures.get("ais", {})
    chains, temperatures = annealed.get("chains"), annealed.get("temperatures")
    steps = figures.get("refined", {}).get("steps")
    best = figures.get("approximation_gap", {}).get("best")
    return [
        ("ELBO", "elbo", "= -(distortion + rate), a lower bound on log p(x)"),
        ("  distortion", "distortion", f"-E_q log p(x|z), K = {k}"),
        ("  rate", "rate", f"KL(q(z|x) || p(z)), {kl}"),
        ("refined ELBO", "refined", f"max_w ELBO of each row, {steps} steps from the encoder"),
        (f"IWAE, K = {k}", "iwae", "importance-weighted lower bound on log p(x)"),
        ("AIS", "ais", f"log p(x) by {chains} annealed chains of {temperatures} temperatures"),
        ("bits/dim", "bits_per_dimension", "-IWAE / (D log 2); smaller is better"),
        (
            "amortization gap",
            "amortization_gap",
            "refined ELBO - ELBO, same rows: what one encoder for all loses",
        ),
        (
            "approximation gap",
            "approximation_gap",
            f"{best} - refined ELBO, same rows: the family loses at least this",
        ),
    ]


def _is_there(figures: dict[str, Any], key: str) -> bool:
    """Whether a figure was measured; a point posterior, without density, has a distortion alone."""
    return key in figures and not math.isnan(figures[key]["value"])


def _line(title: str, figure: dict[str, Any], meaning: str, n: int) -> str:
    """A line of the table; it says on how many rows it rests where these are not all ``n``.

    One row says nothing of its error: that is a question mark.
    """
    digits = 3 if title == "bits/dim" else 2
    value, error = f"{figure['value']:.{digits}f}", f"{figure['standard_error']:.{digits}f}"
    error = error if math.isfinite(figure["standard_error"]) else "?"
    rows = f" ({figure['n']:,} rows)" if figure.get("n", n) != n else ""
    return f"  {title:<18}{value:>10} +/- {error:<7}{meaning}{rows}"


def _remarks(figures: dict[str, Any]) -> list[str]:
    """What the figures rest on, and what they say of the latents."""
    k, ess = figures["iwae"]["num_samples"], figures["iwae"]["effective_sample_size"]
    latents = figures["latents"]
    dimensions = latents["active"] + latents["collapsed"]
    lines = []
    if math.isfinite(ess):
        lines.append(f"effective sample size of IWAE: {ess:.1f} of {k} (mean over rows)")
    if "bdmc" in figures:
        found = figures["bdmc"]
        lower, upper, gap = (found[name] for name in ("lower", "upper", "gap"))
        lines.append(
            f"BDMC on {found['n']} simulated data: log p(x) between {lower['value']:.2f} and "
            f"{upper['value']:.2f}, gap {gap['value']:.2f} +/- {gap['standard_error']:.2f}"
        )
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
    parts = []
    if "condition" in figures:
        parts.append(f"p(x) stands for p(x | {', '.join(figures['condition'])})")
    if figures["binarize"] != "none":
        parts.append(f"{figures['binarize']} binarization")
    if figures["dequantize"]:
        parts.append("uniform dequantization")
    return "; " + ", ".join(parts) if parts else ""
