"""docs/your-own-modules.md: its blocks, one after the other, are a program that runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "your-own-modules.md"


def test_the_page_runs() -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```") // 2
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["state"].best_value > -7.2  # nats; -7.7 untrained
