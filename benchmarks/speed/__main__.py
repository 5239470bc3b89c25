"""Run the comparison, write benchmarks/results/speed.json and the tables of docs/performance.md.

python -m benchmarks.speed                         # all batch sizes: about 10 minutes on two cores
python -m benchmarks.speed --batches 128           # one batch size: about 2 minutes
python -m benchmarks.speed --add                   # another moment: its rounds join those of the stored JSON
python -m benchmarks.speed --quick                 # does it still run? Writes to a temporary folder
python -m benchmarks.speed --report-only           # the tables again, from the stored JSON

The contestants train the same network on the same data in processes of their own, which live through the
run and compute in turn, an epoch each, so that the machine's moods fall on all alike. What counts is the
median over rounds, and for a ratio the median of the rounds' ratios. Epochs are timed from outside: jensen's
with its validation and checkpoints, Pythae's with its callbacks and copies of the best model.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data import load

from . import report
from .moments import likelihoods, starts
from .processes import ENVIRONMENT, ROOT, Worker, alternate, available
from .tasks import FLOP_PER_ROW, HIDDEN, LATENTS, PARAMETERS, PIXELS, Task
from .worker import MODULES

TABLE = ROOT / "benchmarks" / "results" / "speed.json"
BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
LOSS_TOLERANCE = 0.02
"""Relative. Seeds differ between frameworks; over one data set and so many epochs by less than this."""


def write_data(options: argparse.Namespace, folder: Path) -> Path:
    """The first MNIST images, binarized once, or noise with the same share of ones."""
    total = options.rows + 2 * options.held_out
    generator = np.random.default_rng(options.seed)
    if options.noise:
        levels = np.full((total, PIXELS), 0.13)
    else:
        levels = load("mnist", options.data_dir).rows("train")[:total].reshape(total, -1).numpy() / 255
    np.save(folder / "data.npy", (generator.random(levels.shape) < levels).astype(np.uint8))
    return folder / "data.npy"


def compare(workers: list[Worker], task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """One batch size: seconds of every round, and the losses at its end."""
    began = time.perf_counter()
    answers = alternate({w.name: (w, task) for w in workers}, options.warmup, options.rounds)
    result: dict[str, Any] = {"batch_size": task.batch_size}
    for name, turns in answers.items():
        timed = turns[options.warmup :]
        if name == "floor":
            result["floor"] = {part: [t["parts"][part] for t in timed] for part in timed[0]["parts"]}
            continue
        result[name] = {
            "first_seconds": turns[0]["seconds"],
            "seconds": [t["seconds"] for t in timed],
            "loss": turns[-1]["loss"],
            "peak_mib": turns[-1]["peak_mib"],
        }
    losses = {name: found["loss"] for name, found in result.items() if name in MODULES and name != "floor"}
    middle = float(np.median(list(losses.values())))
    result["losses_agree"] = all(abs(loss / middle - 1) < LOSS_TOLERANCE for loss in losses.values())
    print(f"batch {task.batch_size}: {time.perf_counter() - began:.0f} s", flush=True)
    for line in report.lines(result, task.rows):
        print(f"  {line}", flush=True)
    return result


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything that was asked for."""
    data = write_data(options, folder)
    extra = dict(pair.split("=", 1) for pair in options.jensen)
    names = [name for name in available() if name in options.contestants]
    workers = [Worker(name, folder / f"{name}.log") for name in names]
    content: dict[str, Any] = {
        "machine": machine(),
        "environment": {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()},
        "versions": {name: number for worker in workers for name, number in worker.versions.items()},
        "network": {"layers": [PIXELS, HIDDEN, LATENTS, HIDDEN, PIXELS], "parameters": PARAMETERS},
        "flop_per_row": FLOP_PER_ROW,
        "options": {name: getattr(options, name) for name in ("rows", "rounds", "warmup", "seed", "jensen")},
        "batches": [],
    }
    task = Task(data, options.rows, options.held_out, BATCHES[0], options.seed, folder, extra)
    for batch_size in options.batches:
        one = Task(data, options.rows, options.held_out, batch_size, options.seed, folder, extra)
        content["batches"].append(compare(workers, one, options))
    for worker in workers:
        worker.stop()
    if options.moments:
        content["start_seconds"] = starts(folder, options.seed, options.rounds)
        images, samples = (4, 100) if options.quick else (100, 1000)
        content["likelihood"] = likelihoods(task, images, samples, min(3, options.rounds))
    return content


def joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What is timed round by round, of an earlier run and of this; all else as this run has it, if it has it.

    A machine has moods of minutes (`docs/performance.md`): all rounds of a batch size in one run share one.
    """
    for key in ("machine", "versions", "environment"):
        if before[key] != now[key]:
            raise SystemExit(f"--add: the {key} of the stored rounds differ: {before[key]}, now {now[key]}")
    if [b["batch_size"] for b in before["batches"]] != [b["batch_size"] for b in now["batches"]]:
        raise SystemExit("--add: the stored batch sizes are others; give the same --batches")
    for old, new in zip(before["batches"], now["batches"], strict=True):
        for name in set(new) & set(MODULES):
            timed = new[name] if name == "floor" else {"seconds": new[name]["seconds"]}
            new[name] |= {part: old[name][part] + rounds for part, rounds in timed.items()}
    now["options"]["rounds"] += before["options"]["rounds"]
    return before | now | {"runs": before.get("runs", 1) + 1}


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="batch sizes")
    p.add_argument("--contestants", nargs="+", default=list(MODULES), choices=MODULES, help="who takes part")
    p.add_argument("--rounds", type=int, default=5, help="timed epochs of each")
    p.add_argument("--warmup", type=int, default=3, help="epochs before, in which things are compiled")
    p.add_argument("--rows", type=int, default=20_480, help="of an epoch")
    p.add_argument("--held-out", type=int, default=200, help="rows that jensen validates on")
    p.add_argument(
        "--jensen", nargs="*", default=[], metavar="OPTION=VALUE", help="more options of jensen train"
    )
    p.add_argument("--noise", action="store_true", help="noise in place of MNIST")
    p.add_argument("--data-dir", type=Path, help="folder with the MNIST files; else $JENSEN_DATA, ...")
    p.add_argument("--no-moments", dest="moments", action="store_false", help="no start, no log p(x)")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to write")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--quick", action="store_true", help="a few rows and rounds, to see that it runs")
    p.add_argument("--add", action="store_true", help="keep the stored rounds, and add those of this run")
    p.add_argument("--report-only", action="store_true", help="write the tables from the stored JSON")
    options = p.parse_args()
    if options.report_only:
        report.write(json.loads(options.table.read_text(encoding="utf-8")))
        return
    if options.quick:
        options.batches, options.rows, options.rounds, options.warmup = [64, 128], 512, 2, 1
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        content = run(options, Path(folder))
        if options.add:
            content = joined(json.loads(options.table.read_text(encoding="utf-8")), content)
        content["seconds"] = round(time.perf_counter() - began)
        if options.quick:
            options.table = Path(folder) / "speed.json"
        options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if not options.quick:
            report.write(content)
        print(f"{options.table} after {content['seconds']} s")


if __name__ == "__main__":
    main()
