"""A run that was trained with relative paths is used from another folder."""

from pathlib import Path

import numpy as np
import pytest

from jensen.run import Run
from tests.cli.helpers import TRAIN, Call, done


def test_data_dir_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    draws = np.random.default_rng(0).random((90, 784)) < 0.5
    folder = tmp_path / "sets" / "binarized_mnist"
    folder.mkdir(parents=True)
    rows = {"train": draws[:50], "valid": draws[50:70], "test": draws[70:]}
    np.savez(folder / "binarized_mnist.npz", **{k: np.packbits(v, axis=1) for k, v in rows.items()})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JENSEN_DATA", raising=False)
    done(call, "train", "binarized-mnist", "--data-dir", "sets", "--out", "run", *TRAIN)
    assert Run.open("run").settings.data_dir == tmp_path / "sets"
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    done(call, "evaluate", "../run", "--num-samples", "2", "--refine-steps", "0")
    done(call, "train", "--resume", "../run", "--data-dir", "../sets", "--epochs", "4")
    assert Run.open("../run").settings.data_dir == tmp_path / "sets"
