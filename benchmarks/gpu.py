"""Training throughput on a GPU: every mode of jensen beside the peers, as shares of what the device can do.

    python -m benchmarks.gpu                       # the first GPU; a few minutes
    python -m benchmarks.gpu --device cpu --quick  # does it still run? Writes to --table

Networks: the MLP 784-512-16-512-784 of the speed comparison, where the peers take part, and jensen's
convolutional one on 3x32x32 and 3x64x64. Modes: jensen's --compile (off, and as it comes: graphs on a GPU)
and --precision, as far as it has them. Each trains in a process of its own, the peers in turn, see
`benchmarks.speed`.

Ceilings: the device's own products of large square matrices, in each precision, and a copy of a large array.
A step's work is counted by torch on one eager step of the same model, so that the share is work done over
work possible, and what is not a matrix product counts as lost.

Adds to benchmarks/results/gpu.json, by device.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed.jensen_run import settings_of
from benchmarks.speed.processes import Worker, alternate, available
from benchmarks.speed.tasks import PARAMETERS, PIXELS, Task
from torch.utils.flop_counter import FlopCounterMode

from jensen.config import Settings
from jensen.objectives import elbo, pathwise
from jensen.session import start

TABLE = Path(__file__).resolve().parent / "results" / "gpu.json"
SHAPES = {"mlp": (PIXELS,), "conv 32x32": (3, 32, 32), "conv 64x64": (3, 64, 64)}
PRECISIONS = {"float32": "fp32", "tf32": "tf32", "bf16": "bf16", "bfloat16": "bf16", "auto": "bf16"}
"""jensen's names -> the ceiling to compare with."""


def choices(name: str) -> tuple[str, ...]:
    """The values of one of jensen's options; none where this version has no such option."""
    hints = typing.get_type_hints(Settings)
    return typing.get_args(hints[name]) if name in hints else ()


def modes(network: str) -> dict[str, dict[str, str]]:
    """jensen's ways of training, by name."""
    base = {"network": "conv"} if network.startswith("conv") and "conv" in choices("network") else {}
    found = {"jensen": base}
    for precision in choices("precision"):
        found[f"jensen, {precision}"] = base | {"precision": precision}
    if "off" in choices("compile"):
        found["jensen, eager"] = base | {"compile": "off"}
    return found


def seconds_of(work: Callable[[], object], device: str, repeats: int) -> float:
    """The median of a call, with the device waited for."""
    found = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return statistics.median(found[2:])


def ceilings(device: str, size: int, repeats: int = 10) -> dict[str, float]:
    """Matrix products in FLOP/s, by precision, and memory traffic in bytes/s."""
    found = {}
    for name, kind, fast in (
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = fast
        a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
        product = seconds_of(lambda a=a, b=b: a @ b, device, repeats)  # type: ignore[misc]
        found[name] = 2 * size**3 / product
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.randn(size * size, device=device)
    target = torch.empty_like(source)
    found["bytes"] = 8 * size * size / seconds_of(lambda: target.copy_(source), device, repeats)
    return found


def flop_per_row(task: Task, batch: int = 8) -> float:
    """Products and convolutions of a training step of jensen's model, a row."""
    settings = settings_of(task).replace(epochs=1, device="cpu", batch_size=task.rows)
    model = start(settings, task.folder / "flop", overwrite=True).model()
    x = torch.from_numpy(np.load(task.data)[:batch]).float()
    with FlopCounterMode(display=False) as counter:
        pathwise(elbo, model, x, 1).mean().backward()
    return counter.get_total_flops() / batch


def measure(network: str, batch: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All modes of jensen, and for the MLP the peers, on one network and batch size."""
    shape, held_out = SHAPES[network], 200
    generator = np.random.default_rng(options.seed)
    rows = (generator.random((options.rows + 2 * held_out, *shape)) < 0.2).astype(np.uint8)
    np.save(folder / "data.npy", rows)
    small = folder / "small.npy"
    np.save(small, rows[:64])

    def task(extra: dict[str, str], of: str = "") -> Task:
        (folder / of).mkdir(exist_ok=True)
        data = folder / "data.npy"
        return Task(data, options.rows, held_out, batch, options.seed, folder / of, extra, options.device)

    others = [name for name in available(options.device) if name not in ("jensen", "floor")]
    peers = others if network == "mlp" else []
    timed: dict[str, list[dict[str, Any]]] = {}
    for i, (name, extra) in enumerate(modes(network).items()):
        worker = Worker("jensen", folder / f"jensen{i}.log")
        timed[name] = alternate([worker], task(extra, f"jensen{i}"), options.warmup, options.rounds)["jensen"]
        worker.stop()
    workers = [Worker(name, folder / f"{name}.log") for name in peers]
    timed |= alternate(workers, task({}, "peers"), options.warmup, options.rounds)
    for worker in workers:
        worker.stop()
    one = dataclasses.replace(task(modes(network)["jensen"], "flop"), data=small, rows=44, held_out=10)
    flop = flop_per_row(one)
    result: dict[str, Any] = {"batch_size": batch, "flop_per_row": flop, "rows_per_second": {}, "share": {}}
    for name, turns in timed.items():
        speeds = [options.rows / turn["seconds"] for turn in turns[options.warmup :]]
        result["rows_per_second"][name] = speeds
        default = "bf16" if name == "jensen" and "auto" in choices("precision") else "fp32"
        kind = PRECISIONS.get(name.rpartition(", ")[2], default)
        result["share"][name] = statistics.median(speeds) * flop / options.ceilings[kind]
    if network == "mlp":  # Adam's seven passes over the weights, for every step
        result["optimizer_seconds"] = 28 * PARAMETERS / options.ceilings["bytes"]
    return result


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--device", default="cuda", help="cuda, or cpu to see that it runs")
    p.add_argument("--networks", nargs="+", choices=SHAPES, default=list(SHAPES))
    p.add_argument("--batches", type=int, nargs="+", default=[128, 1024])
    p.add_argument("--rows", type=int, default=204_800, help="of an epoch")
    p.add_argument("--rounds", type=int, default=5, help="timed epochs of each")
    p.add_argument("--warmup", type=int, default=3, help="epochs before, in which things are compiled")
    p.add_argument("--matrix", type=int, default=8192, help="side of the matrices of the ceilings")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to add to")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--quick", action="store_true", help="few rows, rounds and batches")
    options = p.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        p.error(f"--device {options.device}: no CUDA device was found; give --device cpu --quick to try it")
    if options.quick:
        options.batches, options.rows, options.rounds, options.warmup, options.matrix = [64], 256, 1, 1, 256
    options.ceilings = ceilings(options.device, options.matrix)
    name = "cpu" if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    found: dict[str, Any] = {"torch": torch.__version__, "ceilings": options.ceilings, "networks": {}}
    for network in options.networks:
        found["networks"][network] = []
        for batch in options.batches:
            with tempfile.TemporaryDirectory() as folder:
                result = measure(network, batch, Path(folder), options)
            found["networks"][network].append(result)
            for mode, speeds in result["rows_per_second"].items():
                print(
                    f"{network}, batch {batch}, {mode}: {statistics.median(speeds):,.0f} rows/s, "
                    f"{result['share'][mode]:.0%} of the ceiling",
                    flush=True,
                )
    stored = json.loads(options.table.read_text(encoding="utf-8")) if options.table.exists() else {}
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(json.dumps(stored | {name: found}, indent=1) + "\n", encoding="utf-8")
    print(f"{options.table}: {name}")


if __name__ == "__main__":
    main()
