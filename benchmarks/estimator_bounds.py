"""Which gradient estimator ends at the better bound: runs that differ in nothing else, by several seeds.

    python -m benchmarks.estimator_bounds --data mnist adult                # an hour and a half of one core
    python -m benchmarks.estimator_bounds --data digits --epochs 200 --seeds 6

ELBO: pathwise beside sticking-the-landing (STL). IWAE: pathwise beside doubly reparameterized (DReG), also
with a few draws followed. All else is at the defaults; MNIST with dynamic binarization. What is compared is
the importance-weighted bound (K = 1,000) of the first 1,000 test rows: the difference to the pathwise run of
the same seed, its mean and standard error over the seeds, beside the processor seconds of training. A
difference of two runs contains that they drift apart as two seeds do.

Writes benchmarks/results/estimator_bounds.json after each run, and takes from there what it has already.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from benchmarks.tabular import ADULT, prepare

from jensen.config import Settings
from jensen.config.evaluation import EvaluationSettings
from jensen.evaluation import estimate
from jensen.figures import evaluate_run
from jensen.memory import keep_large_blocks
from jensen.session import start

TABLE = Path(__file__).resolve().parent / "results" / "estimator_bounds.json"
DREG = {"bound": "iwae", "estimator": "doubly-reparameterized"}
IWAE = {"bound": "iwae", "estimator": "pathwise"}
WAYS: dict[str, dict[str, Any]] = {
    "ELBO pathwise": {"estimator": "pathwise"},
    "ELBO STL": {"estimator": "sticking-the-landing"},
    "K=5 pathwise": IWAE | {"num_samples": 5},
    "K=5 DReG": DREG | {"num_samples": 5},
    "K=20 pathwise": IWAE | {"num_samples": 20},
    "K=20 DReG": DREG | {"num_samples": 20},
    "K=20 DReG, 5 followed": DREG | {"num_samples": 20, "backward_samples": 5},
}
"""Those of a first word are compared with the pathwise one among them."""
DATA: dict[str, dict[str, Any]] = {
    "mnist": {"data": "mnist", "binarize": "dynamic", "latent_dim": 20},
    "fashion-mnist": {"data": "fashion-mnist", "latent_dim": 20},
    "adult": {},
    "digits": {"data": "digits"},
}


def record(options: argparse.Namespace, results: dict[str, dict[str, float]]) -> dict[str, Any]:
    """All that is kept."""
    return {
        "unit": "nats per datum",
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__},
        "test_rows": options.limit,
        "difference_to_pathwise": differences(results),
        "results": results,
    }


def outcome(settings: Settings, limit: int) -> dict[str, float]:
    """The bound on the test rows, nats per datum, and the processor seconds of training."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run = start(settings, Path(folder) / "run")
        took = time.process_time() - began
        few = EvaluationSettings(num_samples=1000, limit=limit, refine_steps=0)
        figures = evaluate_run(run, run.dataset(settings.data_dir), few, device="cpu", aggregate_too=False)
    return {"iwae": figures["iwae"]["value"], "training_processor_seconds": took}


def differences(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of each way to the pathwise one of its first word and seed: mean and standard error over the seeds."""
    found: dict[str, list[float]] = {}
    for name, value in results.items():
        data, epochs, way, *followed, seed = name.split(", ")
        base = ", ".join([data, epochs, f"{way.split()[0]} pathwise", seed])
        if name != base and base in results:
            kind = ", ".join([data, epochs, way, *followed])
            found.setdefault(kind, []).append(value["iwae"] - results[base]["iwae"])
    return {kind: estimate(torch.tensor(values)).to_dict() for kind, values in found.items()}


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    p.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--limit", type=int, default=1000, help="test rows")
    p.add_argument("--adult", type=Path, default=ADULT, help="the folder of Adult's two files")
    p.add_argument("--data-dir", type=Path)
    p.add_argument("--table", type=Path, default=TABLE)
    options = p.parse_args()
    keep_large_blocks()
    torch.set_num_threads(1)
    results = (
        json.loads(options.table.read_text(encoding="utf-8"))["results"] if options.table.exists() else {}
    )
    with tempfile.TemporaryDirectory() as work:
        adult = str(prepare(options.adult, Path(work))[0]) if "adult" in options.data else ""
        for seed, data, way in product(range(options.seeds), options.data, options.ways):
            if (name := f"{data}, {options.epochs} epochs, {way}, seed {seed}") in results:
                continue
            chosen = DATA[data] | WAYS[way] | ({"data": adult} if data == "adult" else {})
            common = {"epochs": options.epochs, "patience": 0, "data_dir": options.data_dir}
            results[name] = outcome(Settings(**common, **chosen, seed=seed), options.limit)
            print(name, results[name], flush=True)
            content = json.dumps(record(options, results), indent=1) + "\n"
            options.table.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
