"""mlp, conv and resnet on images: the validation bound against processor time.

    python benchmarks/networks.py
    python benchmarks/networks.py --networks mlp --epochs mlp=5 --rows 500

6,000 training images of Fashion-MNIST (28x28), the `normal` likelihood with its defaults, 16 latents, batches
of 64, eager steps. Each network has the epochs named in EPOCHS, of which every one is kept with the processor
seconds spent until then. Writes benchmarks/results/networks.json, training by training, and prints where each
stands after equal epochs and after equal time.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jensen.config import Settings
from jensen.data import load
from jensen.session import start
from jensen.training.state import TrainingState

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "networks.json"
EPOCHS = {"mlp": 100, "conv": 15, "resnet": 6}


def measure(network: str, seed: int, epochs: int, options: argparse.Namespace) -> dict[str, Any]:
    """The epochs of one training: processor seconds so far, and the validation bound."""
    seconds, began = [], time.process_time()
    settings = Settings(
        data=str(options.work / "rows.npy"),
        network=network,  # type: ignore[arg-type]
        epochs=epochs,
        batch_size=64,
        latent_dim=16,
        patience=0,
        compile="off",
        device="cpu",
        seed=seed,
    )

    def on_epoch(state: TrainingState) -> None:
        seconds.append(round(time.process_time() - began, 2))

    run = start(settings, options.work / f"{network}-{seed}", overwrite=True, on_epoch=on_epoch)
    bounds = [round(record["validation_bound"], 2) for record in run.history()]
    return {"network": network, "seed": seed, "cpu_seconds": seconds, "validation_bound": bounds}


def best_until(record: dict[str, Any], seconds: float) -> float:
    """The best validation bound that a training had reached by then; minus infinity before its first."""
    pairs = zip(record["cpu_seconds"], record["validation_bound"], strict=True)
    return max((bound for spent, bound in pairs if spent <= seconds), default=float("-inf"))


def show(records: list[dict[str, Any]]) -> None:
    """Each training at its end, and the others' bounds in the time that it took."""
    for record in records:
        spent, epochs = record["cpu_seconds"][-1], len(record["cpu_seconds"])
        same = [other for other in records if other["seed"] == record["seed"]]
        beside = ", ".join(f"{other['network']} {best_until(other, spent):.1f}" for other in same)
        print(
            f"{record['network']}, seed {record['seed']}: {max(record['validation_bound']):.1f} nats after "
            f"{epochs} epochs, {spent:.0f} s; by then {beside}"
        )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--networks", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    p.add_argument("--epochs", nargs="+", default=[], metavar="NETWORK=N", help="others than in EPOCHS")
    p.add_argument("--seeds", type=int, nargs="+", default=[0])
    p.add_argument("--rows", type=int, default=6000, help="for training; a quarter as many are held out")
    p.add_argument("--data-dir", type=Path, help="folder with the files; else $JENSEN_DATA, ...")
    p.add_argument("--work", type=Path, default=ROOT / "runs" / "networks")
    p.add_argument("--table", type=Path, default=TABLE)
    options = p.parse_args()
    epochs = EPOCHS | {name: int(n) for name, n in (pair.split("=") for pair in options.epochs)}
    options.work.mkdir(parents=True, exist_ok=True)
    x = load("fashion-mnist", options.data_dir).rows("train")[: options.rows * 5 // 4]
    np.save(options.work / "rows.npy", x.numpy())
    stored = json.loads(options.table.read_text(encoding="utf-8")) if options.table.exists() else {}
    records: list[dict[str, Any]] = stored.get("trainings", [])
    for seed in options.seeds:
        for network in options.networks:
            if any((r["network"], r["seed"]) == (network, seed) for r in records):
                continue
            records.append(measure(network, seed, epochs[network], options))
            content = {"torch": torch.__version__, "rows": options.rows, "trainings": records}
            options.table.write_text(json.dumps(content) + "\n", encoding="utf-8")
            show(records[-1:])
    show(records)


if __name__ == "__main__":
    main()
