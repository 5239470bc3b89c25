"""The amortization and approximation gaps of VAEs on MNIST, beside those of Cremer, Li & Duvenaud (2018).

    python benchmarks/gaps.py                              # train both models, then measure: about an hour
    python benchmarks/gaps.py --run runs/gaps/diagonal     # measure existing runs
    python benchmarks/gaps.py --report-only                # the tables again, from the stored JSON

Models: 784-200-200-50-200-200-784, ELU, Bernoulli decoder, dynamic binarization, KL warm-up; theirs are
trained for thousands of epochs. In nats, with paired standard errors, on the first test images and on as many
training images (theirs are training images, by their published code):

    amortization gap  = refined ELBO - ELBO            what one encoder for all data costs
    approximation gap = log p(x) - refined ELBO        what the posterior family costs

Refining maximises the ELBO over each image's own posterior parameters: for the flow, over the normal that it
bends and the numbers that condition it, not over the flow's weights. log p(x) is the better of IWAE and AIS.
BDMC on images drawn from the model bounds the error of AIS from both sides.

Adds to benchmarks/results/gaps.json, a row for each posterior and number of epochs, and to docs/gaps.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from jensen.config import Settings
from jensen.data.seeds import derive_seed
from jensen.evaluation import estimate, importance_weighted
from jensen.evaluation.ais import Start, annealed_importance_sampling
from jensen.evaluation.bdmc import bidirectional
from jensen.models import VAE
from jensen.run import Run
from jensen.session import start
from jensen.training.two_tier import refine

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "gaps.json"
PAGE = ROOT / "docs" / "gaps.md"
BEGIN, END = "<!-- written by benchmarks/gaps.py -->\n", "<!-- end -->\n"
PUBLISHED = {
    "diagonal": {"log_px": -89.80, "approximation_gap": 1.43, "amortization_gap": 1.34},
    "flow": {"log_px": -88.94, "approximation_gap": 1.44, "amortization_gap": 1.41},
}
"""Cremer, Li & Duvenaud 2018, table 2, MNIST: fully factorised Gaussian and flow."""
Result = TypeVar("Result")


def trained(posterior: str, epochs: int, max_time: float, options: argparse.Namespace) -> Run:
    """A run in ``options.out``, trained anew."""
    settings = Settings(
        data="mnist",
        data_dir=options.data_dir,
        binarize="dynamic",
        latent_dim=50,
        hidden=(200, 200),
        activation="elu",
        posterior=posterior,  # type: ignore[arg-type]
        epochs=epochs,
        max_time=max_time,
        batch_size=128,
        lr=1e-3,
        lr_schedule="cosine",
        kl_warmup=min(50, epochs // 2),
        patience=0,
        device="cpu",
        seed=options.seed,
    )

    def report(state: Any) -> None:
        record = state.history[-1]
        print(
            f"{posterior}, epoch {record['epoch']}: bound {record['validation_bound']:.2f}"
            f" on validation rows, {record['seconds']:.0f} s",
            flush=True,
        )

    return start(settings, options.out / posterior, overwrite=True, on_epoch=report)


def timed(seconds: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    """Do the work, note what it took."""
    began = time.perf_counter()
    result = work()
    seconds[name] = round(time.perf_counter() - began, 1)
    print(f"  {name}: {seconds[name]} s", flush=True)
    return result


def per_image(
    model: VAE, x: Tensor, begin: Start, options: argparse.Namespace, seconds: dict[str, float]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Every estimate of each image, ``[B]``, and what else is worth noting."""
    torch.manual_seed(derive_seed(options.seed, "samples"))
    bounds = timed(seconds, "iwae", lambda: importance_weighted(model, x, options.samples))
    # Many samples: with the defaults the choice of the best step costs a tenth of the amortization gap.
    found = timed(
        seconds,
        "refine",
        lambda: refine(model, x, options.steps, num_samples=8, measure_samples=256, seed=options.seed),
    )
    better = importance_weighted(model, x, options.samples, posterior=found.posterior)
    ais = timed(
        seconds,
        "ais",
        lambda: annealed_importance_sampling(
            model,
            x,
            num_temperatures=options.temperatures,
            num_chains=options.chains,
            start=begin,
            seed=options.seed,
        ),
    )
    values = {
        "elbo": bounds["elbo"],
        "refined": better["elbo"],
        "iwae": bounds["iwae"],
        "iwae_refined": better["iwae"],
        "ais": ais.log_px,
    }
    notes = {
        "ais_effective_sample_size": ais.effective_sample_size.mean().item(),
        "ais_acceptance": ais.acceptance.mean().item(),
        "iwae_effective_sample_size": bounds["effective_sample_size"].mean().item(),
    }
    return {name: value.double() for name, value in values.items()}, notes


def gaps_on(
    split: str, run: Run, model: VAE, begin: Start, options: argparse.Namespace, seconds: dict[str, float]
) -> dict[str, Any]:
    """The figures on the first images of a split."""
    x = torch.cat(list(run.blocks(run.dataset(options.data_dir), split, options.images)))
    values, notes = per_image(model, x, begin, options, seconds)
    # The better on average, not for each image: the maximum of two noisy figures would be too large.
    best = max(("iwae", "iwae_refined", "ais"), key=lambda name: values[name].mean().item())
    values["log_px"] = values[best]
    values["amortization_gap"] = values["refined"] - values["elbo"]
    values["approximation_gap"] = values["log_px"] - values["refined"]
    return {
        "figures": {name: estimate(value).to_dict() for name, value in values.items()},
        "log_px_by": best,
        "notes": notes,
    }


def measured(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Every figure of a run."""
    posterior = run.settings.posterior
    begin: Start = "posterior" if posterior == "diagonal" else "fitted"
    print(f"{posterior}: measuring {options.images} images, annealing from the {begin} normal", flush=True)
    model = run.model()
    seconds: dict[str, float] = {}
    found: dict[str, Any] = {
        split: gaps_on(split, run, model, begin, options, seconds) for split in ("test", "train")
    }
    sandwich = timed(
        seconds,
        "bdmc",
        lambda: bidirectional(
            model,
            options.images,
            num_temperatures=options.temperatures,
            num_chains=options.chains,
            start=begin,
            seed=options.seed,
        ),
    ).to_dict()
    last = run.history()[-1]
    return {
        "posterior": posterior,
        **found,
        "bdmc": {name: sandwich[name] for name in ("lower", "upper", "gap", "acceptance")},
        "training": {name: last[name] for name in ("epoch", "seconds", "validation_bound")}
        | {name: getattr(run.settings, name) for name in ("kl_warmup", "batch_size", "lr")},
        "measuring": {
            name: getattr(options, name)
            for name in ("images", "samples", "steps", "temperatures", "chains", "seed")
        },
        "torch": torch.__version__,
        "seconds": seconds,
    }


def tables(results: dict[str, Any]) -> str:
    """Ours beside the published, and the estimates behind the gaps."""

    def cell(figure: dict[str, Any]) -> str:
        return f"{figure['value']:.2f} ± {figure['standard_error']:.2f}"

    lines = ["| posterior | epochs | images | log p(x) | approximation gap | amortization gap |"]
    lines += ["|---|---:|---|---:|---:|---:|"]
    behind = ["| posterior | epochs | images | ELBO | refined ELBO | IWAE | AIS | BDMC gap |"]
    behind += ["|---|---:|---|---:|---:|---:|---:|---:|"]
    names = ("log_px", "approximation_gap", "amortization_gap")
    for posterior, published in PUBLISHED.items():
        figures = " | ".join(f"{published[name]:.2f}" for name in names)
        lines.append(f"| {posterior}, published | 3,280 | train | {figures} |")
        rows = [r for r in results.values() if r["posterior"] == posterior]
        for row in sorted(rows, key=lambda row: row["training"]["epoch"]):
            for split in (split for split in ("train", "test") if split in row):
                f = row[split]["figures"]
                begin = f"| {posterior} | {row['training']['epoch']} | {split} | "
                lines.append(begin + " | ".join(cell(f[name]) for name in names) + " |")
                estimates = [cell(f[name]) for name in ("elbo", "refined", "iwae", "ais")]
                behind.append(begin + " | ".join([*estimates, cell(row["bdmc"]["gap"])]) + " |")
    return "\n".join([*lines, "", *behind, ""])


def write_page(results: dict[str, Any]) -> None:
    """Replace the tables of docs/gaps.md."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(results)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--run", type=Path, action="append", help="measure this run; may be given several times")
    p.add_argument("--posteriors", nargs="+", default=["diagonal", "flow"], help="what to train otherwise")
    p.add_argument("--out", type=Path, default=Path("runs") / "gaps", help="folder of the trained runs")
    p.add_argument("--data-dir", type=Path, help="folder with the MNIST files; else $JENSEN_DATA, ...")
    p.add_argument("--epochs", type=int, nargs="+", default=[300, 100], help="of training each")
    p.add_argument("--max-time", type=float, nargs="+", default=[2400, 2400], help="seconds each")
    p.add_argument("--images", type=int, default=100, help="test images, and images simulated for BDMC")
    p.add_argument("--samples", type=int, default=2000, help="K of ELBO and IWAE")
    p.add_argument("--steps", type=int, default=300, help="of refining")
    p.add_argument("--temperatures", type=int, default=400, help="of AIS and BDMC")
    p.add_argument("--chains", type=int, default=10, help="of AIS and BDMC")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to write")
    p.add_argument("--report-only", action="store_true", help="write the tables from the stored JSON")
    p.add_argument("--threads", type=int, help="of torch; 1 on a busy machine")
    p.add_argument("--seed", type=int, default=0)
    options = p.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    results = (
        json.loads(options.table.read_text(encoding="utf-8"))["results"] if options.table.exists() else {}
    )
    if not options.report_only:
        runs = [Run.open(path) for path in options.run or []]
        if not runs:
            plans = zip(options.posteriors, options.epochs, options.max_time, strict=True)
            runs = [trained(posterior, epochs, limit, options) for posterior, epochs, limit in plans]
        for run in runs:
            found = measured(run, options)
            results[f"{found['posterior']}, {found['training']['epoch']} epochs"] = found
        options.table.parent.mkdir(parents=True, exist_ok=True)
        content = {"unit": "nats", "published": PUBLISHED, "results": results}
        options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(tables(results))
    if options.table == TABLE:
        write_page(results)


if __name__ == "__main__":
    main()
