"""Long-lived contestants that train in turn: only one process computes at any time."""

import dataclasses
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .tasks import Task, has_bfloat16
from .worker import MODULES

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEERS = {"JAX": "optax", "Pythae": "pythae"}
"""What they import."""
ENVIRONMENT = {"OMP_PROC_BIND": "true"}
"""For all alike, where the user has not set it: without it both OpenMP threads can land on one CPU."""


def python_of(name: str) -> Path:
    """The interpreter of a contestant: jensen's own, or for a peer that of .venv-peers, if it is there."""
    beside = name not in PEERS or (not PEERS_PYTHON.exists() and importlib.util.find_spec(PEERS[name]))
    return Path(sys.executable) if beside else PEERS_PYTHON


def environment() -> dict[str, str]:
    """The variables of every contestant."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return ENVIRONMENT | os.environ | {"PYTHONPATH": path}


class Worker:
    """A contestant's process; see `worker`."""

    def __init__(self, name: str, log: Path, variables: Mapping[str, str] | None = None) -> None:
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
                env=environment() | dict(variables or {}),
            )

    @functools.cached_property
    def versions(self) -> dict[str, str]:
        """Of its packages: the first thing that it says, when it has imported them."""
        found: dict[str, str] = self.answer()["versions"]
        return found

    def _order(self, line: str) -> None:
        _ = self.versions
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What it says next: of an epoch that was ordered, how that was."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{self.name} has ended; the end of {self.log}:\n{self.log.read_text()[-2000:]}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def order(self, task: Task) -> None:
        """Set up and train the first epoch; `answer` waits for it."""
        self._order(json.dumps(dataclasses.asdict(task), default=str))

    def turn(self) -> dict[str, Any]:
        """Train one more epoch."""
        self._order("go")
        return self.answer()

    def end(self) -> None:
        """Leave this task; another may follow."""
        self._order("end")

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def alternate(
    contestants: Mapping[str, tuple[Worker, Task]],
    warmup: int,
    rounds: int,
    at_once: bool = False,
    say: Callable[[str], None] = lambda said: None,
) -> dict[str, list[dict[str, Any]]]:
    """The answers of each contestant, ``warmup`` epochs and then ``rounds``; the order is reversed in turn.

    The first epochs, in which things are set up and compiled, come one contestant after the other; with
    ``at_once`` the very first, side by side, and who fails in it is left out.
    """
    if at_once:
        for worker, task in contestants.values():
            worker.order(task)
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, (worker, task) in contestants.items():
        if not at_once:
            worker.order(task)
        try:
            answers[name] = [worker.answer()]
        except RuntimeError as error:
            if not at_once:
                raise
            say(str(error))
            continue
        say(f"{name} is set up: {answers[name][0]['seconds']:.1f} s")
        if not at_once:
            answers[name] += [worker.turn() for _ in range(warmup - 1)]
    for i in range(rounds + (warmup - 1 if at_once else 0)):
        for name in list(answers)[:: 1 if i % 2 == 0 else -1]:
            answers[name].append(contestants[name][0].turn())
    for name in answers:
        contestants[name][0].end()
    return answers


def available(device: str = "cpu") -> list[str]:
    """The contestants whose environments are there, and whose precision the device has."""
    there = [name for name in MODULES if python_of(name).exists()]
    return [name for name in there if device != "cpu" or has_bfloat16() or not name.endswith("bf16")]
