"""Codes among numbers, and slips, are said; numbers that are only large are not."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from jensen.config.settings import Settings
from jensen.data import fit_preparation, load, load_rows
from jensen.data.strange import another_scale, strange, strange_numbers
from jensen.session import start

DRAW = np.random.default_rng(0)
AGES = DRAW.integers(17, 95, 200).astype(float)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ([999.0] * 31, [999.0]),
        ([-1.0, -1.0], [-1.0]),
        ([-9999.0, np.nan], [-9999.0]),
        ([1e30], [1e30]),
        ([99999.0, -9.0], [99999.0, -9.0]),
        ([999.0, -999.0], [999.0, -999.0]),  # each is far from the ages, and not from the ages and the other
        ([99.0], []),  # an age
        ([300.0], []),  # no code, and not so far
        ([-1.0, 0.0], []),  # beside 0 it may be a number
        ([np.nan], []),
    ],
)
def test_codes_and_slips_are_far_from_all_others(more: list[float], found: list[float]) -> None:
    assert strange(np.array([*AGES, *more])) == found


def test_a_code_below_fractions_is_far_as_one_above_them_is() -> None:
    humidity = np.linspace(38, 62, 121).round(1)
    assert strange(np.array([*humidity, 999.0, 999.0])) == [999.0]
    assert strange(np.array([*humidity, -999.0, -999.0])) == [-999.0]
    assert strange(np.array([*humidity, -9.0, -1.0])) == []  # within the range of the others


@pytest.mark.parametrize(
    "values",
    [
        np.exp(3 * DRAW.normal(size=5000)),
        DRAW.standard_cauchy(5000),
        DRAW.pareto(0.8, 5000),
        np.array([0.0, 0.0, 999.0]),
        np.array([0.0, 1.0, 1.0, 999.0]),
        np.full(3, np.nan),
        np.arange(-1.0, 5.0),
    ],
    ids=["lognormal", "cauchy", "pareto", "two values", "codes of levels", "none", "from -1"],
)
def test_numbers_of_heavy_tails_are_not_strange(values: np.ndarray) -> None:
    assert strange(values) == []


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud"])
def test_nothing_is_strange_in_the_tables_of_scikit_learn(name: str) -> None:
    x = getattr(datasets, f"load_{name}")().data.astype(float)
    assert strange_numbers(load(x)) == []


def test_training_says_where_a_strange_number_is(tmp_path: Path) -> None:
    def said(name: str) -> str:
        lines: list[str] = []
        settings = Settings(data=str(tmp_path / name), epochs=1, hidden=(8,), latent_dim=2, device="cpu")
        start(settings, tmp_path / f"run of {name}", on_choice=lines.append)
        return "\n".join(lines)

    x = DRAW.normal(size=(60, 3))
    x[17, 1] = 1e30
    np.save(tmp_path / "x.npy", x)
    assert "column 'x1': row 17 (counted from 0) has 1e+30, far from all others (" in said("x.npy")
    x[4:6, 2] = 1e30, -1e30
    np.save(tmp_path / "both.npy", x)
    between = f"far from all others ({np.sort(x[:, 2])[1]:.6g} to {np.sort(x[:, 2])[-2]:.6g})"
    assert f"column 'x2': row 5 (counted from 0) has -1e+30, {between}" in said("both.npy")
    rows = [f"{age:.0f},{weight:.2f}" for age, weight in zip([*AGES[:40], 999, 999], AGES, strict=False)]
    (tmp_path / "t.csv").write_text("\n".join(["age,weight", *rows]) + "\n")
    found = said("t.csv")
    assert "column 'age': 2 rows have 999, far from all others (" in found
    assert "if it stands for missing, leave such cells empty and train again" in found
    assert "column 'weight'" not in found


GREY = DRAW.integers(0, 256, (20, 6, 6)).astype(np.uint8)
GREY[:, 0, :2] = 0, 255


@pytest.mark.parametrize(
    ("trained", "given", "ends"),
    [
        (GREY, GREY / 255, "from 0 to 1, the training images from 0 to 255"),
        (GREY, (GREY > 99).astype(np.uint8), "from 0 to 1, the training images from 0 to 255"),
        (GREY / 255, GREY, "from 0 to 255, the training images from 0 to 1"),
        (GREY / 255, GREY / 127.5 - 1, "from -1 to 1, the training images from 0 to 1"),
        (GREY, GREY.astype(np.uint16) * 257, "from 0 to 6.554e+04, the training images from 0 to 255"),
        (GREY, GREY // 64, ""),  # dark, and of the same scale
        (GREY, GREY[:1] * 0, ""),
        (GREY, GREY.astype(float), ""),
        (GREY / 255, GREY / 255 * 1.2 - 0.1, ""),
        (GREY.reshape(20, 36) / 255, GREY.reshape(20, 36), ""),  # no images
    ],
)
def test_images_on_another_scale_than_those_of_training_are_said(
    trained: np.ndarray, given: np.ndarray, ends: str
) -> None:
    said = another_scale(load_rows(given), fit_preparation(load(trained)))
    assert len(said) == bool(ends)
    assert all(ends in sentence for sentence in said)
