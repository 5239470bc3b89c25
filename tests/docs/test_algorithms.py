"""docs/algorithms.md: every row of the lecture is there, and every name in it exists."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "algorithms.md"
LECTURE = ["Compute_LL", "Compute_Grad_Dec", "ImpSampling", "ReparamTrick", "Train_VAE", "Sample_VAE"]
NAMES = sorted(set(re.findall(r"`(jensen(?:\.\w+)+)`", PAGE.read_text(encoding="utf-8"))))


def find(name: str) -> object:
    """The object of a dotted name: the longest prefix that is a module, then attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", NAMES)
def test_each_named_function_exists_and_says_what_it_is(name: str) -> None:
    found = find(name)
    assert inspect.getdoc(found)


@pytest.mark.parametrize("algorithm", LECTURE)
def test_each_algorithm_of_the_lecture_has_a_home(algorithm: str) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| {algorithm} ")]
    assert len(rows) == 1
    assert re.search(r"`jensen\.\w+", rows[0])
