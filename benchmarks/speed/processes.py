"""Long-lived contestants that train in turn: only one process computes at any time."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .tasks import Task, has_bfloat16
from .worker import MODULES

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEERS = ("JAX", "Pythae")
ENVIRONMENT = {"OMP_PROC_BIND": "true"}
"""For all alike, where the user has not set it: without it both OpenMP threads can land on one CPU."""


def python_of(name: str) -> Path:
    """The interpreter that a contestant runs in."""
    return PEERS_PYTHON if name in PEERS else Path(sys.executable)


def environment() -> dict[str, str]:
    """The variables of every contestant."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return ENVIRONMENT | os.environ | {"PYTHONPATH": path}


class Worker:
    """A contestant's process; see `worker`."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        command = [str(python_of(name)), "-m", "benchmarks.speed.worker", name]
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=log.parent,
                env=environment(),
            )
        self.versions: dict[str, str] = self._answer()["versions"]

    def _order(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{self.name} has ended; the end of {self.log}:\n{self.log.read_text()[-2000:]}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def begin(self, task: Task) -> dict[str, Any]:
        """Set up and train the first epoch."""
        self._order(json.dumps(dataclasses.asdict(task), default=str))
        return self._answer()

    def turn(self) -> dict[str, Any]:
        """Train one more epoch."""
        self._order("go")
        return self._answer()

    def end(self) -> None:
        """Leave this task; another may follow."""
        self._order("end")

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def alternate(workers: list[Worker], task: Task, warmup: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """The answers of each contestant, ``warmup`` epochs and then ``rounds``; the order is reversed in turn.

    The first epochs, in which things are set up and compiled, come one contestant after the other.
    """
    answers: dict[str, list[dict[str, Any]]] = {}
    for worker in workers:
        answers[worker.name] = [worker.begin(task)]
        answers[worker.name] += [worker.turn() for _ in range(warmup - 1)]
    for i in range(rounds):
        for worker in workers[:: 1 if i % 2 == 0 else -1]:
            answers[worker.name].append(worker.turn())
    for worker in workers:
        worker.end()
    return answers


def available(device: str = "cpu") -> list[str]:
    """The contestants whose environments are there, and whose precision the device has."""
    there = [name for name in MODULES if python_of(name).exists()]
    return [name for name in there if device != "cpu" or has_bfloat16() or not name.endswith("bf16")]
