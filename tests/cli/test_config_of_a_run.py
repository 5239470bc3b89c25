"""`--config RUN/config.yaml`: what was left to jensen in that run is left to it again."""

from pathlib import Path

import numpy as np
import pytest

from jensen.config import read_settings
from jensen.run import Run
from tests.cli.helpers import TRAIN, Call, done

QUICK = ("--epochs", "1")


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, with counts in it."""
    monkeypatch.chdir(tmp_path)
    np.save("counts.npy", np.random.default_rng(0).poisson(3.0, (60, 5)))
    return trained


@pytest.mark.parametrize(
    ("of", "line", "found"),
    [
        ("run", "--posterior point", {"posterior": "point", "bound": "reconstruction"}),
        ("run", "--posterior categorical", {"prior": "categorical", "estimator": "score-function"}),
        (
            "latents",
            "--posterior diagonal",
            {"prior": "standard", "estimator": "pathwise", "baseline": "auto"},
        ),
        ("run", "grey.npy --binarize dynamic", {"likelihood": "bernoulli", "scaling": "none"}),
        ("run", "binary.npy --likelihood bernoulli", {"likelihood": "bernoulli", "scaling": "none"}),
        ("bits", "d.npy", {"likelihood": "normal", "scaling": "per-dimension"}),
        ("counts", "--likelihood poisson", {"likelihood": "poisson", "variance": "shared"}),
    ],
)
def test_another_choice_on_top_brings_its_own(
    of: str, line: str, found: dict[str, str], here: Path, call: Call
) -> None:
    config = here / of / "config.yaml"
    if of == "latents":
        config = Path("latents/config.yaml")
        words = ("--posterior", "categorical", "--out", "latents")
        done(call, "train", str(here / "d.npy"), *TRAIN, *words)
    elif of == "counts":
        config = Path("counts/config.yaml")
        words = ("--likelihood", "negative-binomial", "--out", "counts")
        done(call, "train", "counts.npy", *TRAIN, *words)
    words = tuple(str(here / word) if word.endswith(".npy") else word for word in line.split())
    done(call, "train", *words, "--config", str(config), *QUICK, "--out", "new")
    settings = Run.open("new").settings
    assert {name: getattr(settings, name) for name in found} == found
    assert (settings.hidden, settings.latent_dim) == ((8,), 2), "which were given"


def test_the_same_settings_give_the_same_run(here: Path, call: Call) -> None:
    done(call, "train", "--config", str(here / "run" / "config.yaml"), "--out", "again")
    for name in ("config.yaml", "model.safetensors"):
        assert Path("again", name).read_bytes() == (here / "run" / name).read_bytes()


def test_what_has_been_edited_counts_as_given(here: Path) -> None:
    config = Path("config.yaml")
    config.write_text((here / "run" / "config.yaml").read_text().replace("lr: 0.001", "lr: 0.01", 1))
    settings = read_settings(config, anew=True)
    assert settings.lr == 0.01
    assert (settings.likelihood, settings.posterior, settings.batch_size) == ("auto", "auto", None)
    assert read_settings(config).likelihood == "normal", "a run's settings are complete"
