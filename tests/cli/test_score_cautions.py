"""What `jensen score` says before its scores are trusted."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from jensen.data import load
from jensen.run import Run
from jensen.scores import column_names, learned_by_heart
from tests.cli.helpers import TRAIN, Call, done


def write(path: Path, names: list[str], rows: list[list[float]]) -> str:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return str(path)


def test_a_small_wide_table_is_learned_by_heart_and_that_is_said(tmp_path: Path, call: Call) -> None:
    """60 rows of 200 columns, the weights of which are many times the cells."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 3)) @ draw.normal(size=(3, 200)) + 0.3 * draw.normal(size=(60, 200))
    x[7] += 6 * draw.normal(size=200)
    names = [f"c{i}" for i in range(200)]
    data, run = write(tmp_path / "x.csv", names, x.tolist()), str(tmp_path / "run")
    done(call, "train", data, "--out", run, "--device", "cpu", "--patience", "0", "--epochs", "40")
    _, said = done(call, "score", run, data, "-o", str(tmp_path / "s.csv"))
    assert said.count("caution: training rows score higher than rows held out in 9") == 1
    assert "VAEOutlierDetector" in said
    assert said.count("caution: an effective sample size of ") == 1
    other = write(tmp_path / "other.csv", names, x[:30].tolist())
    _, said = done(call, "score", run, other, "-o", str(tmp_path / "s.csv"))
    assert "held out" not in said, "of other rows nothing is known"
    out, _ = done(call, "evaluate", run, "--limit", "3", "--refine-steps", "2", "--num-samples", "100")
    assert "caution: an effective sample size of " in out


def test_rows_learned_by_heart_are_told_by_the_pairs_of_scores(trained: Path) -> None:
    run, dataset = Run.open(trained / "run"), load(str(trained / "d.npy"))
    run.settings = run.settings.replace(data=str(trained / "d.npy"))
    of_training = np.isin(np.arange(60), run.dataset().numbers("train").numpy())
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=60) + 2.0 * of_training)
    share = learned_by_heart(run, dataset, scores)
    assert share == pytest.approx(roc_auc_score(of_training, scores))
    assert learned_by_heart(run, dataset, torch.zeros(60)) is None, "no difference"
    assert learned_by_heart(run, load(np.zeros((60, 5)) + np.arange(5)), scores) is None, "other rows"
    assert learned_by_heart(run, dataset, scores[:30]) is None, "some rows"


def test_a_value_that_cannot_be_is_said_with_its_column(tmp_path: Path, call: Call) -> None:
    draw = np.random.default_rng(0)
    rows = [[float(x), float(np.exp(2 * y))] for x, y in draw.normal(size=(60, 2))]
    data = write(tmp_path / "x.csv", ["height", "price"], rows)
    run, new = str(tmp_path / "run"), write(tmp_path / "new.csv", ["height", "price"], [rows[0], [0.1, -5]])
    done(call, "train", data, "--out", run, *TRAIN)
    words = ("score", run, new, "-o", str(tmp_path / "s.csv"))
    _, said = done(call, *words, "--per-column")
    assert "caution: 1 row has a value that cannot be under the model" in said
    assert said.rstrip().endswith("in column price")
    assert "--per-column says in which column" in done(call, *words)[1]
    _, said = done(call, "score", run, data, "-o", str(tmp_path / "s.csv"))
    assert "cannot be" not in said


def test_numbers_of_images_are_called_by_their_places(trained: Path) -> None:
    names = column_names(Run.open(trained / "images"))
    assert len(names) == 16
    assert names[:5] == ["x0_0", "x0_1", "x0_2", "x0_3", "x1_0"]
    assert column_names(Run.open(trained / "run")) == ["x0", "x1", "x2", "x3", "x4"]


def test_numbers_of_one_likelihood_are_on_no_grid(tmp_path: Path, call: Call) -> None:
    """Whole numbers that are modelled as real ones: halves, and numbers below 0, are as likely as any."""
    draw = np.random.default_rng(0)
    data = write(tmp_path / "x.csv", ["a", "b"], draw.integers(0, 30, (80, 2)).tolist())
    new = write(tmp_path / "new.csv", ["a", "b"], [[-1, 2.5]])
    run, out = str(tmp_path / "run"), str(tmp_path / "s.csv")
    done(call, "train", data, "--likelihood", "normal", "--out", run, *TRAIN)
    _, said = done(call, "score", run, new, "-o", out, "--strict")
    assert "steps" not in said
    assert "below 0" not in said
