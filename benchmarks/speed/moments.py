"""Two more comparisons: from the start of a process to the first epoch, and log p(x) of given images."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from .processes import PEERS_PYTHON, Worker, available, environment
from .tasks import PIXELS, Task

STARTERS = ("jensen", "plain loop", "Pythae")


def starts(folder: Path, seed: int, repeats: int) -> dict[str, list[float]]:
    """Seconds from the start of a process to the end of the first epoch on 1,797 digits.

    jensen is started as a user starts it, ``jensen train digits``; the others are given the digits as an
    array that is wide enough for the network of the main comparison.
    """
    digits = np.zeros((1797, PIXELS), dtype=np.uint8)
    digits[:, :64] = load_digits().data > 7
    np.save(folder / "digits.npy", digits)
    task = Task(folder / "digits.npy", 1797, 0, 128, seed, folder, {})
    seconds: dict[str, list[float]] = {name: [] for name in STARTERS if name in available()}
    for _ in range(repeats):
        for name, found in seconds.items():
            began = time.perf_counter()
            if name == "jensen":
                _first_line_of_jensen(folder / "start")
            else:
                worker = Worker(name, folder / f"{name} start.log")
                worker.order(task)
                worker.answer()
            found.append(time.perf_counter() - began)
            if name != "jensen":
                worker.end()
                worker.stop()
    return seconds


def _first_line_of_jensen(out: Path) -> None:
    """Start ``jensen train digits`` and wait for the line of the first epoch."""
    command = [sys.executable, "-m", "jensen", "train", "digits", "--overwrite", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith(b"epoch"):
                return
        raise RuntimeError("jensen train digits has printed no epoch")
    finally:
        process.kill()
        process.wait()


def likelihoods(task: Task, images: int, num_samples: int, repeats: int) -> dict[str, Any]:
    """The importance-weighted bound by jensen and by Pythae: same weights, same images, seconds an image."""
    from jensen.evaluation import importance_weighted
    from jensen.session import start

    from .jensen_run import settings_of

    run = start(settings_of(task).replace(epochs=2), task.folder / "likelihood", overwrite=True)
    model = run.model()
    x = np.load(task.data)[:images]
    np.save(task.folder / "images.npy", x)
    modules = [*model.encoder.modules(), *model.decoder.modules()]
    layers = [module for module in modules if isinstance(module, torch.nn.Linear)]
    arrays: dict[str, Any] = {f"weight{i}": layer.weight.detach().numpy() for i, layer in enumerate(layers)}
    # jensen's encoder gives log sigma, Pythae's log sigma^2.
    arrays |= {f"bias{i}": layer.bias.detach().numpy() for i, layer in enumerate(layers)}
    half = len(arrays["bias1"]) // 2
    for name in ("weight1", "bias1"):
        arrays[name] = np.concatenate([arrays[name][:half], 2 * arrays[name][half:]])
    np.savez(task.folder / "weights.npz", **arrays)
    seconds: dict[str, list[float]] = {"jensen": [], "Pythae": []}
    values: dict[str, float] = {}
    prepared = torch.from_numpy(x).float()
    for i in range(repeats):
        torch.manual_seed(i)
        began = time.perf_counter()
        bound = importance_weighted(model, prepared, num_samples)["iwae"]
        seconds["jensen"].append((time.perf_counter() - began) / images)
        values["jensen"] = bound.mean().item()
        if PEERS_PYTHON.exists():
            found = _pythae(task.folder, num_samples)
            seconds["Pythae"].append(found["seconds"] / images)
            values["Pythae"] = found["log_px"]
    return {
        "images": images,
        "K": num_samples,
        "seconds_an_image": {name: statistics.median(s) for name, s in seconds.items() if s},
        "log_px": values,
    }


def _pythae(folder: Path, num_samples: int) -> dict[str, float]:
    command = [str(PEERS_PYTHON), "-m", "benchmarks.speed.pythae_trainer"]
    command += [str(folder / "weights.npz"), str(folder / "images.npy"), str(num_samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
