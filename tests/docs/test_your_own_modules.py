"""docs/your-own-modules.md: its blocks, one after the other, are a program that runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "your-own-modules.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```") // 2
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["state"].best_value > -7.2  # nats; -7.7 untrained
    elbo = names["figures"]["elbo"].mean()
    assert np.isclose(elbo, names["run"].history()[-1]["validation_bound"], atol=3)
    assert names["x"].shape == (180, 8, 8)
    assert names["z"].shape == (180, 8)
    assert names["new"].shape == (16, 8, 8)
