"""Annotated matrices: which matrix of a file is read, and what is known of its cells and genes."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from jensen.data import load
from jensen.data.labelling import give_known_labels, give_labels
from jensen.data.labels import LABEL
from jensen.errors import UserError
from tests.cli.helpers import write_h5ad

pytest.importorskip("anndata", reason="the extra h5ad is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of anndata and pandas, about each other

COUNTS = np.random.default_rng(0).poisson(2.0, (20, 5))
LOGS = np.log1p(COUNTS)


def test_cells_and_genes_keep_their_names(tmp_path: Path) -> None:
    genes = [f"gene-{number}" for number in range(5)]
    dataset = load(write_h5ad(tmp_path / "named.h5ad", COUNTS, genes=genes))
    assert (dataset.names[:2], dataset.names_are) == (("AAC0", "AAC1"), "barcode")
    assert dataset.features == tuple(genes)
    assert load(write_h5ad(tmp_path / "numbered.h5ad", COUNTS)).features == (), (
        "numbers of columns are no names"
    )


def test_counts_are_found_in_their_layer(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "d.h5ad", LOGS, layers={"counts": sparse.csr_matrix(COUNTS), "z": LOGS})
    dataset = load(path)
    assert np.array_equal(dataset.x.numpy(), COUNTS)
    assert (dataset.x.dtype, dataset.is_count) == (torch.uint8, True)
    assert any("X holds no counts, so its layer 'counts' is taken" in note for note in dataset.notes)
    assert load(f"{path}:counts").digest == dataset.digest
    assert np.array_equal(load(f"{path}:X").x.numpy(), LOGS.astype(np.float32)), "X where it is asked for"
    with pytest.raises(UserError, match=r"no matrix 'count' \(did you mean counts\?\); it has counts, z, X"):
        load(f"{path}:count")


def test_other_counts_are_named_and_taken_where_they_are_asked_for(tmp_path: Path) -> None:
    wide = np.hstack([COUNTS, COUNTS])
    path = write_h5ad(tmp_path / "d.h5ad", LOGS, layers={"umis": COUNTS, "counts": LOGS}, raw=wide)
    dataset = load(path)
    assert not dataset.is_count, "a layer that is called so and holds none is not taken for counts"
    said = [note for note in dataset.notes if "X holds no counts" in note]
    assert [note.rpartition(": ")[2] for note in said] == [f"{path}:{n} takes that" for n in ("umis", "raw")]
    assert np.array_equal(load(f"{path}:umis").x.numpy(), COUNTS)
    raw = load(f"{path}:raw")
    assert np.array_equal(raw.x.numpy(), wide)
    assert raw.features == tuple(f"raw-{number}" for number in range(10)), "genes of its own"
    with pytest.raises(UserError, match=r"has no matrix X; give .*:NAME with another one, of umis"):
        load(write_h5ad(tmp_path / "none.h5ad", None, layers={"umis": COUNTS}))


def test_x_is_x_beside_a_layer_of_that_name(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "d.h5ad", COUNTS, layers={"X": COUNTS + 1})
    for name in (path, f"{path}:X"):
        assert np.array_equal(load(name).x.numpy(), COUNTS)


def test_several_numbers_of_a_place_are_added_up(tmp_path: Path) -> None:
    values, genes, ends = np.array([200, 100, 3], np.uint8), [1, 1, 0], [0, 2, *[3] * 19]
    twice = sparse.csr_matrix((values.astype(np.int64), genes, ends), (20, 5))
    x = load(write_h5ad(tmp_path / "d.h5ad", twice)).x
    assert (int(x[0, 1]), int(x[1, 0]), int(x.sum())) == (300, 3, 303)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_numbers_of_any_size_stay_what_they_are(tmp_path: Path, form: Any) -> None:
    kinds = {255: torch.uint8, 256: torch.int16, 1e10: torch.int64, 1e30: torch.float64}
    kinds |= {0.5: torch.float32, -3: torch.float32, 1e300: torch.float64}
    for number, (largest, kind) in enumerate(kinds.items()):
        x = COUNTS.astype(float)
        x[3, 2] = largest
        dataset = load(write_h5ad(tmp_path / f"{number}.h5ad", form(x)))
        assert (dataset.x.dtype, dataset.is_count) == (kind, not kind.is_floating_point)
        assert np.array_equal(dataset.x.numpy(), x)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_what_is_no_number_is_refused_where_it_is(tmp_path: Path, form: Any) -> None:
    for number, (value, said) in enumerate(
        [
            (np.inf, "0 NaN and 1 infinite values, the first at row 3, column 2"),
            (np.nan, "1 NaN"),
            (1j, "complex"),
        ]
    ):
        x = COUNTS.astype(type(value))
        x[3, 2] = value
        with pytest.raises(UserError, match=said):
            load(write_h5ad(tmp_path / f"{number}.h5ad", form(x)))


def test_names_may_occur_twice(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "d.h5ad", COUNTS, genes=["a", "b", "a", "c", "d"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert load(path).features == ()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.h5ad").write_bytes(b"nothing")
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path / "d.h5ad")


def test_columns_of_obs_are_given_by_their_levels(tmp_path: Path) -> None:
    obs = {
        "Cell_Type": pd.Categorical(["b", "a"] * 10, pd.Index(["b", "a", "c"], dtype=object)),
        "batch": ["b2", "b10"] * 10,
        "donor": [3, 1, None, 2] * 5,
        "day": [0.5, 1.0] * 10,
        "good": [True, False, False, True] * 5,
    }
    dataset = load(write_h5ad(tmp_path / "d.h5ad", COUNTS, obs))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 1] * 10
    names = ["batch", "donor", "day", "good", "Cell_Type", LABEL]
    made = give_labels(dataset, names)
    assert made.given is not None
    assert made.given.levels == {
        "batch": ("b2", "b10"),  # as anndata orders them
        "donor": ("", "1", "2", "3"),  # a missing cell is a level like any other
        "day": ("0.5", "1"),
        "good": ("False", "True"),
        "Cell_Type": ("b", "a"),  # in their own order, where they have one; and only those that occur
        LABEL: ("b", "a"),
    }
    rows = made.source[torch.arange(4)]
    x, numbers = made.given.split(rows)
    assert np.array_equal(x.numpy(), COUNTS[:4])
    texts = made.given.texts(numbers)
    assert texts["donor"] == ["3", "1", "", "2"]
    assert texts["Cell_Type"] == texts[LABEL] == ["b", "a", "b", "a"]
    alone = [give_labels(dataset, [name]).digest for name in names]
    assert len({dataset.digest, made.digest, *alone}) == 2 + 5, "what is given is part of the data"


def test_rows_for_a_trained_run_bring_the_same_columns(tmp_path: Path) -> None:
    obs = {"batch": ["b1", "b2", "b2", "b3"] * 5, "donor": [1.0, 2.0] * 10}
    labels = give_labels(load(write_h5ad(tmp_path / "d.h5ad", COUNTS, obs)), ["donor", "batch"]).given
    assert labels is not None
    other = load(write_h5ad(tmp_path / "o.h5ad", COUNTS, {"batch": ["b3", "b2"] * 10, "donor": [2] * 20}))
    made = give_known_labels(other, labels)
    assert made.contexts is not None
    assert made.contexts[:2].tolist() == [[1, 2], [1, 1]], "numbered as in training"
    new = load(write_h5ad(tmp_path / "n.h5ad", COUNTS, {"batch": ["b3", "b9"] * 10, "donor": [2] * 20}))
    with pytest.raises(UserError, match=r"10 of 20 rows have values of 'batch'.*\(b9\); it had b1, b2, b3"):
        give_known_labels(new, labels)
    new = load(write_h5ad(tmp_path / "m.h5ad", COUNTS, {"batch": ["b3", "b2"] * 10, "donor": [2, None] * 10}))
    with pytest.raises(UserError, match=r"values of 'donor' that training had not \(no donor\); it had 1, 2"):
        give_known_labels(new, labels)
    new = load(write_h5ad(tmp_path / "l.h5ad", COUNTS, {"donors": [2] * 20}))
    with pytest.raises(UserError, match=r"no column 'donor' \(in training 1, 2\) \(did you mean donors\?\)"):
        give_known_labels(new, labels)


def test_what_is_no_label_is_refused_with_the_mend(tmp_path: Path) -> None:
    obs = {"depth": np.arange(300).repeat(2) / 7, "one": ["b"] * 600, "cell": [f"c{n}" for n in range(600)]}
    dataset = load(write_h5ad(tmp_path / "d.h5ad", np.tile(COUNTS, (30, 1)), obs))
    for name, said in {
        "dept": r"no column 'dept' \(did you mean depth\?\); the columns are depth, one, cell",
        "depth": r"300 different numbers.*at most 100.*pandas.qcut\(obs\['depth'\], 5.*astype\(str\)",
        "one": r"has 1 level in 600 rows \(b\), from which nothing can be learned",
        "cell": r"has 600 levels in 600 rows",
        LABEL: r"d.h5ad has no labels.*as in --condition depth: there are depth, one, cell",
    }.items():
        with pytest.raises(UserError, match=said):
            give_labels(dataset, [name])
    bare = load(write_h5ad(tmp_path / "bare.h5ad", COUNTS))
    with pytest.raises(UserError, match=r"bare.h5ad has no labels.*column of obs, such as") as refusal:
        give_labels(bare)
    assert "sub-folders" not in str(refusal.value)
    with pytest.raises(
        UserError, match=r"bare.h5ad: its obs has no column 'batch'; it has none: write this one"
    ):
        give_labels(load(bare.name), ["batch"])
    np.savez(tmp_path / "d.npz", x=COUNTS, y=np.arange(20) % 2)
    with pytest.raises(UserError, match=r"--condition batch: .*d.npz is no table.*write --condition label"):
        give_labels(load(tmp_path / "d.npz"), ["batch"])


def test_an_annotated_matrix_in_python_is_refused_with_the_mend() -> None:
    import anndata

    with pytest.raises(UserError, match=r"AnnData, which is no rows in memory; .*adata.X"):
        load(anndata.AnnData(LOGS))
