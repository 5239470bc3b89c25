"""What no contestant of that precision can undercut: the matrix products, and Adam's traffic in memory."""

import time
from collections.abc import Callable

import torch
from benchmarks.speed.tasks import PARAMETERS, SHAPES, Task, has_bfloat16
from benchmarks.speed.worker import Turns
from torch import Tensor

PACKAGES = ("torch",)
PASSES = 7
"""Adam reads parameter, gradient and two moments, and writes all but the gradient."""
REPEATS_OF_ROWS = 8192
"""Rows that a median is taken over, but at least five steps."""


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


def median_seconds(work: Callable[[], object], batch_size: int) -> float:
    """Of several calls."""
    work()
    seconds = []
    for _ in range(max(5, REPEATS_OF_ROWS // batch_size)):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return Tensor(seconds).median().item()


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Each turn measures anew, and answers with the seconds of an epoch's steps."""
    kinds = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if has_bfloat16() else {})
    work = {kind: products(task.batch_size, dtype) for kind, dtype in kinds.items()}
    copy = traffic()
    steps = task.rows / task.batch_size
    while True:
        with torch.no_grad():
            parts = {kind: steps * median_seconds(step, task.batch_size) for kind, step in work.items()}
            optimizer = steps * median_seconds(copy, task.batch_size) * PASSES / 2
        turns.end(0.0, parts=parts | {"optimizer": optimizer})


def clean() -> None:
    """Nothing is kept."""
