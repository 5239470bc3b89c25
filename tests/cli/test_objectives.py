"""What the commands say of what was maximised, and of options that do nothing beside it."""

from pathlib import Path

import numpy as np
import pytest

from jensen.config import read_settings
from tests.cli.helpers import Call, done

QUICK = ("--epochs", "1", "--hidden", "4", "--latent-dim", "2", "--device", "cpu")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)))
    return str(tmp_path / "x.npy")


def test_a_runs_config_can_be_started_from_and_changed(rows: str, call: Call, tmp_path: Path) -> None:
    run, again, config = tmp_path / "run", str(tmp_path / "again"), tmp_path / "run" / "config.yaml"
    done(call, "train", rows, "--out", str(run), *QUICK, "--bound", "beta", "--beta", "4")
    assert read_settings(config).baseline == "auto", "what does nothing is not chosen"
    done(call, "train", "--resume", str(run), "--epochs", "2")
    # An earlier jensen wrote a baseline where there was none, and kept no record of what it had chosen.
    text = config.read_text().replace("baseline: auto", "baseline: running-mean")
    config.write_text(text.replace("\n  chosen:", "\n  unknown:"))
    started = ("train", "--config", str(config), "--out", again, "--bound", "elbo")
    status, _, said = call(*started, "--beta", "2")
    assert (status, "--beta 2 has no effect with --bound elbo; add" in said) == (2, True)
    _, said = done(call, *started)
    assert "--beta 4 has no effect with --bound elbo, and is left out" in said
    assert read_settings(tmp_path / "again" / "config.yaml").beta == 1


@pytest.mark.parametrize(
    ("words", "name", "remark"),
    [
        ("--bound elbo", "elbo", ""),
        ("--bound beta", "beta 1", "--bound beta with --beta 1 is the ELBO"),
        ("--bound beta --beta 4", "beta 4", ""),
        ("--bound beta --beta 0.5", "beta 0.5 (no bound on log p(x))", ""),
        ("--posterior point", "reconstruction (no bound on log p(x))", "a vanilla autoencoder"),
        ("--bound iwae", "iwae", "with --num-samples 1 the iwae bound is the ELBO; give 5 or more"),
        ("--bound renyi", "renyi", "with --num-samples 1 the renyi bound is the ELBO; give 5 or more"),
        ("--bound iwae --num-samples 2", "iwae", ""),
    ],
)
def test_the_objective_is_named_for_what_it_is(
    rows: str, call: Call, tmp_path: Path, words: str, name: str, remark: str
) -> None:
    out, said = done(call, "train", rows, "--out", str(tmp_path / "run"), *QUICK, *words.split())
    assert f"best validation {name} -" in out
    assert f"epoch    1  {name}: train -" in said
    assert remark in said
    assert ("is the ELBO" in said) == ("is the ELBO" in remark)


def test_a_point_posterior_has_no_spread_and_no_trained_prior(rows: str, call: Call, tmp_path: Path) -> None:
    run, drawn, codes = (str(tmp_path / name) for name in ("run", "s.csv", "z.csv"))
    done(call, "train", rows, "--out", run, *QUICK, "--posterior", "point")
    _, said = done(call, "sample", run, "-n", "3", "-o", drawn)
    assert "training did not use the prior" in said
    _, said = done(call, "encode", run, rows, "-o", codes)
    assert Path(codes).read_text().splitlines()[0] == "z0,z1"
    assert "points of 2 dimensions" in said
    done(call, "train", rows, "--out", run, *QUICK, "--overwrite")
    _, said = done(call, "sample", run, "-n", "3", "-o", drawn)
    assert "prior" not in said


def test_each_gap_says_what_it_is(rows: str, call: Call, tmp_path: Path) -> None:
    """The amortization gap is no difference of the figures above it, the approximation gap a least loss."""
    run = str(tmp_path / "run")
    done(call, "train", rows, "--out", run, *QUICK)
    out, _ = done(call, "evaluate", run, "--num-samples", "5", "--refine-steps", "2")
    gaps = [line for line in out.splitlines() if "tion gap" in line]
    assert gaps[0].endswith("refined ELBO - ELBO, same rows and draws: what one encoder for all loses")
    assert gaps[1].endswith("- refined ELBO, same rows: the family loses at least this")
