"""A process that trains, pauses after every epoch, and goes on when told to: ``worker.py CONTESTANT``.

Orders come as lines of JSON on standard input: a task, then "go" for each epoch, then "end"; another task may
follow. After each epoch it answers with one line of JSON on what was standard output. All that libraries
print goes to standard error.
"""

import importlib
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from benchmarks.speed.tasks import Task

MODULES = {
    "jensen": "jensen_run",
    "plain loop": "torch_loops",
    "compiled step": "torch_loops",
    "compiled step, bf16": "torch_loops",
    "floor": "floor",
    "JAX": "jax_step",
    "Pythae": "pythae_trainer",
}


class Ended(Exception):  # noqa: N818
    """The task is over."""


class Turns:
    """The contestant's side of the alternation."""

    def __init__(self, answers: TextIO) -> None:
        self.answers = answers
        self.began = time.perf_counter()

    def answer(self, content: dict[str, Any]) -> None:
        """Send one line."""
        print(json.dumps(content), file=self.answers, flush=True)

    def end(self, loss: float, **more: Any) -> None:
        """An epoch has ended with this mean loss: report it, and wait for the next turn.

        Raises:
            Ended: there is none.
        """
        seconds = time.perf_counter() - self.began
        peak = peak_mib()
        self.answer({"seconds": seconds, "loss": loss, "peak_mib": peak, **more})
        if sys.stdin.readline().strip() != "go":
            raise Ended
        self.began = time.perf_counter()


def peak_mib() -> float:
    """The most memory of this process, MiB: by VmHWM, since ru_maxrss begins with that of the parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) / 1024


def versions(*packages: str) -> dict[str, str]:
    """The versions of packages, for the record; jensen may run from its source."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = importlib.import_module(name).__version__
    return found


def main() -> None:
    """Train whatever comes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name = sys.argv[1]
    module = importlib.import_module(f"benchmarks.speed.{MODULES[name]}")
    contestant: Callable[[str, Task, Turns], None] = module.contestant
    turns = Turns(answers)
    turns.answer({"versions": versions(*module.PACKAGES)})
    for line in sys.stdin:
        order = json.loads(line)
        task = Task(**order | {key: Path(order[key]) for key in ("data", "folder")})
        turns.began = time.perf_counter()
        try:
            contestant(name, task, turns)
        except Ended:
            module.clean()


if __name__ == "__main__":
    main()
