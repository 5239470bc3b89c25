"""docs/cli.md names every command, option and JSON key that there is, and no other."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jensen.cli import COMMANDS, main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cli.md").read_text(encoding="utf-8")


def test_the_option_tables_are_those_of_the_commands() -> None:
    tables = runpy.run_path(str(DOCS / "options.py"))
    assert tables["filled"](PAGE) == PAGE, (
        "an option has changed; write the tables anew: python docs/options.py"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_section_and_every_option_a_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section = PAGE.split(f"\n## jensen {command}\n")[1].split("\n## ")[0]
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    missing = {option for option in options if f"`{option}" not in section}
    assert not missing, f"docs/cli.md does not explain {', '.join(sorted(missing))} of jensen {command}"


def test_every_json_key_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    np.save("x.npy", draws.integers(0, 256, size=(60, 3, 3)).astype(np.uint8))
    settings = "--epochs 1 --hidden 4 --latent-dim 2 --device cpu"
    assert main(f"train x.npy --out run --json {settings}".split()) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    quick = "--num-samples 4 --limit 4 --refine-steps 2 --ais --bdmc --temperatures 3 --chains 2"
    assert main(f"evaluate run --json {quick}".split()) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert not figures["not_measured"]
    keys = set(result) | set(figures)
    for figure in figures.values():
        keys |= set(figure) if isinstance(figure, dict) else set()
    keys |= set(json.loads(Path("run/metrics.jsonl").read_text()))
    missing = {key for key in keys if not re.search(rf"[`\"]{key}[`\"]", PAGE)}
    assert not missing, f"docs/cli.md does not explain the keys {', '.join(sorted(missing))}"
