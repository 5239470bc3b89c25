"""docs/algorithms.md: every row of the lecture is there, and every name in it exists."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jensen

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


def source(name: str) -> Path:
    """The file that defines the object of a dotted name; of a property or a constant, what it belongs to."""
    found: Any = inspect.unwrap(find(name))  # type: ignore[arg-type]
    if not (inspect.isfunction(found) or inspect.isclass(found) or inspect.ismodule(found)):
        room = find(name.rpartition(".")[0])
        found = type(found) if hasattr(room, "__path__") else room
    return Path(inspect.getfile(found)).resolve()


@pytest.mark.parametrize("name", NAMES)
def test_each_name_links_to_its_source(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    links = re.findall(rf"\[`{name}`\]\((.*?)\)", page)
    assert len(links) == page.count(f"`{name}`")
    assert {(PAGE.parent / link).resolve() for link in links} == {source(name)}


@pytest.mark.parametrize("name", NAMES)
def test_each_named_function_exists_and_says_what_it_is(name: str) -> None:
    found = find(name)
    assert inspect.getdoc(found)


def test_each_name_of_training_resolves_after_import_jensen_alone() -> None:
    names = [name for name in NAMES if name.startswith("jensen.training.")]
    code = "\n".join(["import jensen", *names, "assert 'loop' in dir(jensen.training)"])
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute"):
        jensen.training.loops  # noqa: B018


ROOMS = ("distributions", "families", "priors", "models", "objectives", "evaluation", "training")


def cited() -> list[str]:
    """The public functions and classes of the mathematics whose docstrings cite a source, by its year."""
    found = []
    for room in ROOMS:
        for module in pkgutil.iter_modules([str(Path(jensen.__path__[0]) / room)], f"jensen.{room}."):
            for name, part in vars(importlib.import_module(module.name)).items():
                own = getattr(part, "__module__", "") == module.name and name[0] != "_"
                is_named = inspect.isfunction(part) or inspect.isclass(part)
                if own and is_named and re.search(r"\b(19|20)\d\d\b", part.__doc__ or ""):
                    found.append(name)
    return found


def test_every_formula_with_a_source_is_on_the_page() -> None:
    names = {part for name in NAMES for part in name.split(".")}
    missing = sorted(set(cited()) - names)
    assert not missing, f"docs/algorithms.md does not lead to {', '.join(missing)}"


@pytest.mark.parametrize("algorithm", LECTURE)
def test_each_algorithm_of_the_lecture_has_a_home(algorithm: str) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| {algorithm} ")]
    assert len(rows) == 1
    assert re.search(r"`jensen\.\w+", rows[0])
