"""Cells as their users keep them: a model given the batch, from the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jensen.run import Run
from tests.cli.helpers import Call, done, evaluated, refused, write_h5ad

pytest.importorskip("anndata", reason="the extra h5ad is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of anndata and pandas, about each other

RATE = 4.0
EFFECT = np.array([1.0, 1.0, 3.0, 3.0])
"""By which the second batch has more of a gene."""
GENES = ["TP53", "MYC", "ACTB", "GAPDH"]
QUICK = ["--epochs", "15", "--batch-size", "64", "--hidden", "16", "--latent-dim", "1", "--lr", "0.01"]


def cells(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Counts ``[n, 4]`` ~ Poisson(RATE * effect of the batch), and columns of obs."""
    draw = np.random.default_rng(seed)
    batch, donor = draw.choice(["b1", "b2"], n), draw.integers(1, 4, n)
    rate = RATE * np.where((batch == "b2")[:, None], EFFECT, 1.0)
    return draw.poisson(rate), {"batch": batch, "donor": donor, "cell_type": draw.choice(["a", "b"], n)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose X are logarithms and whose counts are raw, and other cells."""
    folder = tmp_path_factory.mktemp("cells")
    x, obs = cells(2000, 0)
    write_h5ad(folder / "d.h5ad", np.log1p(x), obs, genes=GENES, raw=x)
    x, obs = cells(300, 1)
    write_h5ad(folder / "o.h5ad", np.log1p(x), obs, genes=GENES, raw=x)
    return folder


def test_a_model_given_the_batch(folder: Path, call: Call, tmp_path: Path) -> None:
    data, other, run = f"{folder / 'd.h5ad'}:raw", f"{folder / 'o.h5ad'}:raw", str(tmp_path / "run")
    _, said = done(call, "train", data, "--condition", "batch,donor", "--out", run, *QUICK)
    assert "conditional on batch (2: b1, b2), donor (3: 1, 2, 3)" in said
    assert Run.open(run).dataset().digest  # found again, as it was
    for batch, effect in (("b1", np.ones(4)), ("b2", EFFECT)):
        out, where = tmp_path / f"{batch}.npz", f"batch = {batch} and donor in (1, 3)"
        done(call, "sample", run, "-n", "1000", "--where", where, "-o", str(out))
        drawn = np.load(out)
        assert set(drawn["batch"]) == {batch}
        assert set(drawn["donor"]) == {"1", "3"}
        # Chance, and what 1,600 rows leave open.
        assert drawn["x"].mean(0) == pytest.approx(RATE * effect, rel=0.12)
    for name, ending in (("encode", "z.csv"), ("reconstruct", "r.parquet"), ("score", "s.csv")):
        done(call, name, run, other, "-o", str(tmp_path / ending))
    _, obs = cells(300, 1)
    written = pd.read_parquet(tmp_path / "r.parquet")
    assert written.batch.tolist() == obs["batch"].tolist()
    assert written.donor.tolist() == [str(donor) for donor in obs["donor"]]
    out, page = evaluated(call, Path(run))
    assert "p(x) stands for p(x | batch, donor)" in out
    assert "It is conditional on batch and donor" in page
    assert "which the model never saw" in page, "cell types, which colour the plots, are not given"
    assert "cell_type</text>" in page
    said = refused(call, "sample", run, "--where", "batch = b3", "-o", str(tmp_path / "s.csv"))
    assert "'batch' has no level 'b3'" in said


def test_the_label_and_its_column_are_one(folder: Path, call: Call, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    done(
        call,
        "train",
        f"{folder / 'd.h5ad'}:raw",
        "--condition",
        "cell_type",
        "--out",
        run,
        *QUICK[2:],
        "--epochs",
        "1",
    )
    done(call, "report", run, "--limit", "20", "--num-samples", "2")
    assert "which the model is given" in Path(run, "report.html").read_text()


def test_where_counts_are_is_said_before_their_absence_is_refused(
    folder: Path, call: Call, tmp_path: Path
) -> None:
    data = str(folder / "d.h5ad")
    words = ("train", data, "--likelihood", "negative-binomial", "--out", str(tmp_path / "run"))
    status, _, said = call(*words)
    assert status == 2
    assert f"X holds no counts, and raw does: {data}:raw takes that" in said
    assert "no whole numbers" in said.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_genes_in_another_order_are_refused(folder: Path, call: Call, tmp_path: Path) -> None:
    data, run = str(folder / "d.h5ad"), str(tmp_path / "run")
    done(call, "train", data, "--out", run, *QUICK[2:], "--epochs", "1")
    x, obs = cells(30, 2)
    turned = write_h5ad(tmp_path / "t.h5ad", np.log1p(x), obs, genes=["TP53", "ACTB", "MYC", "GAPDH"])
    said = refused(call, "score", run, turned, "-o", str(tmp_path / "s.csv"))
    assert "column 2 is 'ACTB'" in said
    assert "was trained with 'MYC' there" in said
