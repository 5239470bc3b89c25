"""Data larger than memory: peak memory and speed of training and scoring.

table     20 million rows x 30 columns of Parquet, trained and scored by the commands: peak memory of each
same      training on a table in memory and streamed from disk: the bounds of each epoch, and rows per second
images    100,000 images 28 x 28 in memory and streamed from disk, in turn: rows per second
levels    a column of 50,000 levels, an output for each against groups and members: memory and time of a step

python benchmarks/out_of_core.py [PART ...] [--rows 20000000] [--folder /tmp/out_of_core]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from big_table import PLACES, piece, write_table
from jensen.config.build import build_bound, build_estimator, build_memory, build_model
from jensen.config.names import SUPPORT
from jensen.config.resolve import resolve
from jensen.config.settings import Settings
from jensen.config.tables import column_family
from jensen.data import Dataset, Preparation, evaluation_blocks, fit_preparation, stream
from jensen.data.dataset import digest_rows
from jensen.data.stored import Stored
from jensen.data.stream import RowStream
from jensen.data.tables.marginals import Marginal
from jensen.data.tables.source import read_arrow
from jensen.training.loop import TrainingData, train
from jensen.training.state import TrainingState

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "out_of_core.json"
COLUMNS = ["float0", "float3", "float4", "whole0", "whole2", "kind0", "kind3", "flag"]
TURN = 10
LIMIT = 2048  # MiB of peak memory that the issue allows


def measured(words: list[str], cwd: Path, environment: dict[str, str]) -> dict[str, Any]:
    """A ``jensen`` command in a process of its own: seconds, and the most memory that it had, MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "jensen", *words], cwd=cwd, env=os.environ | environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "command": " ".join(["jensen", *words]),
        "status": process.returncode,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def table(options: argparse.Namespace) -> dict[str, Any]:
    """Train and score the large table by the commands."""
    folder = options.folder
    size = write_table(folder / "big", options.rows)
    cache = {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    size_of_model = ["--hidden", "64", "--epoch-rows", str(options.epoch_rows)]
    words = ["train", "big", *size_of_model, "--max-time", "60", "--out", "run", "--overwrite"]
    training = measured(words, folder, cache)
    words = ["score", "run", "big", "-o", "scores.parquet", "--num-samples", str(options.score_samples)]
    scoring = measured(words, folder, cache)
    return {
        "rows": options.rows,
        "columns": 30,
        "parquet_mib": size >> 20,
        "codes_mib": sum(path.stat().st_size for path in (folder / "cache").rglob("codes.npy")) >> 20,
        "train": training,
        "score": scoring,
        "within_limit": max(training["peak_mib"], scoring["peak_mib"]) < LIMIT,
    }


def alternately(dataset: Dataset, stored: Stored, settings: Settings, epochs: int) -> dict[str, Any]:
    """Two trainings from the same weights, epoch by epoch in turn: one in memory, one streamed from disk."""
    settings, preparation, arms = ready(dataset, stored, settings)
    states = {name: fresh(settings, dataset, preparation) for name in arms}
    for epoch in range(epochs):
        for name in sorted(arms, reverse=bool(epoch % 2)):
            data = TrainingData(
                arms[name],
                preparation,
                lambda: evaluation_blocks(dataset, preparation, "validation", seed=settings.seed),
                preparation.log_det(dataset.event_shape),
            )
            estimator = build_estimator(settings, states[name].memory)
            train(states[name], data, build_bound(settings), estimator, settings.replace(epochs=epoch + 1))
    return {
        "rows": len(dataset.x),
        "epochs": epochs,
        "validation_bound": {
            name: [line["validation_bound"] for line in state.history] for name, state in states.items()
        },
    }


def ready(
    dataset: Dataset, stored: Stored, settings: Settings
) -> tuple[Settings, Preparation, dict[str, Any]]:
    """Settings without `auto`, the preparation, and the training rows in memory and on disk."""
    settings, _ = resolve(settings, dataset)
    preparation = fit_preparation(dataset, support=SUPPORT[settings.likelihood], scaling=settings.scaling)
    stream = RowStream(stored, dataset.splits["train"], settings.seed)
    return settings, preparation, {"memory": dataset.rows("train"), "disk": stream}


def rates(dataset: Dataset, stored: Stored, settings: Settings, steps: int) -> dict[str, Any]:
    """Rows per second of training steps from memory and from disk, `TURN` of one and of the other in turn.

    In CPU time, reading included: on a machine with other work the clock says little.
    """
    settings, preparation, arms = ready(dataset, stored, settings)
    assert settings.batch_size is not None
    state, generator = fresh(settings, dataset, preparation), torch.Generator().manual_seed(0)
    parameters = state.optimizer.parameters
    bound, estimator = build_bound(settings), build_estimator(settings, state.memory)
    batches = {name: epoch_batches(rows, settings.batch_size, generator) for name, rows in arms.items()}
    spent, count = dict.fromkeys(arms, 0.0), 0
    while count < steps:
        for name in sorted(arms, reverse=bool(count // TURN % 2)):
            began = time.process_time()
            for _ in range(TURN):
                x = preparation(next(batches[name]), generator)
                loss = -estimator(bound, state.model, x, 1).mean()
                state.optimizer.step(torch.autograd.grad(loss, parameters, allow_unused=True))
            spent[name] += time.process_time() - began
        count += TURN
    speed = {name: round(count * settings.batch_size / seconds) for name, seconds in spent.items()}
    return {
        "rows": len(dataset.x),
        "steps": count,
        "rows_per_cpu_second": speed,
        "disk_over_memory": round(speed["disk"] / speed["memory"], 3),
    }


def epoch_batches(rows: Tensor | RowStream, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of stored rows as training takes them."""
    if isinstance(rows, RowStream):
        for piece, order in rows.pieces(batch_size, generator):
            yield from (piece[index] for index in order.split(batch_size))
        return
    for index in torch.randperm(len(rows), generator=generator).split(batch_size):
        yield rows.index_select(0, index)


def fresh(settings: Settings, dataset: Dataset, preparation: Preparation) -> TrainingState:
    torch.manual_seed(settings.seed)
    model = build_model(settings, dataset.event_shape, preparation)
    return TrainingState.start(model, settings, build_memory(settings))


def split(x: Tensor) -> dict[str, Tensor]:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held = len(x) // 10
    return {"validation": order[:held].sort().values, "train": order[held:].sort().values}


def same(options: argparse.Namespace) -> dict[str, Any]:
    """A table small enough for both ways; the hardest one for the stream, sorted and with small buffers.

    Its 64 blocks are shuffled 16 at a time, so that a batch sees a quarter of a sorted table.
    """
    weights = np.random.default_rng(0).normal(size=(2, 64))
    some = piece(0, options.same_rows, weights).select(COLUMNS).sort_by("float3")
    raw = read_arrow(some, "table")
    assert isinstance(raw.x, np.ndarray)
    x = torch.from_numpy(raw.x)
    path = options.folder / "table.npy"
    np.save(path, raw.x)
    dataset = Dataset("table", x, None, split(x), (0.0, 1.0), digest_rows(x), False, schema=raw.schema)
    settings = Settings(data="table", hidden=(64,), epochs=options.same_epochs)
    stream.BUFFER = 16
    found = alternately(dataset, Stored(path), settings, options.same_epochs)
    return found | {"speed": rates(dataset, Stored(path), settings, 40)}


def images(options: argparse.Namespace) -> dict[str, Any]:
    """Blurred noise in grey levels."""
    stream.BUFFER = 256
    draw = torch.Generator().manual_seed(0)
    x = torch.empty(options.images, 28, 28, dtype=torch.uint8)
    for start in range(0, len(x), 10_000):
        noise = torch.rand(min(10_000, len(x) - start), 1, 32, 32, generator=draw)
        x[start : start + 10_000] = (255 * torch.nn.functional.avg_pool2d(noise, 5, 1)[:, 0]).to(torch.uint8)
    path = options.folder / "images.npy"
    np.save(path, x.numpy())
    dataset = Dataset("images", x, None, split(x), (0.0, 255.0), digest_rows(x), False)
    return rates(dataset, Stored(path), Settings(data="images"), options.image_steps)


def levels(options: argparse.Namespace) -> dict[str, Any]:
    """A step of a decoder of 128 rows with one column of 50,000 levels, each form in its own process."""
    found = {}
    for form in ("flat", "grouped"):
        done = subprocess.run(
            [sys.executable, __file__, "--step", form], capture_output=True, text=True, check=True
        )
        found[form] = json.loads(done.stdout)
    return {"levels": PLACES, "batch": 128, "hidden": 200, **found}


def step(form: str) -> dict[str, float]:
    """Milliseconds of a gradient step, and what it adds to this process's peak memory, MiB."""
    import resource

    shares = np.random.default_rng(0).dirichlet(np.full(PLACES, 0.5)) + 1e-9
    family = column_family([Marginal("place", PLACES, shares / shares.sum(), grouped=form == "grouped")])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = torch.nn.Linear(200, family.num_outputs)
    parameters = [*network.parameters(), *family.parameters()]
    optimizer = torch.optim.Adam(parameters, fused=True)
    h, x = torch.randn(1, 128, 200), torch.randint(PLACES, (128, 1)).double()
    times = []
    for _ in range(12):
        began = time.process_time()
        optimizer.zero_grad()
        (-family(network(h)).log_prob(x).mean()).backward()
        optimizer.step()
        times.append(1000 * (time.process_time() - began))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "cpu_ms": round(float(np.median(times[2:])), 2),
        "peak_mib": round((peak - before) / 1024),
        "parameters": sum(p.numel() for p in parameters),
    }


PARTS = {"table": table, "same": same, "images": images, "levels": levels}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART", help="of " + ", ".join(PARTS))
    p.add_argument("--rows", type=int, default=20_000_000, help="of the large table")
    p.add_argument("--epoch-rows", type=int, default=16_384, help="of the large table's training")
    p.add_argument("--score-samples", type=int, default=1, help="K of its scores")
    p.add_argument("--same-rows", type=int, default=6_000, help="of the small table")
    p.add_argument("--same-epochs", type=int, default=12)
    p.add_argument("--images", type=int, default=100_000)
    p.add_argument("--image-steps", type=int, default=400)
    p.add_argument("--folder", type=Path, help="where the data are made, 8 GB; a temporary one if left out")
    p.add_argument("--step", choices=["flat", "grouped"], help=argparse.SUPPRESS)
    return p


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    if options.step:
        print(json.dumps(step(options.step)))
        return
    given = options.folder
    options.folder = Path(given or tempfile.mkdtemp(prefix="out_of_core"))
    options.folder.mkdir(parents=True, exist_ok=True)
    result = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    try:
        for name in options.parts:
            result[name] = PARTS[name](options)
            result["torch"] = torch.__version__
            print(name, json.dumps(result[name], indent=1), flush=True)
            TABLE.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    finally:
        if given is None:
            shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
