"""Labels in the pictures: colours that any eye tells apart, and no more of them than that."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from jensen.config import Settings
from jensen.data import Dataset
from jensen.report import write_report
from jensen.report.classes import MOST, REST, TEN, groups, has_rest
from jensen.session import start

VISION = {
    "normal": "1 0 0; 0 1 0; 0 0 1",
    "no long cones": "0.152286 1.052583 -0.204868; 0.114503 0.786281 0.099216; -0.003882 -0.048116 1.051998",
    "no middle cones": "0.367322 0.860646 -0.227968; 0.280085 0.672501 0.047413; -0.01182 0.04294 0.968881",
    "no short cones": "1.255528 -0.076749 -0.178779; -0.078411 0.930809 0.147602; 0.004733 0.691367 0.3039",
}
"""Linear RGB as people see it who lack a kind of cones (Machado, Oliveira & Fernandes 2009, table 1)."""


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, D65: distances are as they are seen."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", list(VISION))
def test_ten_colours_are_told_apart(eyes: str) -> None:
    """By 15 units and more, where one can just be seen."""
    matrix = np.array([row.split() for row in VISION[eyes].split(";")], dtype=float)
    seen = []
    for colour in TEN:
        linear = ((np.array(to_rgb(colour)) + 0.055) / 1.055) ** 2.4
        seen.append(lab(np.clip(matrix @ linear, 1e-4, 1)))
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def named(classes: tuple[str, ...] = ()) -> Dataset:
    return Dataset("d", torch.zeros(1, 1), None, {}, (0.0, 1.0), "", False, classes=classes)


@pytest.mark.parametrize("count", [1, 10, 11, MOST])
def test_few_labels_have_a_look_of_their_own(count: int) -> None:
    labels = np.arange(200) % count
    found = groups(labels, named())
    assert found is not None
    assert len({(group.colour, group.marker) for group in found}) == len(found) == count
    assert sum(group.rows.astype(int) for group in found).tolist() == [1] * 200
    assert [group.name for group in found] == [str(label) for label in range(count)]


def test_many_numbers_are_a_scale_and_many_names_the_most_frequent() -> None:
    labels = np.concatenate([np.arange(40), np.repeat(np.arange(10, 19), 3), [-1, -1]])
    assert groups(np.arange(40), named()) is None
    found = groups(labels, named(tuple(f"kind {number}" for number in range(40))))
    assert found is not None
    assert [group.name for group in found] == [*(f"kind {n}" for n in range(10, 19)), "31 others", "no label"]
    assert [group.colour for group in found[-2:]] == [REST, REST]
    assert [int(group.rows.sum()) for group in found] == [4] * 9 + [31, 2]
    assert has_rest(found)
    assert not has_rest(groups(np.array([0, -1]), named(("a",))))


@pytest.mark.parametrize(("latent_dim", "count"), [(1, 30), (2, 30), (2, 12), (1, 12)])
def test_the_page_names_what_it_colours(tmp_path: Path, latent_dim: int, count: int) -> None:
    x = np.random.default_rng(0).normal(size=(400, 3))
    y = np.array([f"kind {number:02}" for number in range(count)])[np.arange(400) % count]
    np.savez(tmp_path / "d.npz", x=x, y=y)
    settings = Settings(
        data=str(tmp_path / "d.npz"),
        latent_dim=latent_dim,
        hidden=(4,),
        epochs=1,
        device="cpu",
        test_fraction=0.7,
    )
    run = start(settings, tmp_path / "run")
    page = write_report(run, None, num_samples=2, limit=300, data_dir=None, device="cpu").read_text("utf-8")
    shown = set(re.findall(r">(kind \d+)</text>", page))
    assert len(shown) == (9 if count == 30 else 12)
    assert (">21 others</text>" in page) == (count == 30)
    assert ("the 9 most frequent of the labels that came" in page) == (count == 30)
