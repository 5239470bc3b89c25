"""jensen evaluate RUN: bounds on log p(x), each with its standard error."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jensen.cli.common import RunOptions, print_json
from jensen.config.parse import parse
from jensen.errors import UserError


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(RunOptions):
    """Bounds on log p(x) of a run's model, in nats per datum of the data as given; larger is better."""

    split: Literal["train", "validation", "test"] = "test"
    """Which rows."""
    num_samples: int = 1000
    """Posterior samples per datum, K, of the importance-weighted bound."""
    limit: int | None = None
    """Only the first so many rows of the split."""
    seed: int = 0
    """Seed of the posterior samples."""
    data_dir: Path | None = None
    """Folder of the named data sets."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        """Refuse counts below one."""
        for name in ("num_samples", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
        if self.seed < 0:
            raise UserError(f"--seed is {self.seed}; it must be 0 or more")


def main(arguments: Sequence[str]) -> None:
    """Parse, evaluate, print the table."""
    options = parse(EvaluateOptions, arguments, "jensen evaluate")
    from jensen.figures import evaluate_run
    from jensen.run import Run

    run = Run.open(options.run)
    dataset = run.dataset(options.data_dir)
    rows = min(len(dataset.splits[options.split]), options.limit or sys.maxsize)
    with progress(rows) as on_rows:
        figures = evaluate_run(
            run,
            dataset,
            split=options.split,
            num_samples=options.num_samples,
            limit=options.limit,
            seed=options.seed,
            device=options.device,
            on_rows=on_rows,
        )
    if options.json:
        print_json(figures)
    else:
        print(table(run.path, figures))


def table(path: Path, figures: dict[str, Any]) -> str:
    """The figures as text: a line each, with sign, unit and estimator."""
    k = figures["iwae"]["num_samples"]
    kl = "closed form" if figures["rate"]["exact"] else f"Monte Carlo, K = {k}"
    rows = [
        ("ELBO", "elbo", "= -(distortion + rate), a bound on log p(x)"),
        ("  distortion", "distortion", f"-E_q log p(x|z), K = {k}"),
        ("  rate", "rate", f"KL(q(z|x) || p(z)), {kl}"),
        (f"IWAE, K = {k}", "iwae", "importance-weighted bound on log p(x), tighter than the ELBO"),
    ]
    if "bits_per_dimension" in figures:
        rows.append(("bits/dim", "bits_per_dimension", "-IWAE / (D log 2); smaller is better"))
    lines = [
        f"{path}: {figures['n']:,} {figures['split']} rows; nats per datum of the data as given, "
        f"+/- one standard error over the rows{note(figures)}",
        "",
    ]
    for title, key, meaning in rows:
        f = figures[key]
        digits = 3 if key == "bits_per_dimension" else 2
        value, error = f"{f['value']:.{digits}f}", f"{f['standard_error']:.{digits}f}"
        lines.append(f"  {title:<16}{value:>12} +/- {error:<8}{meaning}")
    ess = figures["iwae"]["effective_sample_size"]
    latents = figures["latents"]
    lines += [
        "",
        f"  effective sample size: {ess:.1f} of {k} (mean over rows)",
        f"  latent dimensions: {latents['active']} active, {latents['collapsed']} collapsed of "
        f"{latents['active'] + latents['collapsed']}",
    ]
    if latents["rate_per_dimension"] is not None:
        rates = sorted(latents["rate_per_dimension"], reverse=True)
        shown = " ".join(f"{rate:.2f}" for rate in rates[:12]) + (" ..." if len(rates) > 12 else "")
        lines.append(f"  rate per dimension, nats: {shown}")
    return "\n".join(lines)


def note(figures: dict[str, Any]) -> str:
    """How the data were made binary or continuous, without which the figures compare with nothing."""
    parts = []
    if figures["binarize"] != "none":
        parts.append(f"{figures['binarize']} binarization")
    if figures["dequantize"]:
        parts.append("uniform dequantization")
    return "; " + ", ".join(parts) if parts else ""


@contextmanager
def progress(rows: int) -> Iterator[Callable[[int], None]]:
    """A bar of rows on a terminal, nothing elsewhere; on standard error."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("evaluating", total=rows)
        yield lambda done: bar.advance(task, done)
