"""Typed settings: the options of the command line and the contents of config.yaml are these classes.

Free of torch, so that ``jensen --help`` is quick. The attribute docstrings are the help texts.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml

from jensen._version import __version__
from jensen.config.choices import DataSettings, ModelSettings, ObjectiveSettings
from jensen.config.parse import parse, to_arguments
from jensen.errors import UserError, check_options, did_you_mean, nearest
from jensen.files import atomic, read_yaml_text, write_yaml_text, yaml_fault
from jensen.training.plan import Plan

LIMIT = 1 << 40
"""Below it are the sizes of a model. Torch takes minutes to refuse a size that 64 bits do not hold."""


@dataclass(frozen=True, kw_only=True)
class Settings(Plan, ObjectiveSettings, ModelSettings, DataSettings):
    """Everything that decides a run. Written, complete, as the first part of its config.yaml.

    What a run refuses it names as the command line does: ``--latent-dim`` is ``latent_dim`` here.
    """

    section: ClassVar[str] = "training"

    # What a plan says in numbers may be left to the data here (see `jensen.config.resolve`).
    epochs: int | None = None  # type: ignore[assignment]
    """Passes over the training data, at most. Left out: 200; for tables so many that they show 1.5 million
    rows, from 5 to 200."""
    batch_size: int | None = None  # type: ignore[assignment]
    """Data in a batch, B. Left out: 128; for tables a fiftieth of the training rows, from 16 to 512."""
    lr: float | None = None  # type: ignore[assignment]
    """Learning rate. Left out: 0.001, of muon 0.01; for tables times sqrt(B / 128) from 128 on."""
    grad_clip_ratio: float | None = None  # type: ignore[assignment]
    """Scale the gradient down to so many times its running norm when it is larger; 0: never. Left out: 10 of
    convolutions, else 0."""
    lr_schedule: Literal["auto", "plateau", "cosine", "constant"] = "auto"  # type: ignore[assignment]
    """plateau: multiplied by 0.3 after 10 epochs without a better validation bound; cosine: to zero over the
    epochs; constant. auto: cosine for tables, else plateau."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: cuda where there is one."""

    def __post_init__(self) -> None:
        """Refuse values and combinations that cannot be used, naming the option and the mend."""
        super().__post_init__()
        check_options(
            self, "validation_fraction test_fraction", lambda v: 0 < v < 1, "between 0 and 1, such as 0.1"
        )
        check_options(
            self, "latent_dim rank components inner_steps backward_samples", lambda v: v >= 1, "at least 1"
        )
        twice = next((name for name in self.condition if self.condition.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"--condition names {twice} twice; name it once")
        check_options(self, "categories", lambda v: v >= 2, "at least 2")
        check_options(
            self, "latent_dim rank components categories", lambda v: v < LIMIT, f"less than {LIMIT:,}"
        )
        check_options(self, "hidden", lambda widths: min(widths or [1]) >= 1, "widths of at least 1")
        check_options(
            self, "hidden", lambda widths: max(widths or [1]) < LIMIT, f"widths of less than {LIMIT:,}"
        )
        check_options(self, "sigma temperature inner_lr", lambda v: 0 < v < inf, "a positive number")
        check_options(self, "beta free_bits", lambda v: 0 <= v < inf, "a number of 0 or more")
        check_options(self, "hide", lambda v: 0 <= v <= 1, "from 0 to 1")
        check_options(self, "alpha", lambda v: abs(v) < inf, "a finite number")
        size = r"0*[1-9]\d*(x0*[1-9]\d*)?"
        check_options(
            self,
            "size",
            lambda v: bool(re.fullmatch(size, v)),
            "a width or WIDTHxHEIGHT, such as 32 or 32x48",
        )

    def replace(self, **changes: Any) -> "Settings":
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        UserError: the file is missing or is not a mapping.
    """
    try:
        content = read_yaml_text(path.read_text(encoding="utf-8"))
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give a file, such as {path / 'config.yaml'}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a YAML file that exists") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not valid YAML ({yaml_fault(error)}); mend it or start from a run's config.yaml"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings; write lines such as 'latent_dim: 8'")
    return content


CHOSEN = "chosen"
"""Where in a run's `recorded` part the settings are that jensen chose for it."""


def chosen(asked: Settings, resolved: Settings) -> dict[str, Any]:
    """The settings that were left to jensen, with what it chose, as config.yaml has them."""
    before, after = as_yaml(asked), as_yaml(resolved)
    return {name: value for name, value in after.items() if value != before[name]}


def left_to_jensen(name: str, value: Any, made: Mapping[str, Any]) -> bool:
    """Whether a setting, as config.yaml has it, still is what jensen chose, by its record ``made``."""
    return name in made and bool(made[name] == value)


def read_settings(path: Path, *, anew: bool = False) -> Settings:
    """The settings in a YAML file; a run's config.yaml will do.

    Args:
        path: of the file.
        anew: leave out what jensen chose for the run, so that it is chosen anew, for other data or beside
            other settings. What has been edited since counts as given.
    """
    values = read_yaml(path)
    recorded = values.pop("recorded", None)
    made = recorded.get(CHOSEN) if isinstance(recorded, dict) else None
    if anew and isinstance(made, dict):
        values = {name: v for name, v in values.items() if not left_to_jensen(name, v, made)}
    known = [field.name for field in dataclasses.fields(Settings)]
    for key in values:
        if str(key).replace("-", "_") not in known:
            near = did_you_mean(str(key), known)
            raise UserError(f"{path} has an unknown setting {str(key)!r}{near} (see jensen train --help)")
    try:
        return settings_from(values, "jensen train")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def settings_from(values: Mapping[str, Any], prog: str) -> Settings:
    """Settings from names and values, as read from YAML or given in Python; others have their defaults.

    Raises:
        UserError: a value that cannot be used.
    """
    return parse(Settings, to_arguments(values, Settings, "data"), prog)


def read_run_settings(run: Path) -> Settings:
    """The settings of a run's folder.

    Raises:
        UserError: ``run`` is no run, or its config.yaml is damaged.
    """
    if not (run / "config.yaml").is_file():
        near = _near_run(run)
        raise UserError(
            f"{run} is not a run: it has no config.yaml{near}; give a folder that jensen train wrote"
        )
    return read_settings(run / "config.yaml")


def _near_run(path: Path) -> str:
    """What may have been meant by a path that is no run: a run in it, about it, or of a name like its own."""
    if within := sorted(path.glob("*/config.yaml")):
        return f" (it holds runs, such as {within[0].parent})"
    if path.is_file() and (path.parent / "config.yaml").is_file():
        return f" (did you mean {path.parent}?)"
    found = [*Path("runs").glob("*/config.yaml"), *path.parent.glob("*/config.yaml")]
    runs = {config.parent.name: config.parent for config in found}
    near = nearest(path.name, runs)
    return "" if near is None else f" (did you mean {runs[near]}?)"


def write_config(path: Path, settings: Settings, recorded: Mapping[str, Any]) -> None:
    """Write a run's config.yaml: the settings, flat and complete, then what jensen found and decided."""
    with atomic(path) as temporary:
        temporary.write_text(
            f"# Written by jensen {__version__}. The settings; `jensen train --config` takes this file.\n"
            + write_yaml_text(as_yaml(settings))
            + "\n# What jensen found in the data and decided. Not settings: do not edit.\n"
            + write_yaml_text({"recorded": dict(recorded)}),
            encoding="utf-8",
        )


def as_yaml(settings: Settings) -> dict[str, Any]:
    """The settings as YAML has them."""
    return {
        key: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(settings).items()
    }
