"""Commands that print figures print them as one JSON object, which agrees with what they write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.helpers import TRAIN, Call, done


@pytest.fixture
def table(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table that misses cells and its run, which is the current one."""
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draws.normal(size=80), "b": draws.choice(["u", "v"], 80)})
    frame["given"] = draws.choice(["x", "y"], 80)
    frame.loc[:4, "a"] = None
    frame.to_csv("t.csv", index=False)
    done(call, "train", "t.csv", "--out", "run", *TRAIN)
    done(call, "train", "t.csv", "-o", "if", "--condition", "given", *TRAIN)
    return tmp_path


def figures(call: Call, *words: str) -> dict[str, Any]:
    out, _ = done(call, *words, "--json")
    found: dict[str, Any] = json.loads(out)
    return found


def test_score(table: Path, call: Call) -> None:
    found = figures(call, "score", "run", "t.csv", "-o", "s.csv", "--num-samples", "20")
    scores = pd.read_csv("s.csv")
    assert (found["run"], found["out"], found["unit"], found["n"]) == ("run", "s.csv", "nats", 80)
    assert found["log_px"]["value"] == pytest.approx(scores.log_px.mean())
    assert found["log_px"]["standard_error"] == pytest.approx(scores.log_px.std() / 80**0.5)
    assert found["num_samples"] == 20
    assert found["effective_sample_size"] == pytest.approx(scores.effective_sample_size.mean())
    assert found["reference"] == 64
    assert isinstance(found["cautions"], list)


def test_impute(table: Path, call: Call) -> None:
    found = figures(call, "impute", "run", "t.csv", "-o", "f.csv", "--draws", "2")
    assert found == {
        "run": "run",
        "out": ["f-1.csv", "f-2.csv"],
        "cells": 5,
        "rows": 5,
        "left": {"given": 0, "unknown": 0},
    }


def test_sample(table: Path, call: Call) -> None:
    assert figures(call, "sample", "run", "-n", "3", "-o", "n.csv") == {"run": "run", "out": "n.csv", "n": 3}
    words = ("sample", "run", "-n", "3", "-o", "n.csv", "--where")
    found = figures(call, *words, "b = u")
    assert found["where"] == "b = u"
    other = figures(call, *words, "b = v")
    total = found["probability"]["value"] + other["probability"]["value"]
    errors = found["probability"]["standard_error"], other["probability"]["standard_error"]
    assert abs(total - 1) < 5 * sum(errors), "the two are all that b can be"
    assert found["proposed"] >= found["effective_sample_size"] >= 3
    assert set(figures(call, *words, "a = 0.5")) >= {"density"}
    words = ("sample", "if", "-n", "3", "-o", "n.csv", "--where")
    given = figures(call, *words, "given = x")
    assert given == {"run": "if", "out": "n.csv", "n": 3, "where": "given = x"}
