"""The panel of associations: the figures are those of the function, on the rows that it says."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jensen.config import Settings
from jensen.evaluation import sample
from jensen.evaluation.associations import associations
from jensen.report import write_report
from jensen.report.associations import SHOWN, strongest
from jensen.report.style import plain
from jensen.run import Run
from jensen.session import start

TITLE = "Associations between columns"


def trained(folder: Path, data: Path | str, **changes: Any) -> Run:
    base = {"data": str(data), "latent_dim": 1, "hidden": (4,), "epochs": 1, "device": "cpu"}
    return start(Settings(**{**base, **changes}), folder / "run")


def page_of(run: Run) -> str:
    path = write_report(run, None, num_samples=2, limit=1000, data_dir=None, device="cpu")
    return path.read_text(encoding="utf-8")


def recorded(page: str) -> dict[str, Any]:
    blob = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert blob is not None
    found: dict[str, Any] = json.loads(blob[1].replace("&#34;", '"'))
    return found


def write(path: Path, names: list[str], columns: list[Any]) -> Path:
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(names)
        lines.writerows(zip(*columns, strict=True))
    return path


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of a table with missing cells, conditional on two of its columns."""
    folder, draws, n = tmp_path_factory.mktemp("associations"), np.random.default_rng(0), 300
    age = draws.integers(18, 60, n)
    columns = [
        ["" if i % 7 == 0 else a for i, a in enumerate(age)],
        np.where(age > 40, draws.choice(["a", "b"], n), draws.choice(["b", "c"], n)),
        draws.choice(["x", "y", "z"], n),
        age + draws.integers(0, 9, n),
    ]
    path = write(folder / "t.csv", ["age", "kind", "group", "years <of> work"], columns)
    return trained(folder, path, condition=("kind", "group"))


def test_the_figures_are_of_test_rows_and_of_as_many_draws_as_training_rows(table_run: Run) -> None:
    page = page_of(table_run)
    assert f">{TITLE}</h2>" in page
    dataset, nominal = table_run.dataset(), np.array([False, True, True, False])
    test, training = (dataset.rows(split).double() for split in ("test", "train"))
    m = len(training)
    assert m < 1000
    given = test[:, [1, 2]]  # the draws are for the conditions of the test rows, in turn
    context = given[torch.arange(1000) % len(given)]
    drawn = sample(table_run.model(), 1000, context=context)[:m]
    assert torch.equal(drawn[:, 1:3], context[:m])
    held, made, seen = (associations(x.double().numpy(), nominal) for x in (test, drawn, training))
    upper = np.triu(np.ones((4, 4), dtype=bool), 1)
    upper[1, 2] = False  # both are given
    figures = recorded(page)["associations"]
    assert figures["rows"] == {"test": len(test), "drawn": m, "training": m}
    assert figures["pairs"] == 5
    error, chance = (float(np.abs(x - held)[upper].mean()) for x in (made, seen))
    assert figures["mean_difference"] == pytest.approx(error, abs=1e-12)
    assert figures["mean_difference_of_training_rows"] == pytest.approx(chance, abs=1e-12)
    for words in (
        f"among {len(test)} test rows, below it among {m} draws",
        "given the conditions of the test rows",
        f"over 5 pairs: <b>{plain(error, 3)}</b>; of {m} training rows and test rows",
        f"<b>{plain(chance, 3)}</b>",
        ">years &lt;of&gt; work</text>",
        'aria-label="Heat map of associations between columns, in data and in samples"',
    ):
        assert words in page, words
    i, j = np.unravel_index(np.where(upper, np.abs(made - held) - np.abs(seen - held), -9).argmax(), (4, 4))
    values = ", ".join(plain(round(float(x[i, j]), 2) + 0.0) for x in (held, made, seen))
    assert f"({values})" in page
    drawing = page[page.index(f">{TITLE}</h2>") : page.index(">Latent space</h2>")]
    for value in (held[0, 3], made[0, 3]):  # above the diagonal, and below it
        assert f">{plain(round(float(value), 2) + 0.0)}</text>" in drawing
    assert "histograms cannot show" not in page
    assert "NaN" not in page


def test_many_columns_are_shown_in_part_and_constant_ones_have_a_dot(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    columns = [draws.normal(size=60).round(3) for _ in range(104)]
    columns[7] = columns[3] + 0.01
    columns[5] = np.where(draws.permutation(60) == 0, 1.0, 2.0)  # one cell differs, in training rows or not
    run = trained(tmp_path, write(tmp_path / "t.csv", [f"c{i}" for i in range(104)], columns))
    page = page_of(run)
    assert "Of 104 columns, the first 100 are measured." in page
    assert f"Shown are the {SHOWN} with the strongest association with another." in page
    assert "Beside so much chance only large errors show." in page
    drawing = page[page.index(f">{TITLE}</h2>") : page.index(">Latent space</h2>")]
    assert {">c3</text>", ">c7</text>"} <= set(re.findall(r">c\d+</text>", drawing))
    assert len(set(re.findall(r">c\d+</text>", drawing))) == SHOWN
    assert ("No value (a dot), being constant or different in every row: c5." in page) == (
        len(run.dataset().rows("test")[:, 5].unique()) == 1
    )
    assert len(drawing) < 250_000


def test_the_strongest_columns_are_shown_in_their_order() -> None:
    values = np.full((32, 32), 0.1)
    values[3, 31] = values[31, 3] = -0.9
    values[0] = values[:, 0] = np.nan
    values[5] = values[:, 5] = 0.05
    np.fill_diagonal(values, 1)
    assert strongest(values).tolist() == [i for i in range(32) if i not in (0, 5)]


@pytest.mark.parametrize(("columns", "there"), [(1, False), (2, True), (5, True), (101, False)])
def test_arrays_of_few_columns_have_the_panel(tmp_path: Path, columns: int, there: bool) -> None:
    x = np.random.default_rng(0).normal(size=(60, columns))
    x[:, 0] = 3.0 if columns == 5 else x[:, 0]
    np.save(tmp_path / "x.npy", x)
    page = page_of(trained(tmp_path, tmp_path / "x.npy"))
    assert (TITLE in page) == there
    assert ("associations" in recorded(page)) == there
    assert ("histograms cannot show" in page) != there
    if columns == 5:
        assert "No value (a dot), being constant or different in every row: x0." in page
        assert ">·</text>" in page


def test_images_have_no_such_panel(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 5, 5), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    assert TITLE not in page_of(trained(tmp_path, tmp_path / "x.npy"))


def test_category_numbers_have_no_order(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    x = draws.integers(0, 4, (200, 3))
    x[:, 1] = (x[:, 0] - 1) ** 2 + 1  # what goes with it, but not in its order
    np.save(tmp_path / "x.npy", x)
    run = trained(tmp_path, tmp_path / "x.npy", likelihood="categorical")
    figures = recorded(page_of(run))["associations"]
    [found] = [pair for pair in figures["worst"] if pair["columns"] == ["x0", "x1"]]
    assert found["training"] == pytest.approx(1, abs=0.05)
