"""The parser's messages are one plain line each, whatever the terminal."""

import io
import re
import sys
from dataclasses import dataclass
from typing import Literal

import pytest

from jensen.cli import COMMANDS, main
from jensen.config import Settings
from jensen.config.choices import Widths
from jensen.config.parse import parse, to_arguments
from jensen.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a command that there is not."""

    latent_dim: int = 8
    """A whole number."""
    max_time: float | None = None
    """A number, or nothing."""
    bound: Literal["elbo", "iwae"] = "elbo"
    """One of two."""
    json: bool = False
    """A flag."""
    widths: Widths = ()
    """A list."""

    def __post_init__(self) -> None:
        """Refuse what is below one."""
        if self.latent_dim < 1:
            raise UserError(f"latent_dim is {self.latent_dim}; it must be at least 1")


def refusal(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        parse(Options, words, "jensen try")
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--latent-dim 0", "--latent-dim is 0; it must be at least 1"),
        ("--latent-dim x", "--latent-dim is 'x'; it must be a whole number (see jensen try --help)"),
        ("--max-time x", "--max-time is 'x'; it must be a number (see jensen try --help)"),
        ("--bound x", "--bound is x; it must be one of elbo, iwae (see jensen try --help)"),
        (
            "--bound ivae",
            "--bound is ivae (did you mean iwae?); it must be one of elbo, iwae (see jensen try --help)",
        ),
        ("--latentdim 3", "unknown option --latentdim (did you mean --latent-dim?) (see jensen try --help)"),
        ("--lat 3", "unknown option --lat (did you mean --latent-dim?) (see jensen try --help)"),
        (
            "--latentdim=3",
            "unknown option --latentdim=3 (did you mean --latent-dim?) (see jensen try --help)",
        ),
        ("--zzz", "unknown option --zzz (see jensen try --help)"),
        ("--jsn", "unknown option --jsn (did you mean --json?) (see jensen try --help)"),
        (
            "--widths 200 200",
            "--widths takes its values joined by commas, without blanks: --widths 200,200 "
            "(see jensen try --help)",
        ),
        (
            "--widths 3,x",
            "--widths: '3,x' is no list of whole numbers such as 200,200 (see jensen try --help)",
        ),
        ("--json true", "--json takes no value; leave 'true' out (see jensen try --help)"),
        ("--bound", "--bound needs a value after it (see jensen try --help)"),
        ("a b", "'a' is one word too many; put a path with spaces in quotes (see jensen try --help)"),
    ],
)
def test_messages(words: str, message: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    monkeypatch.setenv("COLUMNS", "40")
    assert refusal(*words.split()) == message


@pytest.mark.parametrize(
    "word", ["b,c", "b  c", " b", "b\nc", "x,", "é,ü", "'q'", '"q,r"', "[b]", "b\\c", ",", " "]
)
@pytest.mark.parametrize("before", [[], ["--bound", "elbo"], ["--widths", "3", "4,5"], ["--json"]])
def test_any_word_too_many_is_a_line(word: str, before: list[str]) -> None:
    said = refusal(*before, word)
    assert "\n" not in said.replace(word, "")
    assert said.endswith("(see jensen try --help)")


def test_a_list_before_the_data() -> None:
    from jensen.cli.train import TrainOptions

    for words in ("--hidden 200 200 mnist", "mnist --hidden 200, 200 --epochs 3"):
        with pytest.raises(UserError, match="joined by commas, without blanks: --hidden 200,200 "):
            parse(TrainOptions, words.split(), "jensen train")


def test_what_must_be_given() -> None:
    from jensen.cli.score import ScoreOptions

    with pytest.raises(UserError) as caught:
        parse(ScoreOptions, ["runs/a"], "jensen score")
    assert str(caught.value) == "DATA and --out PATH must be given (see jensen score --help)"


def test_defaults_and_values() -> None:
    assert parse(Options, [], "jensen try") == Options()
    words = ["--latent-dim", "3", "--max-time=1.5", "--json"]
    assert parse(Options, words, "jensen try") == Options(latent_dim=3, max_time=1.5, json=True)
    below = Options(latent_dim=5, bound="iwae")
    assert parse(Options, ["--bound", "elbo"], "jensen try", below) == Options(latent_dim=5)


def test_help_leaves_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(Options, ["--help"], "jensen try")
    assert left.value.code in (0, None)
    assert "--latent-dim INT" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_no_default_that_says_nothing(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = []
    for word in ("-h", "--help"):
        with pytest.raises(SystemExit):
            main([command, word])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1], "both are as wide as the terminal"
    assert not re.search(r"\{None\}|default:\W+(None\b|False\b|\))", shown[0])
    if command == "train":
        assert "--max-time FLOAT" in shown[0]
        assert re.search(r"\(default:\W+0\.1\)", shown[0])


def test_to_arguments() -> None:
    values = {"data": "a b.npy", "latent_dim": 3, "hidden": [200, 100], "max_time": None}
    assert to_arguments(values, Settings, "data") == [
        "a b.npy", "--latent-dim", "3", "--hidden", "200,100", "--max-time", "None",
    ]  # fmt: skip
