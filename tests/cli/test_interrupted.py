"""What stops a command in the midst of its work: Ctrl-C, SIGTERM, a full disk, a full standard output."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import jensen.saving
from jensen.errors import UserError
from jensen.run import Run
from jensen.tensors import load_tensors
from jensen.training.state import TrainingState
from jensen.training.step import Step
from tests.cli.helpers import TRAIN, Call, digests, environment

FULL = Path("/dev/full")
STEPS = 3
"""Of an epoch: 48 rows in batches of 16."""


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Lets Ctrl-C, or another signal, come after so many steps of training."""
    # A process that a shell has put in the background ignores Ctrl-C, and so would these tests.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def prepare(number: int, by: signal.Signals = signal.SIGINT) -> None:
        taken, step = 0, Step.__call__

        def stopping(self: Step, stored: torch.Tensor) -> None:
            nonlocal taken
            step(self, stored)
            taken += 1
            if taken == number:
                signal.raise_signal(by)

        monkeypatch.setattr(Step, "__call__", stopping)

    yield prepare
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("more", [(), ("--average", "0.9", "--optimizer", "muon")])
@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_ctrl_c_amid_an_epoch_keeps_the_whole_epochs(
    save_seconds: float,
    more: tuple[str, ...],
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupt_at: Callable[..., None],
    call: Call,
) -> None:
    monkeypatch.setattr(jensen.saving, "SAVE_SECONDS", save_seconds)
    whole, stopped = tmp_path / "whole", tmp_path / "stop ped"
    words = (str(trained / "d.npy"), *TRAIN, "--epochs", "4", "--batch-size", "16", *more)
    assert call("train", *words, "--out", str(whole))[0] == 0
    with monkeypatch.context():
        interrupt_at(2 * STEPS + 2)
        status, _, said = call("train", *words, "--out", str(stopped))
        monkeypatch.undo()
    assert status == 130
    assert said.splitlines()[-1] == (
        f"jensen: interrupted: {stopped}: its 2 whole epochs are kept; go on with: jensen train --resume "
        f"'{stopped}'"
    )
    assert len(Run.open(stopped).history()) == 2
    assert call("train", "--resume", str(stopped))[0] == 0
    for name in ("model.safetensors", "checkpoint/state.safetensors"):
        one, other = load_tensors(whole / name)[0], load_tensors(stopped / name)[0]
        assert all(torch.equal(one[key], other[key]) for key in one), name


def test_a_run_that_is_killed_after_its_first_epoch_has_weights(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """Nothing is written once a process is killed: what is there after the first epoch is all."""
    run, seen = tmp_path / "run", list[int]()
    advance = TrainingState.advance

    def second(state: TrainingState, *given: Any) -> None:
        if state.epoch == 1 and not seen:
            seen.append(len(Run.open(run).history()))
            Run.open(run).model()
        advance(state, *given)

    monkeypatch.setattr(TrainingState, "advance", second)
    assert call("train", str(trained / "d.npy"), *TRAIN, "--out", str(run))[0] == 0
    assert seen == [1]


def test_sigterm_keeps_the_whole_epochs_as_ctrl_c_does(
    trained: Path, tmp_path: Path, interrupt_at: Callable[..., None], call: Call
) -> None:
    interrupt_at(2 * STEPS + 2, signal.SIGTERM)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        words = (str(trained / "d.npy"), *TRAIN, "--epochs", "4", "--batch-size", "16")
        status, _, said = call("train", *words, "--out", str(tmp_path / "run"))
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, "as it was before"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == 143
    assert "its 2 whole epochs are kept; go on with: jensen train --resume" in said.splitlines()[-1]
    assert len(Run.open(tmp_path / "run").history()) == 2


def test_ctrl_c_before_a_resumed_run_goes_on_says_that_it_is_as_it_was(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def stopped(self: Run, data_dir: Path | None = None) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "a run"
    shutil.copytree(trained / "run", run)
    monkeypatch.setattr(Run, "dataset", stopped)
    before = digests(run)
    status, _, said = call("train", "--resume", str(run), "--epochs", "9")
    assert status == 130
    again = f"jensen train --resume '{run}' --epochs 9"
    assert said.splitlines()[-1] == f"jensen: interrupted: {run}: nothing was changed; go on with: {again}"
    assert digests(run) == before


def test_ctrl_c_in_the_first_epoch_says_so_and_how_to_begin_again(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupt_at: Callable[..., None],
    call: Call,
) -> None:
    interrupt_at(1)
    status, _, said = call("train", str(trained / "d.npy"), "--out", str(tmp_path / "run"), *TRAIN)
    monkeypatch.undo()
    assert status == 130
    assert "nothing is kept; go on with: jensen train --resume" in said.splitlines()[-1]
    for command in ("evaluate", "report"):
        status, _, said = call(command, str(tmp_path / "run"))
        assert status == 2
        assert "stopped before its first checkpoint" in said
        assert f"jensen train --resume {tmp_path / 'run'}" in said
    assert call("train", "--resume", str(tmp_path / "run"))[0] == 0
    assert call("evaluate", str(tmp_path / "run"), "--num-samples", "2", "--refine-steps", "0")[0] == 0


def test_a_checkpoint_that_cannot_be_written_tells_how_to_go_on(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def fails(self: TrainingState, path: Path, config: str = "") -> None:
        raise UserError(f"cannot write {path}: File too large; give another path")

    monkeypatch.setattr(TrainingState, "save", fails)
    status, _, said = call("train", str(trained / "d.npy"), "--out", str(tmp_path / "run"), *TRAIN)
    assert status == 2
    assert "state.safetensors: File too large; free space" in said
    assert f"jensen train --resume {tmp_path / 'run'}" in said
    assert "--out" in said
    assert "give another path" not in said


@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_a_run_that_never_had_room_for_a_checkpoint_is_begun_anew_by_resuming(
    save_seconds: float, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def fails(self: TrainingState, path: Path, config: str = "") -> None:
        raise UserError(f"cannot write {path}: No space left on device; give another path")

    monkeypatch.setattr(jensen.saving, "SAVE_SECONDS", save_seconds)
    words = (str(trained / "d.npy"), *TRAIN)
    with monkeypatch.context() as full:
        full.setattr(TrainingState, "save", fails)
        assert call("train", *words, "--out", str(tmp_path / "full"))[0] == 2
    leftover = tmp_path / "full" / "checkpoint" / ".state.7-7.partial.safetensors"
    leftover.write_bytes(b"half a checkpoint")
    assert call("train", "--resume", str(tmp_path / "full"))[0] == 0
    assert call("train", *words, "--out", str(tmp_path / "whole"))[0] == 0
    full_weights, weights = (
        load_tensors(tmp_path / run / "model.safetensors")[0] for run in ("full", "whole")
    )
    assert all(torch.equal(full_weights[name], value) for name, value in weights.items())
    assert not leftover.exists()


@pytest.mark.skipif(not FULL.exists(), reason="no device here that is always full")
@pytest.mark.parametrize("line", ["--help", "--version", "evaluate run --num-samples 2 --json --limit 9"])
def test_a_full_standard_output(line: str, trained: Path) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jensen", *line.split()],
            cwd=trained,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("jensen: cannot write to standard output: No space left")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
