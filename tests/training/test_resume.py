"""A run that was stopped and resumed is the run that was never stopped: same weights, same figures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import jensen.saving
import jensen.training.schedules
from jensen.config import Settings
from jensen.errors import UserError
from jensen.run import Run
from jensen.session import resume, start
from jensen.tensors import load_tensors

SOURCE = Path(__file__).parents[2] / "src"
SMALL = {"hidden": (8,), "latent_dim": 2, "batch_size": 16, "patience": 0, "device": "cpu"}
TIMES = ("seconds", "rows_per_second", "compiling")


class StoppedError(Exception):
    """Stands for the end of the process, just after a checkpoint."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    draws = np.random.default_rng(0)
    latent = draws.normal(size=(90, 2))
    normal = latent @ draws.normal(size=(2, 6)) + 0.3 * draws.normal(size=(90, 6))
    paths = {name: str(folder / f"{name}.npy") for name in ("normal", "grey")}
    np.save(paths["normal"], normal)
    np.save(paths["grey"], 1 / (1 + np.exp(-normal)))
    return paths


def figures(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in run.history()]


def assert_equal(one: Run, other: Run) -> None:
    assert figures(one) == figures(other)
    for name in ("model.safetensors", "checkpoint/state.safetensors"):
        a, b = load_tensors(one.path / name)[0], load_tensors(other.path / name)[0]
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name


def stop_after(epoch: int) -> Any:
    def on_epoch(state: Any) -> None:
        if state.epoch == epoch:
            raise StoppedError

    return on_epoch


CASES: dict[str, dict[str, Any]] = {
    "plateau": {"lr": 0.05},
    "cosine": {"lr_schedule": "cosine"},
    "kl-warmup": {"kl_warmup": 5},
    "dynamic binarization": {"binarize": "dynamic"},
    "static binarization": {"binarize": "static"},
    "muon, averaged": {"optimizer": "muon", "average": 0.99},
    "adamw, clipped": {"optimizer": "adamw", "weight_decay": 0.1, "grad_clip": 1.0},
    "clipped by the running norm": {"grad_clip_ratio": 1.0},
    "iwae, two samples": {"bound": "iwae", "num_samples": 2},
    "running-mean baseline": {"estimator": "score-function", "baseline": "running-mean"},
}


@pytest.mark.parametrize("name", CASES)
def test_stopped_anywhere_equals_never_stopped(
    name: str, rows: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jensen.saving, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(jensen.training.schedules, "PLATEAU_PATIENCE", 1)
    changes = CASES[name]
    data = rows["grey" if "binarize" in changes else "normal"]
    settings = Settings(data=data, epochs=6, **SMALL, **changes)
    whole = start(settings, tmp_path / "whole")
    for stop in (1, 4):
        path = tmp_path / f"stopped {stop}"
        with pytest.raises(StoppedError):
            start(settings, path, on_epoch=stop_after(stop))
        assert [line["epoch"] for line in Run.open(path).history()] == list(range(1, stop + 1))
        assert_equal(resume(path, {}), whole)
    if name == "plateau":
        rates = {line["lr"] for line in whole.history()}
        assert len(rates) > 1, "the learning rate was never lowered, so this test shows nothing"


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_caller_who_takes_no_gradients_gets_the_same_run(
    rows: dict[str, str], tmp_path: Path, off: Any
) -> None:
    settings = Settings(data=rows["normal"], epochs=2, **SMALL)
    whole = start(settings, tmp_path / "whole")
    with off():
        start(settings.replace(epochs=1), tmp_path / "off")
        assert_equal(resume(tmp_path / "off", {"epochs": 2}), whole)


def test_stopped_twice_equals_never_stopped(
    rows: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jensen.saving, "SAVE_SECONDS", 0.0)
    settings = Settings(data=rows["normal"], epochs=6, **SMALL)
    with pytest.raises(StoppedError):
        start(settings, tmp_path / "a", on_epoch=stop_after(2))
    with pytest.raises(StoppedError):
        resume(tmp_path / "a", {}, on_epoch=stop_after(3))
    assert_equal(resume(tmp_path / "a", {}), start(settings, tmp_path / "b"))


def test_more_epochs_equal_as_many_from_the_beginning(rows: dict[str, str], tmp_path: Path) -> None:
    settings = Settings(data=rows["normal"], epochs=2, **SMALL)
    start(settings, tmp_path / "a")
    longer = resume(tmp_path / "a", {"epochs": 5})
    assert_equal(longer, start(settings.replace(epochs=5), tmp_path / "b"))
    assert Run.open(tmp_path / "a").settings.epochs == 5
    longer.model()  # the weights still belong to the config.yaml, although its epochs changed


def test_a_finished_run_is_not_trained_further(rows: dict[str, str], tmp_path: Path) -> None:
    settings = Settings(data=rows["normal"], epochs=60, lr=0.3, **{**SMALL, "patience": 2})
    ended = figures(start(settings, tmp_path / "a"))
    assert len(ended) < 60, "patience never ended this run, so this test shows nothing"
    assert figures(resume(tmp_path / "a", {})) == ended
    patient = figures(resume(tmp_path / "a", {"patience": 4}))
    assert patient[: len(ended)] == ended
    assert len(patient) > len(ended)


def test_missing_weights_and_metrics_are_written_anew(rows: dict[str, str], tmp_path: Path) -> None:
    run = start(Settings(data=rows["normal"], epochs=2, **SMALL), tmp_path / "a")
    before = {name: (run.path / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")}
    for name in before:
        (run.path / name).unlink()
    resume(run.path, {})
    assert {name: (run.path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"latent_dim": 3}, {"seed": 1}, {"data": "digits"}])
def test_what_an_epoch_computes_cannot_change(
    change: dict[str, Any], rows: dict[str, str], tmp_path: Path
) -> None:
    run = start(Settings(data=rows["normal"], epochs=1, **SMALL), tmp_path / "a")
    with pytest.raises(UserError, match="cannot change when a run is resumed"):
        resume(run.path, change)


def test_a_setting_edited_in_the_config_is_noticed(rows: dict[str, str], tmp_path: Path) -> None:
    run = start(Settings(data=rows["normal"], epochs=1, **SMALL), tmp_path / "a")
    text = run.config.read_text()
    run.config.write_text(text.replace("lr: 0.001", "lr: 0.002"))
    with pytest.raises(UserError, match="was altered"):
        resume(run.path, {"epochs": 2})


# One process that forks a training run for each delay, and kills it after that delay.
KILLER = """
import os, signal, sys, time
from pathlib import Path
import jensen.saving
import jensen.session
from jensen.config import read_settings

jensen.saving.SAVE_SECONDS = 0.0
settings, folder = read_settings(Path(sys.argv[1])), Path(sys.argv[2])
jensen.session.start(settings, folder / "warm")
began = time.monotonic()
jensen.session.start(settings, folder / "whole")
whole = time.monotonic() - began
kills = int(sys.argv[3])
for number in range(kills):
    child = os.fork()
    if child == 0:
        jensen.session.start(settings, folder / str(number))
        os._exit(0)
    time.sleep(whole * (number + 1) / (kills + 1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_a_run_can_be_resumed(rows: dict[str, str], tmp_path: Path) -> None:
    kills, epochs, stopped_early = 12, 8, 0
    config = tmp_path / "settings.yaml"
    config.write_text(
        yaml.safe_dump(
            {"data": rows["normal"], "epochs": epochs, "hidden": "8", "latent_dim": 2, "batch_size": 32,
             "device": "cpu"}
        )
    )  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLER, str(config), str(tmp_path), str(kills)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=100)
    whole = Run.open(tmp_path / "whole")
    for number in range(kills):
        path = tmp_path / str(number)
        for file in path.rglob("*.safetensors"):
            if not file.name.startswith("."):
                load_tensors(file)  # whole, or it would be refused
        if (path / "metrics.jsonl").exists():
            assert [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        if not (path / "config.yaml").exists():  # killed before anything was written: begin again
            start(whole.settings, path)
        else:
            lines = (path / "metrics.jsonl").read_text() if (path / "metrics.jsonl").exists() else ""
            stopped_early += lines.count("\n") < epochs
            resume(path, {})
        assert_equal(Run.open(path), whole)
        assert not list(path.rglob(".*.partial*")), "temporary files of the killed process were left"
    assert stopped_early >= kills // 6, "hardly any run was killed while it trained: this test shows little"
