"""Training throughput on a GPU: every mode of jensen beside the peers, as shares of what the device can do.

    python -m benchmarks.gpu                       # the first GPU
    python -m benchmarks.gpu --device cpu --quick  # does it still run? Writes to --table

Networks: the MLP 784-512-16-512-784 of the speed comparison, and jensen's convolutional ones on 3x32x32 and
3x64x64, which the peers have as well. Modes of jensen: as it comes (on a GPU bfloat16 products, compiled,
several steps a launch), --precision float32, the same in tf32 (torch's own switch), a run too short to be
compiled (several eager steps a launch), and --compile off. Each trains in a process of its own; they are set
up side by side and timed in turn, see `benchmarks.speed`.

Ceilings: the device's own products of large square matrices, in each precision, and a copy of a large array.
The floor of a step is its products and convolutions, counted by torch on one eager step of the same model, at
the first, and Adam's seven passes over the weights, at the second. Whatever else a step does counts as lost.

Adds to benchmarks/results/gpu.json, by device.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed.jensen_run import settings_of
from benchmarks.speed.processes import Worker, alternate, available
from benchmarks.speed.tasks import PIXELS, Task
from torch.utils.flop_counter import FlopCounterMode

from jensen.objectives import elbo, pathwise
from jensen.session import start

HELD_OUT = 200
TABLE = Path(__file__).resolve().parent / "results" / "gpu.json"
SHAPES = {"mlp": ((PIXELS,), 1), "conv 32x32": ((3, 32, 32), 4), "conv 64x64": ((3, 64, 64), 16)}
"""Of one datum, and by how much an epoch has fewer rows."""
CONVOLUTIONS = {
    "conv 32x32": {"network": "conv", "hidden": "32,64,128", "activation": "silu"},
    "conv 64x64": {"network": "conv", "hidden": "32,64,128,256", "activation": "silu"},
}
"""Settings of jensen in which they differ from the MLP: its defaults for such images."""
WITHOUT = dict.fromkeys(CONVOLUTIONS, ("jensen, tf32",))
"""torch's switch for tf32 is one of products; jensen keeps float32's convolutions in float32."""
TF32 = {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}
MODES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "jensen": ({}, {}, "bf16"),
    "jensen, tf32": ({"precision": "float32"}, TF32, "tf32"),
    "jensen, float32": ({"precision": "float32"}, {}, "fp32"),
    "jensen, graph": ({"epochs": "20"}, {}, "bf16"),
    "jensen, eager": ({"compile": "off"}, {}, "bf16"),
}
"""jensen's ways of training: settings, variables of the process, and the ceiling to compare with."""
CEILINGS = {"compiled step, bf16": "bf16", "JAX": "tf32"}
"""Of peers whose products are not in float32; JAX's are in tf32 unless it is told otherwise, as are torch's
convolutions."""
FEWEST_STEPS = 64
"""Of an epoch; of larger batches an epoch would be too short to be timed."""
SLOW, SHARE = ("jensen, eager", "plain loop", "Pythae"), 16
"""An epoch of theirs has so small a share of the rows, for it is rows a second that count."""
SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "OMP_PROC_BIND": "false"}
"""Many are set up at a time: JAX shall not take all memory, and nobody is bound to the first core."""


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


def work_of(task: Task, batch: int = 8) -> tuple[float, int]:
    """Of a training step of jensen's model: FLOP of its products and convolutions, a row; its parameters."""
    settings = settings_of(task).replace(epochs=1, device="cpu", batch_size=task.rows)
    model = start(settings, task.folder / "flop", overwrite=True).model()
    x = torch.from_numpy(np.load(task.data)[:batch]).float()
    with FlopCounterMode(display=False) as counter:
        pathwise(elbo, model, x, 1).mean().backward()
    return counter.get_total_flops() / batch, sum(p.numel() for p in model.parameters())


def write_rows(network: str, folder: Path, options: argparse.Namespace) -> None:
    """Zeros and ones of a network's shape; fewer for those who are slow, and a few for `work_of`."""
    shape, fewer = SHAPES[network]
    rows = options.rows // fewer
    generator = np.random.default_rng(options.seed)
    x = generator.random((rows + 2 * HELD_OUT, *shape), dtype=np.float32) < 0.2
    np.save(folder / "data.npy", x.astype(np.uint8))
    np.save(folder / "short.npy", x[: rows // SHARE + 2 * HELD_OUT].astype(np.uint8))
    np.save(folder / "small.npy", x[:64].astype(np.uint8))


def contestants(folder: Path, options: argparse.Namespace) -> dict[str, Worker]:
    """A process for each of jensen's modes, and for each peer that can be imported."""
    found = {
        name: Worker("jensen", folder / f"{name}.log", SHARED | variables)
        for name, (_, variables, _) in MODES.items()
    }
    others = [name for name in available(options.device) if name not in ("jensen", "floor")]
    found |= {name: Worker(name, folder / f"{name}.log", SHARED) for name in others}
    for name in others:
        try:
            _ = found[name].versions
        except RuntimeError as error:
            print(error)
            del found[name]
    return found


def measure(
    network: str, batch: int, workers: dict[str, Worker], folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """All contestants on one network and batch size."""
    rows = dict[str, int]()
    base = CONVOLUTIONS.get(network, {})
    tasks = {}
    for name, worker in workers.items():
        if name in WITHOUT.get(network, ()) or worker.process.poll() is not None:
            continue
        rows[name] = options.rows // SHAPES[network][1] // (SHARE if name in SLOW else 1)
        own = folder / f"{name}, {batch}"
        own.mkdir()
        extra = base | (MODES[name][0] if name in MODES else {})
        data = folder / ("short.npy" if name in SLOW else "data.npy")
        one = Task(data, rows[name], HELD_OUT, batch, options.seed, own, extra, options.device)
        tasks[name] = worker, one
    at_once = options.device != "cpu"
    timed = alternate(tasks, options.warmup, options.rounds, at_once, lambda said: print(said, flush=True))
    small = dataclasses.replace(tasks["jensen"][1], data=folder / "small.npy", rows=44, held_out=10)
    flop, parameters = work_of(small)
    optimizer = 28 * parameters / options.ceilings["bytes"]  # Adam's seven passes over the weights
    result: dict[str, Any] = {"batch_size": batch, "flop_per_row": flop, "optimizer_seconds": optimizer}
    result |= {"rows": {name: rows[name] for name in timed}, "rows_per_second": {}, "share": {}, "loss": {}}
    for name, turns in timed.items():
        speeds = [rows[name] / turn["seconds"] for turn in turns[options.warmup :]]
        theirs = CEILINGS.get(name, "tf32" if network in CONVOLUTIONS else "fp32")
        products = flop / options.ceilings[MODES[name][2] if name in MODES else theirs]
        result["rows_per_second"][name] = speeds
        result["share"][name] = statistics.median(speeds) * (products + optimizer / batch)
        result["loss"][name] = turns[-1]["loss"]
    remarks = {name: turns[-1]["remarks"] for name, turns in timed.items() if turns[-1].get("remarks")}
    return result | ({"remarks": remarks} if remarks else {})


def show(network: str, result: dict[str, Any]) -> None:
    """A line for each contestant."""
    for name, speeds in result["rows_per_second"].items():
        print(
            f"{network}, batch {result['batch_size']}, {name}: {statistics.median(speeds):,.0f} rows/s, "
            f"{result['share'][name]:.1%} of the floor's speed, loss {result['loss'][name]:.2f}",
            *result.get("remarks", {}).get(name, []),
            sep="\n  ",
            flush=True,
        )


def store(table: Path, name: str, found: dict[str, Any]) -> None:
    """Add the figures so far, under the device's name; networks that were measured before stay."""
    stored = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    networks = stored.get(name, {}).get("networks", {}) | found["networks"]
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(
        json.dumps(stored | {name: found | {"networks": networks}}, indent=1) + "\n", encoding="utf-8"
    )


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--device", default="cuda", help="cuda, or cpu to see that it runs")
    p.add_argument("--networks", nargs="+", choices=SHAPES, default=list(SHAPES))
    p.add_argument("--batches", type=int, nargs="+", default=[128, 1024])
    p.add_argument(
        "--rows", type=int, default=327_680, help="of an epoch of the MLP; more would stay on disk"
    )
    p.add_argument("--rounds", type=int, default=5, help="timed epochs of each")
    p.add_argument("--warmup", type=int, default=2, help="epochs before, in which things are compiled")
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
    with tempfile.TemporaryDirectory() as logs:
        workers = contestants(Path(logs), options)
        found["versions"] = {k: v for worker in workers.values() for k, v in worker.versions.items()}
        for network in options.networks:
            found["networks"][network] = []
            with tempfile.TemporaryDirectory() as data:
                write_rows(network, Path(data), options)
                for batch in options.batches:
                    if options.rows // SHAPES[network][1] < FEWEST_STEPS * batch and not options.quick:
                        continue
                    found["networks"][network].append(measure(network, batch, workers, Path(data), options))
                    show(network, found["networks"][network][-1])
                    store(options.table, name, found)
        for worker in workers.values():
            worker.stop()
    print(f"{options.table}: {name}")


if __name__ == "__main__":
    main()
