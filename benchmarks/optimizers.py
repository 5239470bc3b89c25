"""Adam beside Muon: the validation bound that each reaches in about the same time, MNIST, one thread.

    python benchmarks/optimizers.py                    # seven trainings, 20 minutes of one core
    python benchmarks/optimizers.py --arms muon-512 adam-32

The network of Burda et al. (2016), 784-200-200-50 and its mirror, tanh; dynamic binarization, K = 1, a cosine
schedule over the epochs, no KL warm-up, compiled steps. An arm is an optimizer with a batch size and a
learning rate; each trains for the epochs that take it about as long as the others. Writes
benchmarks/results/optimizers.json, arm by arm.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from jensen.config import Settings
from jensen.session import start

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "optimizers.json"
ARMS = {
    "adam-32": ("adam", 32, 1e-3, 20),
    "adam-64": ("adam", 64, 1e-3, 24),
    "adam-128": ("adam", 128, 1e-3, 28),
    "adam-128-fast": ("adam", 128, 2e-3, 28),
    "muon-256": ("muon", 256, 7e-3, 14),
    "muon-512": ("muon", 512, 1e-2, 20),
    "muon-1024": ("muon", 1024, 1.4e-2, 24),
}
"""Optimizer, batch size, learning rate, epochs."""


def measure(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The end of one training: processor seconds, compiling included, and the bound."""
    optimizer, batch_size, lr, epochs = ARMS[name]
    settings = Settings(
        data="mnist",
        data_dir=options.data_dir,
        binarize="dynamic",
        latent_dim=50,
        hidden=(200, 200),
        activation="tanh",
        optimizer=optimizer,  # type: ignore[arg-type]
        batch_size=batch_size,
        lr=lr,
        lr_schedule="cosine",
        epochs=epochs,
        patience=0,
        compile="on",
        device="cpu",
        seed=seed,
    )
    began = time.process_time()
    run = start(settings, options.work / f"{name}-{seed}", overwrite=True)
    last = run.history()[-1]
    return {
        "arm": name,
        "seed": seed,
        "epochs": epochs,
        "cpu_seconds": time.process_time() - began,
        "train_bound": last["train_bound"],
        "validation_bound": last["validation_bound"],
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    p.add_argument("--seeds", type=int, nargs="+", default=[0])
    p.add_argument("--data-dir", type=Path, help="folder with the MNIST files; else $JENSEN_DATA, ...")
    p.add_argument("--work", type=Path, default=ROOT / "runs" / "optimizers")
    p.add_argument("--table", type=Path, default=TABLE)
    options = p.parse_args()
    torch.set_num_threads(1)
    records = json.loads(options.table.read_text("utf-8"))["records"] if options.table.exists() else []
    for name in options.arms:
        for seed in options.seeds:
            if any((record["arm"], record["seed"]) == (name, seed) for record in records):
                continue
            records.append(measure(name, seed, options))
            print(json.dumps(records[-1]), flush=True)
            content = {"unit": "nats", "arms": ARMS, "torch": torch.__version__, "records": records}
            options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
