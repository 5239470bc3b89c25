"""What training costs as the data, the model and the number of samples grow.

    python -m benchmarks.scaling             # about 10 minutes on two cores
    python -m benchmarks.scaling --quick     # does it still run? Writes to --table alone

One quantity is varied at a time, the others stay at their base: N rows, D dimensions, M latents, K samples,
depth (hidden layers) and the batch; and K of the importance-weighted bound in evaluation. Each point is a
process of its own, so that its peak memory is its own; what importing took is taken off. Points are visited
in turn, --rounds times; the figures are medians.

Lines are fitted by least squares to seconds, and to memory, against the quantity: slope, intercept, and R^2
of the seconds. A row of the data is D bytes, so more than D bytes of memory a row would be a copy. Writes
benchmarks/results/scaling.json.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TABLE = Path(__file__).resolve().parent / "results" / "scaling.json"
BASE = {"N": 10_000, "D": 784, "M": 16, "K": 1, "depth": 1, "batch": 128}
WIDTH = 256
SWEEPS: dict[str, tuple[int, ...]] = {
    "N": (5_000, 10_000, 20_000, 40_000),
    "D": (196, 392, 784, 1568),
    "M": (2, 8, 32, 128),
    "K": (1, 2, 4, 8, 16),
    "depth": (1, 2, 4, 8),
    "batch": (32, 128, 512, 2048),
    "evaluation K": (10, 100, 1_000, 10_000),
}
EPOCHS, EVALUATED = 4, 200
TITLE = {"N": "rows", "K": "samples", "evaluation K": "samples in evaluation"}


def peak_mib() -> float:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def point(name: str, value: int, epochs: int) -> dict[str, float]:
    """One training, or one evaluation, in this process: seconds an epoch (or in all), and MiB."""
    import torch

    from jensen.config import Settings
    from jensen.evaluation import importance_weighted
    from jensen.session import start

    at = BASE | ({name: value} if name in BASE else {"N": 1000})
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npy"
        rows = np.lib.format.open_memmap(path, "w+", np.uint8, (at["N"], at["D"]))
        for first in range(0, at["N"], 1000):
            rows[first : first + 1000] = generator.random(rows[first : first + 1000].shape) < 0.2
        del rows
        before = peak_mib()
        run = start(
            Settings(
                data=str(path),
                likelihood="bernoulli",
                latent_dim=at["M"],
                hidden=(WIDTH,) * at["depth"],
                num_samples=at["K"],
                batch_size=at["batch"],
                epochs=epochs if name in BASE else 1,
                lr=1e-4,
                patience=0,
                device="cpu",
            ),
            Path(folder) / "run",
        )
        if name in BASE:
            # The last of the epochs: the first ones may compile.
            train_rows = round(at["N"] * 0.8)
            seconds = train_rows / run.history()[-1]["rows_per_second"]
            return {"seconds": seconds, "mib": peak_mib() - before}
        model, x = run.model(), torch.from_numpy(np.load(path)[:EVALUATED]).float()
        importance_weighted(model, x, 10)
        before, began = peak_mib(), time.perf_counter()
        importance_weighted(model, x, value)
        return {"seconds": time.perf_counter() - began, "mib": peak_mib() - before}


def fit(x: list[float], y: list[float]) -> dict[str, float]:
    """The least-squares line, and the share of the variance that it explains."""
    slope, intercept = np.polyfit(x, y, 1)
    rest = np.asarray(y) - (slope * np.asarray(x) + intercept)
    return {"slope": slope, "intercept": intercept, "r2": 1 - float(rest.var() / np.var(y))}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All points in turn, and the lines through them."""
    points = [(name, value) for name in options.sweeps for value in SWEEPS[name]]
    if options.quick:
        points = [(name, value) for name, value in points if value in SWEEPS[name][:2]]
    found: dict[tuple[str, int], list[dict[str, float]]] = {one: [] for one in points}
    for _ in range(options.rounds):
        for name, value in points:
            command = [sys.executable, "-m", "benchmarks.scaling", "--point", name, str(value)]
            command += ["--epochs", str(options.epochs)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name, value].append(json.loads(done.stdout.splitlines()[-1]))
    sweeps: dict[str, Any] = {}
    for name in options.sweeps:
        values = [value for sweep, value in points if sweep == name]
        seconds = [statistics.median(f["seconds"] for f in found[name, value]) for value in values]
        memory = [statistics.median(f["mib"] for f in found[name, value]) for value in values]
        line = fit([float(v) for v in values], seconds)
        sweeps[name] = {"values": values, "seconds": seconds, "mib": memory, "line": line}
        print(
            f"\n{TITLE.get(name, name)}: seconds = {line['intercept']:.3g} + {line['slope']:.3g} x, ", end=""
        )
        print(f"R^2 = {line['r2']:.4f}")
        for value, s, m in zip(values, seconds, memory, strict=True):
            print(f"  {value:>7,}: {s:8.3f} s  {m:6.0f} MiB", flush=True)
    return sweeps


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS), help="what to vary")
    p.add_argument("--rounds", type=int, default=3, help="visits of each point")
    p.add_argument("--epochs", type=int, default=EPOCHS, help="of each training; the last one counts")
    p.add_argument("--quick", action="store_true", help="two points of each, once")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to write")
    p.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.point:
        print(json.dumps(point(options.point[0], int(options.point[1]), options.epochs)))
        return
    if options.quick:
        options.rounds, options.epochs = 1, 1
    content = {"base": BASE, "width": WIDTH, "rounds": options.rounds, "sweeps": measure(options)}
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
