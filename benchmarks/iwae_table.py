"""The table of Burda, Grosse & Salakhutdinov (2016): VAE and IWAE on MNIST, one stochastic layer.

    python -m benchmarks.iwae_table --cells VAE-1 IWAE-5        # on a CPU: one after the other
    python -m benchmarks.iwae_table --seeds 0 1 2           # on a GPU: all cells and seeds at once

Network 784-200-200-50-200-200-784, tanh, Bernoulli decoder, dynamic binarization, as theirs. The optimizer's
settings are ours: Muon at 0.01 with batches of 512, a cosine schedule, KL warm-up for the VAE, doubly
reparameterized gradients for IWAE, whose backward pass with k = 50 follows 5 draws. Optimizer, batch and rate
had the best validation bound after equal times of a few minutes (docs/results.md).
NLL: -log p(x) by the importance-weighted bound with K = 5,000, on all 10,000 test images.

On a CPU a cell is trained for as many epochs as fit its minutes, by a pilot of two minutes, or for --epochs;
a run that was broken off goes on where it was. On a GPU the seeds of a cell are trained together, as one
model of stacked layers, the cells side by side, each in a process of its own; for --epochs, or 440, or for
--minutes, whose clock the cosine then follows.
A cell that has its figure is not trained again (remove its entry from the JSON to have it anew). Writes
benchmarks/results/iwae_table.json.
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks import iwae_ensemble

from jensen.config import Settings
from jensen.config.resolve import LEARNING_RATE
from jensen.data import load
from jensen.evaluation import estimate, evaluate
from jensen.memory import keep_large_blocks
from jensen.run import Run
from jensen.session import resume, start
from jensen.training.state import TrainingState

TABLE = Path(__file__).resolve().parent / "results" / "iwae_table.json"
PILOT_SECONDS = 120.0
"""Enough to compile the step and take some epochs."""


@dataclass(frozen=True)
class Cell:
    """One figure of the table."""

    bound: str
    num_samples: int
    published: float
    """NLL, nats (table 1)."""
    minutes: float
    """Of training, on two cores."""
    backward_samples: int | None = None
    """Of the k draws, those that the backward pass follows; None: all."""


CELLS = {
    "VAE-1": Cell("elbo", 1, 86.76, 30),
    "VAE-5": Cell("elbo", 5, 86.47, 75),
    "VAE-50": Cell("elbo", 50, 86.35, 300),
    "IWAE-5": Cell("iwae", 5, 85.54, 75),
    "IWAE-50": Cell("iwae", 50, 84.78, 110, backward_samples=5),
}


def settings_of(cell: Cell, seed: int, options: argparse.Namespace, epochs: int) -> Settings:
    """The run of a cell."""
    return Settings(
        data="mnist",
        data_dir=options.data_dir,
        binarize="dynamic",
        latent_dim=options.latent_dim,
        hidden=tuple(options.hidden),
        activation="tanh",
        bound=cell.bound,  # type: ignore[arg-type]
        num_samples=cell.num_samples,
        backward_samples=cell.backward_samples,
        estimator="doubly-reparameterized" if cell.bound == "iwae" else "auto",
        epochs=epochs,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        lr=options.lr,
        lr_schedule="cosine",
        kl_warmup=min(50, epochs // 5) if cell.bound == "elbo" else 0,
        patience=0,
        validation_fraction=1 / 60,  # they choose the epoch alone; theirs had none
        device=options.device,
        compile="auto" if options.device == "cpu" else "on",
        seed=seed,
    )


def planned(cell: Cell, seed: int, options: argparse.Namespace) -> int:
    """The epochs that fit the cell's minutes, by the speed of the pilot's last epoch."""
    if options.epochs:
        return int(options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(cell, seed, options, 1000).replace(compile="on", max_time=PILOT_SECONDS)
        history = start(settings, Path(folder) / "pilot").history()
    last = history[-1]["seconds"] - (history[-2]["seconds"] if len(history) > 1 else 0.0)
    minutes = options.minutes or cell.minutes
    return max(1, int(60 * minutes / last))


def report(name: str, state: TrainingState) -> None:
    """A line for each tenth epoch."""
    record = state.history[-1]
    if state.epoch % 10 == 0:
        print(
            f"{name}, epoch {state.epoch}: bound {record['train_bound']:.2f} in training, "
            f"{record['validation_bound']:.2f} on validation rows, {record['seconds']:.0f} s",
            flush=True,
        )


def trained_alone(name: str, seed: int, options: argparse.Namespace) -> tuple[Run, float]:
    """The run of one cell and seed, begun or gone on with, and the processor seconds that it took here."""
    folder = options.out / f"{name}-seed{seed}"

    def on_epoch(state: TrainingState) -> None:
        report(name, state)

    if (folder / "config.yaml").exists():
        began = time.process_time()
        return resume(folder, {}, on_epoch=on_epoch), time.process_time() - began
    epochs = planned(CELLS[name], seed, options)
    print(f"{name}, seed {seed}: {epochs} epochs", flush=True)
    began = time.process_time()
    run = start(settings_of(CELLS[name], seed, options, epochs), folder, on_epoch=on_epoch)
    return run, time.process_time() - began


def nll_of(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """The figure of a run, with what it cost."""
    began = time.perf_counter()
    blocks = run.blocks(run.dataset(options.data_dir), "test", options.images)
    values = evaluate(run.model(), blocks, options.samples)
    history = run.history()
    return {
        "nll": estimate(-values["iwae"]).to_dict(),
        "elbo": estimate(values["elbo"]).to_dict(),
        "epochs": len(history),
        "training_seconds": history[-1]["seconds"],
        "evaluation_seconds": time.perf_counter() - began,
    }


def together(
    missing: list[tuple[str, int]], options: argparse.Namespace
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Cell, seed and figure, as they come: each cell's seeds as one ensemble, the cells side by side."""
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = load("mnist", options.data_dir)
    seeds = {name: [seed for other, seed in missing if other == name] for name, _ in missing}
    spawn = multiprocessing.get_context("spawn")  # a forked process could not use the GPU
    with ProcessPoolExecutor(len(seeds) if options.device != "cpu" else 1, mp_context=spawn) as pool:
        running = {}
        for name, some in seeds.items():
            settings = [settings_of(CELLS[name], seed, options, options.epochs or 440) for seed in some]
            task = name, settings, dataset, options.samples, options.images, options.out, options.minutes
            running[pool.submit(iwae_ensemble.figures, *task)] = name
        for done in as_completed(running):
            name = running[done]
            for seed, figure in zip(seeds[name], done.result(), strict=True):
                yield name, seed, figure


def show(results: dict[str, Any]) -> None:
    """The table, ours beside the published."""
    print(f"\n{'NLL, nats':<12}{'published':>10}   ours (seed: figure)")
    for name, cell in CELLS.items():
        found = {key.split("-seed")[1]: r for key, r in results.items() if key.startswith(f"{name}-seed")}
        ours = ", ".join(
            f"{seed}: {r['nll']['value']:.2f} +/- {r['nll']['standard_error']:.2f}"
            for seed, r in found.items()
        )
        print(f"{name:<12}{cell.published:>10.2f}   {ours}")


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), help="what to train")
    p.add_argument("--seeds", type=int, nargs="+", default=[0])
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--together", action="store_true", help="as one ensemble also on a CPU")
    p.add_argument("--epochs", type=int, help="of each cell, in place of its minutes; 3280 are theirs")
    p.add_argument("--minutes", type=float, help="of training a cell")
    p.add_argument("--samples", type=int, default=5000, help="K of the figure")
    p.add_argument("--images", type=int, help="only the first so many test images")
    p.add_argument("--batch-size", type=int, default=512)
    p.add_argument("--lr", type=float, help="left out: 0.01 of muon, 0.001 of adam")
    p.add_argument("--optimizer", choices=["muon", "adam"], default="muon")
    p.add_argument("--hidden", type=int, nargs="+", default=[200, 200], help="for tests alone")
    p.add_argument("--latent-dim", type=int, default=50, help="for tests alone")
    p.add_argument("--out", type=Path, default=Path("runs") / "iwae-table", help="folder of the runs")
    p.add_argument("--data-dir", type=Path, help="folder with the MNIST files; else $JENSEN_DATA, ...")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to write")
    options = p.parse_args()
    options.lr = options.lr or LEARNING_RATE[options.optimizer]
    keep_large_blocks()
    stored = json.loads(options.table.read_text(encoding="utf-8")) if options.table.exists() else {}
    results: dict[str, Any] = stored.get("results", {})
    missing = [(n, s) for n in options.cells for s in options.seeds if f"{n}-seed{s}" not in results]

    def keep(name: str, seed: int, figure: dict[str, Any]) -> None:
        results[f"{name}-seed{seed}"] = figure | {
            "device": torch.cuda.get_device_name() if options.device != "cpu" else platform.processor(),
            "cores": os.cpu_count(),
            "torch": torch.__version__,
            "backward_samples": CELLS[name].backward_samples,
            "settings": {
                n: getattr(options, n) for n in ("samples", "images", "batch_size", "lr", "optimizer")
            },
        }
        published = {name: cell.published for name, cell in CELLS.items()}
        content = {"unit": "nats", "published": published, "results": results}
        options.table.parent.mkdir(parents=True, exist_ok=True)
        options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    if missing and (options.together or options.device != "cpu"):
        for name, seed, figure in together(missing, options):
            keep(name, seed, figure)
    else:
        for name, seed in missing:
            run, busy = trained_alone(name, seed, options)
            figure = nll_of(run, options)
            threads = torch.get_num_threads()
            keep(name, seed, figure | {"training_processor_seconds": busy, "threads": threads})
    show(results)


if __name__ == "__main__":
    main()
