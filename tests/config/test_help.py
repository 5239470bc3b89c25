"""What --help shows: sections, and texts whose lines are full."""

import dataclasses
import importlib
import re

import pytest

from jensen.cli import COMMANDS, main
from jensen.cli.train import TrainOptions
from jensen.config import Settings
from jensen.config.help import explanations, sections

OWN = ["out", "config", "overwrite", "resume", "json"]


def help_of(command: str, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    with pytest.raises(SystemExit) as left:
        main([command, *words, "--help"])
    assert left.value.code in (0, None)
    return capsys.readouterr().out.splitlines()


def boxes(lines: list[str]) -> dict[str, list[str]]:
    """The options in each box, by its title."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if title := re.match(r"\W+((?:[a-z]+ )?(?:options|arguments)) \W+$", line):
            inside = found.setdefault(title[1], [])
        elif option := re.match(r"\W {1,2}(-h, |-o PATH, )?--([a-z-]+)", line):
            inside.append(option[2])
    return found


def test_sections_hold_every_option_once() -> None:
    found = sections(TrainOptions)
    assert list(found) == ["", "data", "model", "objective", "training"]
    assert found[""] == OWN
    named = [name for names in found.values() for name in names]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(TrainOptions))
    assert found["training"][-1] == "device", "what the settings add to a plan is of the training too"
    assert sections(Settings) == {title: [] if title == "" else names for title, names in found.items()}


def test_the_help_of_train_is_in_sections(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = boxes(help_of("train", capsys))
    dashed = {
        f"{title} options".strip(): [name.replace("_", "-") for name in names if name != "data"]
        for title, names in sections(TrainOptions).items()
    }
    dashed["options"].insert(0, "help")
    assert list(found.items()) == [("positional arguments", []), *dashed.items()]


def test_lines_end_where_the_box_does_and_not_where_the_source_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert any("dynamic: drawn anew each time a training" in line for line in help_of("train", capsys))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    options = getattr(importlib.import_module(f"jensen.cli.{command}"), f"{command.capitalize()}Options")
    assert explanations(options).keys() == {field.name for field in dataclasses.fields(options)}


def test_an_option_that_is_wrong_does_not_keep_help_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert help_of("train", capsys, "--epochs", "0") == help_of("train", capsys)
