"""What a run whose first epoch fails, or that is begun over another, leaves in its folder."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jensen.run import Run
from jensen.training.step import Step
from tests.cli.helpers import TRAIN, Call, digests, done, refused

DIVERGES = ("--lr", "1e30", "--optimizer", "muon", "--batch-size", "16")


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C comes after the first step of training."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def stopping(self: Step, stored: torch.Tensor) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Step, "__call__", stopping)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_first_epoch_that_diverges_leaves_the_folder_free(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", str(trained / "d.npy"), *TRAIN)
    said = refused(call, *words, *DIVERGES)
    assert "diverged in epoch 1" in said
    assert said.endswith("; nothing was written to runs/d")
    assert not Path("runs/d").exists()
    Path("kept").mkdir()
    Path("kept/notes.txt").write_text("of the user")
    refused(call, *words, *DIVERGES, "--out", "kept")
    assert list(digests(Path("kept"))) == ["notes.txt"]
    done(call, *words, "--out", "kept")


def test_a_run_is_replaced_once_the_new_one_has_an_epoch(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", str(trained / "d.npy"), *TRAIN, "--out", "run")
    done(call, *words)
    before = digests(Path("run"))
    refused(call, *words, "--overwrite", *DIVERGES)
    assert digests(Path("run")) == before
    done(call, *words, "--overwrite", "--seed", "1")
    assert Run.open("run").settings.seed == 1
    assert len(Run.open("run").history()) == 3
    done(call, "evaluate", "run", "--num-samples", "2", "--refine-steps", "0")


def test_ctrl_c_in_the_first_epoch_leaves_the_run_that_was_to_be_replaced(
    trained: Path, tmp_path: Path, request: pytest.FixtureRequest, call: Call
) -> None:
    run = tmp_path / "run"
    words = ("train", str(trained / "d.npy"), *TRAIN, "--out", str(run))
    done(call, *words)
    before = digests(run)
    request.getfixturevalue("interrupted")
    status, _, said = call(*words, "--overwrite")
    assert status == 130
    again = f"jensen {' '.join(words)} --overwrite"
    assert said.splitlines()[-1] == f"jensen: interrupted: {run}: nothing was changed; go on with: {again}"
    assert digests(run) == before


def test_ctrl_c_before_the_first_step_leaves_the_folder_free(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """As while data larger than memory are made ready: the command that is said to go on with is taken."""
    run = tmp_path / "run"
    words = ("train", str(trained / "d.npy"), *TRAIN, "--out", str(run))

    def stopping(*_: object) -> None:
        assert (run / "config.yaml").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jensen.session.build_estimator", stopping)
        status, _, said = call(*words)
    assert status == 130
    again = f"jensen {' '.join(words)}"
    assert said.splitlines()[-1] == f"jensen: interrupted: {run}: nothing was changed; go on with: {again}"
    assert not run.exists()
    done(call, *words)
