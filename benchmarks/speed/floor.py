"""What no contestant of that precision can undercut: the matrix products, and Adam's traffic in memory."""

import time
from collections.abc import Callable

import torch
from benchmarks.speed.tasks import PARAMETERS, SHAPES, Task
from benchmarks.speed.worker import Turns
from torch import Tensor

PACKAGES = ("torch",)
PASSES = 7
"""Adam reads parameter, gradient and two moments, and writes all but the gradient."""
REPEATS = 30


def products(batch_size: int, kind: torch.dtype) -> Callable[[], None]:
    """All matrix products of a step: forward, by the weights, and by the inputs but for the first layer's."""
    layers = []
    for inputs, outputs in SHAPES:
        layers.append(
            (torch.randn(batch_size, inputs), torch.randn(outputs, inputs), torch.randn(batch_size, outputs))
        )
    layers = [(x.to(kind), weight.to(kind), gradient.to(kind)) for x, weight, gradient in layers]

    def step() -> None:
        for i, (x, weight, gradient) in enumerate(layers):
            x @ weight.T
            gradient.T @ x
            if i > 0:
                gradient @ weight

    return step


def traffic() -> Callable[[], None]:
    """A copy of as many numbers as the network has: two passes."""
    source, target = torch.randn(PARAMETERS), torch.empty(PARAMETERS)

    def copy() -> None:
        target.copy_(source)

    return copy


def median_seconds(work: Callable[[], object]) -> float:
    """Of `REPEATS` calls."""
    work()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return Tensor(seconds).median().item()


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Each turn measures anew, and answers with the seconds of an epoch's steps."""
    work = {
        "fp32": products(task.batch_size, torch.float32),
        "bf16": products(task.batch_size, torch.bfloat16),
    }
    copy = traffic()
    steps = task.rows / task.batch_size
    while True:
        with torch.no_grad():
            parts = {kind: steps * median_seconds(step) for kind, step in work.items()}
            optimizer = steps * median_seconds(copy) * PASSES / 2
        turns.end(0.0, parts=parts | {"optimizer": optimizer})


def clean() -> None:
    """Nothing is kept."""
