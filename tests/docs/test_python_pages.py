"""The Python blocks of a page, one after the other, are a program that runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"


def run(name: str, others: int = 0) -> dict[str, Any]:
    """What the program of a page, with so many blocks of other kinds, has named at its end."""
    page = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) + others == page.count("```") // 2
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, name, "exec"), names)
    return names


def test_your_own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("your-own-modules.md")
    assert names["state"].best_value > -7.2  # nats; -7.7 untrained
    assert names["found"].value > names["state"].best_value  # it has no gap of amortization
    elbo = names["figures"]["elbo"].mean()
    assert np.isclose(elbo, names["run"].history()[-1]["validation_bound"], atol=3)
    assert names["x"].shape == (180, 8, 8)
    assert names["z"].shape == (180, 8)
    assert names["new"].shape == (16, 8, 8)
    assert names["decoded"].shape == (180, 8, 8)
    assert names["kinds"].unique().tolist() == list(range(10))


def test_readme() -> None:
    names = run("../README.md", others=5)
    assert names["Z"].shape == (200, 2)
    assert names["scores"].shape == (200,)
    assert names["bound"].shape == (128,)
    assert names["new"].shape == (64, 784)


def test_a_conditional_model_of_your_own() -> None:
    names = run("conditions.md")
    assert names["state"].best_value > -10.5  # nats; -13.9 untrained
    torch.testing.assert_close(
        names["figures"]["elbo"].mean().item(), names["state"].best_value, atol=0.2, rtol=0
    )
    assert names["new"][:, -1].tolist() == [0, 1, 2] * 2


def test_the_algorithms_of_the_lecture() -> None:
    names = run("algorithms.md")
    assert names["state"].best_value < names["log_likelihood"].value > -8.7  # nats; -9.7 untrained
    assert [part.shape for part in (names["by_weight"], names["by_bias"])] == [(5, 2), (5,)]
    for gradient, tolerance in ((names["by_score"], 0.06), (names["by_path"], 0.03)):  # 5 standard errors
        torch.testing.assert_close(gradient, 2 * names["mean"].detach(), atol=tolerance, rtol=0)
    assert names["new"].shape == (100, 5)
