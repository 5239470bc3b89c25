"""An option that does nothing beside the choices made is refused, not ignored."""

import re
from typing import Any

import numpy as np
import pytest

from jensen.config import Settings
from jensen.config.effect import DEFAULTS, NEEDS, without_effect
from jensen.config.resolve import resolve
from jensen.data import Dataset, load
from jensen.errors import UserError
from jensen.recipes import RECIPES

GIVEN: dict[str, Any] = {
    "hidden": (8, 4),
    "activation": "relu",
    "sigma": 2.0,
    "rank": 4,
    "categories": 3,
    "temperature": 0.2,
    "components": 4,
    "beta": 4.0,
    "free_bits": 3.0,
    "alpha": 0.2,
    "kl": "monte-carlo",
    "baseline": "running-mean",
    "backward_samples": 3,
    "hide": 0.2,
    "inner_steps": 5,
    "inner_lr": 0.3,
}
MADE = [(option, choice, value) for option, needs, _ in NEEDS for choice in needs for value in needs[choice]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("effect") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 3)))
    return load(str(path))


def test_every_option_of_the_table_is_tried() -> None:
    assert GIVEN.keys() == {option for option, _, _ in NEEDS}


@pytest.mark.parametrize("option", GIVEN)
def test_an_option_without_effect_is_refused_with_the_mend(rows: Dataset, option: str) -> None:
    beside: dict[str, Any] = {"bound": "iwae"} if option == "kl" else {}
    if option in ("hidden", "activation"):
        beside = {"network": "linear"}
    with pytest.raises(UserError) as caught:
        resolve(Settings(**{option: GIVEN[option]}, **beside), rows)
    name, value = option.replace("_", "-"), GIVEN[option]
    shown = f"{value:g}" if isinstance(value, float) else "8,4" if option == "hidden" else value
    said = rf"--{name} {shown} has no effect with --\w.*; (add|use) .*--\w.*, or leave it out"
    assert re.fullmatch(said, str(caught.value)), caught.value


@pytest.mark.parametrize(("option", "choice", "value"), MADE)
def test_it_is_taken_beside_every_choice_that_it_serves(option: str, choice: str, value: str) -> None:
    other = {"likelihood": "columns"} if option == "hide" else {}
    made = {"prior": "standard", "likelihood": "normal", **other, choice: value}
    assert not list(without_effect(Settings(**{option: GIVEN[option]}, **made)))


@pytest.mark.parametrize("given", [{}, {"hide": 0.0}, {"baseline": "none"}, DEFAULTS])
def test_defaults_and_what_asks_for_nothing_are_not_given(given: dict[str, Any]) -> None:
    plain = {"bound": "iwae", "estimator": "pathwise", "prior": "standard", "likelihood": "normal"}
    assert not list(without_effect(Settings(**given | plain)))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_hold_nothing_without_effect(name: str) -> None:
    assert not list(without_effect(RECIPES[name]))
