"""Pictures of rows: bars that fall on the values, names where there are names, facts of a table."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import Rectangle

from jensen.config import Settings
from jensen.config.settings import CHOSEN
from jensen.data.tables.schema import Column, Schema
from jensen.report import write_report
from jensen.report.axis import axis_of
from jensen.report.histograms import fitting_edges, histogram
from jensen.report.look import Look
from jensen.report.look import look as look_at
from jensen.report.style import canvas, shortened
from jensen.report.words import settings_groups
from jensen.run import Run
from jensen.session import start


@pytest.mark.parametrize("high", [1, 3, 30, 500, 70_000])
def test_edges_lie_between_whole_numbers_and_bars_hold_as_many(high: int) -> None:
    edges = fitting_edges(np.arange(high + 1.0).repeat(2))
    assert (edges % 1 == 0.5).all()
    assert len(set(np.diff(edges))) == 1
    assert high >= 500 or np.diff(edges)[0] == 1


def test_edges_respect_a_step_and_fit_real_numbers() -> None:
    edges = fitting_edges(np.arange(20) * 0.1, step=0.1)
    assert np.allclose(edges / 0.1 % 1, 0.5)
    edges = fitting_edges(np.linspace(0, 1, 100) ** 2)
    assert len(edges) == 10
    assert fitting_edges(np.full(5, 0.3)).tolist()[0] == pytest.approx(-0.2)


def test_each_level_has_a_bar_and_dates_are_dates() -> None:
    figure, [levels, dates] = canvas(400, 200, 1, 2)
    column = Column("kind", "categorical", "string", ("a", "b", "never"))
    codes = np.array([0.0] * 999 + [1.0, np.nan])
    histogram(levels, codes, codes, column)
    assert [bar.get_bbox().height for bar in levels.patches[:3] if isinstance(bar, Rectangle)] == [
        0.999,
        0.001,
        0,
    ]
    assert [label.get_text() for label in levels.get_xticklabels()] == ["a", "b", "never"]
    day = Column("when", "date", "string", step=1.0, format="%Y-%m-%d %H:%M:%S")
    codes = 86400.0 * np.arange(18_000, 19_000)
    histogram(dates, codes, codes, day)
    figure.draw_without_rendering()
    assert "2020" in [label.get_text() for label in dates.get_xticklabels()]


def test_long_names_are_cut() -> None:
    assert shortened("a" * 40, 22) == "a" * 22 + "…"
    assert shortened("a" * 23, 22) == "a" * 23


def test_settings_that_were_resolved_are_not_bold() -> None:
    settings = Settings(data="digits", hidden=(9,), epochs=3, lr=0.1, likelihood="normal", grey=True)
    run = Run(Path("run"), settings, {CHOSEN: {"hidden": [9], "lr": 0.1, "epochs": 200}})
    found = {name: (words, bold) for _, group in settings_groups(run) for name, words, bold in group}
    assert {name for name, (_, bold) in found.items() if bold} == {"data", "grey", "likelihood", "epochs"}
    old = {
        name
        for _, group in settings_groups(Run(Path("run"), settings, {}))
        for name, _, bold in group
        if bold
    }
    assert old == {"data", "grey"}, "of which nothing tells whether they were given"
    assert (found["grey"][0], found["skip-bad"][0], found["condition"][0]) == ("yes", "no", "–")


@pytest.fixture(scope="module")
def table_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a small table, conditional on one of its columns."""
    folder = tmp_path_factory.mktemp("table")
    draws = np.random.default_rng(0)
    with (folder / "t.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["age", "kind", "is member", "a question of very many words, as asked $1 or $2"])
        for _ in range(80):
            lines.writerow([draws.integers(18, 60), draws.choice(["red", "green", "blue"]),
                            draws.choice(["True", "False"]), draws.integers(0, 9)])  # fmt: skip
    settings = Settings(
        data=str(folder / "t.csv"), latent_dim=1, hidden=(4,), epochs=1, device="cpu", condition=("kind",)
    )
    run = start(settings, folder / "run")
    path = write_report(run, None, num_samples=2, limit=10, data_dir=None, device="cpu")
    return path.read_text(encoding="utf-8")


def test_a_table_has_names_and_its_facts(table_page: str) -> None:
    for words in (
        ">green</text>",
        ">True</text>",
        ">is member</text>",
        ">kind (given)</text>",
        ">a question of very man…</text>",
        "3 columns: 2 count, 1 binary; log <i>p</i>(<i>x</i>) is a log probability.",
        "that of the first test row throughout: kind = ",
        "The one latent dimension, moved from",
        ">z0</text>",
        "one epoch,",
    ):
        assert words in table_page, words
    for words in (
        "black to white",
        "dtype",
        "log density",
        ">x0<",
        "real numbers",
        "1 epochs",
        "the others",
    ):
        assert words not in table_page, words
    assert not re.search(r">z1</text>", table_page)


def test_counts_given_their_label_are_named_by_number(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    x = draws.poisson(np.linspace(1, 900, 50) / 100, (60, 50)).astype(np.int64)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(60) % 2)
    settings = Settings(
        data=f"{tmp_path / 'd.npz'}:x",
        condition=("label",),
        latent_dim=2,
        hidden=(4,),
        epochs=1,
        device="cpu",
        likelihood="poisson",
    )
    run = start(settings, tmp_path / "run")
    page = write_report(run, None, num_samples=2, limit=10, data_dir=None, device="cpu").read_text("utf-8")
    assert "Of 50 columns, the 30 that move most." in page
    assert "Of 50 columns, the 12 of highest variance" in page
    assert re.search(r"that of the first test row throughout: label = [01]\.", page)
    assert "which the model is given." in page


@pytest.mark.filterwarnings("ignore")
def test_genes_are_named_and_counts_given_their_total_are_said_to_be(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="the extra h5ad is not installed")
    counts = np.random.default_rng(0).poisson([2.0, 5.0, 1.0, 9.0], (60, 4)).astype(float)
    with pd.option_context("future.infer_string", False):  # anndata writes no strings of pandas 3
        batches = pd.DataFrame({"batch": ["a", "b"] * 30}, index=[f"cell{i}" for i in range(60)])
        cells = anndata.AnnData(counts, batches, pd.DataFrame(index=["TP53", "MYC", "ACTB", "GAPDH"]))
        cells.write_h5ad(tmp_path / "cells.h5ad")
    settings = Settings(
        data=str(tmp_path / "cells.h5ad"),
        latent_dim=2,
        hidden=(4,),
        epochs=1,
        device="cpu",
        likelihood="negative-binomial",
        exposure="total",
        condition=("batch",),
    )
    run = start(settings, tmp_path / "run")
    page = write_report(run, None, num_samples=2, limit=10, data_dir=None, device="cpu").read_text("utf-8")
    assert page.count(">GAPDH</text>") >= 1 + 6  # a histogram, and the rows
    assert ">x0<" not in page
    assert re.search(r"each reconstruction is of the median total, N = 1[678], whatever the row’s own", page)
    assert "Where the two part" not in page
    assert re.search(
        r"of the first test row throughout: batch = [ab]\. Every row is of the median total, N", page
    )
    assert "It is conditional on batch and total: p(x) stands for p(x | batch, total)," in page
    assert "log <i>p</i>(<i>x</i> | batch, total) is the log of a product of probabilities" in page


def test_few_test_rows_are_joined_by_all_others_for_histograms(tmp_path: Path) -> None:
    """Three rows say nothing of a distribution; of a table of 30 all are drawn, and the caption says it."""
    draw = np.random.default_rng(0)
    pd.DataFrame({"a": draw.normal(size=30), "b": draw.normal(size=30)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    settings = Settings(data=str(tmp_path / "t.csv"), epochs=1, hidden=(4,), latent_dim=1, device="cpu")
    page = write_report(
        start(settings, tmp_path / "run"), None, num_samples=2, limit=10, data_dir=None, device="cpu"
    )
    assert (
        "30 rows of all splits, since there are only 3 test rows, (filled) and 1,000 draws"
        in page.read_text("utf-8")
    )


def test_one_test_row_is_drawn_among_all_others(tmp_path: Path) -> None:
    """Of itself it has no standard deviation: its panels were empty, and figures were given as "16.3 ± –"."""
    draw = np.random.default_rng(0)
    pd.DataFrame({"a": draw.normal(size=12), "b": draw.normal(size=12)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    settings = Settings(data=str(tmp_path / "t.csv"), epochs=1, hidden=(4,), latent_dim=1, device="cpu")
    run = start(settings, tmp_path / "run")
    page = write_report(run, None, num_samples=2, limit=10, data_dir=None, device="cpu").read_text("utf-8")
    assert "standard deviations from their mean over 12 rows of all splits; those" in page
    assert "12 rows of all splits, since there is only 1 test row, (filled)" in page
    assert "± –" not in page
    seen = look_at(run, num_samples=2, limit=10, data_dir=None, device="cpu")
    assert np.isfinite(axis_of(seen, seen.reconstructions).spread).all()


def test_columns_that_do_not_vary_over_the_test_rows_stay_empty() -> None:
    """Their standard deviation is no unit: by 1e-12 all else would be flat. No warnings either."""
    x = np.random.default_rng(0).normal(size=(9, 5))
    x[:, 1], x[:, 2], x[1:, 3] = np.nan, 0.1, np.nan
    x[:, 4] *= 1e200
    columns = tuple(Column(name, "continuous", "double") for name in "abcde")
    run = SimpleNamespace(schema=Schema(columns), event_shape=(5,), names=list("abcde"))
    rows = torch.from_numpy(x)
    look = cast(Look, SimpleNamespace(run=run, x=rows, compared=rows))
    axis = axis_of(look, torch.from_numpy(np.nan_to_num(x) + 0.5))
    assert axis.spread[0] == pytest.approx(x[:, 0].std(), rel=1e-12)
    assert np.isnan(axis.spread).tolist() == [False, True, True, True, False]
    assert "those that do not vary there are empty" in axis.words
    figure, [ax] = canvas(400, 200)
    axis.draw(ax, torch.full((5,), 0.7), linewidth=1.0)
    assert np.isnan(np.asarray(ax.lines[0].get_ydata())).tolist() == [False, True, True, True, False]
    figure.draw_without_rendering()
