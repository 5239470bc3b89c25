"""Settings, as config.yaml and back."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import yaml

from jensen.config import Settings, read_run_settings, read_settings, write_config
from jensen.config.evaluation import EvaluationSettings
from jensen.errors import UserError
from jensen.recipes import RECIPES, recipe
from jensen.session import start
from jensen.training.plan import Plan

UNUSUAL = Settings(
    data="мои данные/rows: 1.npy",
    data_dir=Path("a folder/b"),
    hidden=(30, 20, 10),
    latent_dim=3,
    variance="fixed",
    sigma=1e-3,
    epochs=7,
    max_time=1.5,
    lr=1e-05,
    grad_clip=2.0,
    grad_clip_ratio=1.5,
    seed=12345678901,
    device="cpu",
)


@pytest.mark.parametrize("settings", [Settings(), UNUSUAL, Settings(hidden=()), *RECIPES.values()])
def test_round_trip(settings: Settings, tmp_path: Path) -> None:
    write_config(tmp_path / "config.yaml", settings, {"jensen": "0", "data": {"shape": [1, 2]}})
    assert read_settings(tmp_path / "config.yaml") == settings
    written = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert written["recorded"] == {"jensen": "0", "data": {"shape": [1, 2]}}
    names = {field.name for field in dataclasses.fields(Settings)}
    assert written.keys() == names | {"recorded"}, "a config is complete"


def test_a_file_by_hand_may_name_few_settings(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("latent-dim: 3\nhidden: 50,20\nlr: 1e-2\nmax_time: null\n")
    assert read_settings(path) == Settings(latent_dim=3, hidden=(50, 20), lr=0.01)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        read_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "bad",
    [
        {"latent_dim": 0},
        {"hidden": (8, 0)},
        {"epochs": 0},
        {"batch_size": -1},
        {"num_samples": 0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"seed": -1},
        {"patience": -1},
        {"kl_warmup": -1},
        {"max_time": 0.0},
        {"grad_clip": float("nan")},
        {"grad_clip_ratio": 0.5},
        {"weight_decay": 0.1},
        {"weight_decay": float("inf"), "optimizer": "adamw"},
        {"sigma": 0.0, "variance": "fixed"},
        {"validation_fraction": 0.0},
        {"test_fraction": float("nan")},
        {"test_fraction": 1.0},
    ],
)
def test_unusable_values_are_refused_in_python_too(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        Settings(**bad)
    assert str(caught.value).startswith(f"{next(iter(bad))} is "), "Python's name for it"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [Plan, Settings, EvaluationSettings])
def test_every_choice_that_is_none_is_refused_in_python_too(kind: Any) -> None:
    choices = {
        name: get_args(hint) for name, hint in get_type_hints(kind).items() if get_origin(hint) is Literal
    }
    assert choices
    for name, allowed in choices.items():
        with pytest.raises(UserError) as caught:
            kind(**{name: f"{allowed[-1]}x"})
        assert str(caught.value) == (
            f"{name} is {allowed[-1]}x (did you mean {allowed[-1]}?); it must be one of {', '.join(allowed)}"
        )


def test_a_truth_value_is_no_choice_and_names_the_one_that_it_may_mean() -> None:
    for given, meant in ((False, "off"), (True, "on")):
        with pytest.raises(UserError, match=rf"compile is {given} \(did you mean {meant}\?\)"):
            Plan(compile=given)


def test_a_file_is_refused_in_the_words_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("batch_size: 0\n")
    with pytest.raises(UserError, match=r"mine\.yaml: --batch-size is 0; it must be at least 1$"):
        read_settings(tmp_path / "mine.yaml")


def test_recipes_are_complete_and_found_by_name() -> None:
    for name, settings in RECIPES.items():
        assert recipe(name) == settings
        assert settings.data
    with pytest.raises(UserError, match=r"did you mean lecture\?"):
        recipe("lectur")
    with pytest.raises(UserError, match=r"nor a recipe; the recipes are lecture"):
        recipe("settings.yml")


def test_the_recipe_of_binarized_images_is_refused_for_grey_ones(tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8))
    settings = recipe("binarized-mnist").replace(data=str(tmp_path / "grey.npy"))
    with pytest.raises(UserError, match="use --binarize dynamic or static"):
        start(settings, tmp_path / "run")
    settings = settings.replace(binarize="dynamic", hidden=(8,), latent_dim=2, epochs=1, kl_warmup=0)
    assert start(settings, tmp_path / "run").settings.likelihood == "bernoulli"


def test_a_path_that_is_no_run_names_one_that_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("runs/digits", "runs/people", "mine"):
        Path(run).mkdir(parents=True)
        write_config(Path(run, "config.yaml"), Settings(), {})
    for given, said in {
        "runs/digitz": "(did you mean runs/digits?)",
        "digits": "(did you mean runs/digits?)",
        "mime": "(did you mean mine?)",
        "mine/config.yaml": "(did you mean mine?)",
        "runs": "(it holds runs, such as runs/digits)",
        "qqq": "it has no config.yaml; give a folder",
        "runs/digits/qqq": "it has no config.yaml; give a folder",
    }.items():
        with pytest.raises(UserError) as caught:
            read_run_settings(Path(given))
        assert str(caught.value).startswith(f"{given} is not a run: it has no config.yaml")
        assert said in str(caught.value)
