"""A model fitted in memory: what all three estimators stand on."""

import functools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from jensen.config.build import build_bound, build_estimator, build_memory, build_model
from jensen.config.choices import DataSettings, ModelSettings
from jensen.config.fresh import fresh_model
from jensen.config.names import SUPPORT
from jensen.config.resolve import resolve
from jensen.config.settings import Settings, settings_from
from jensen.data import Dataset, Preparation, fit_preparation
from jensen.data.arrays import Array
from jensen.data.tables.schema import Schema
from jensen.errors import UserError
from jensen.estimator.words import in_python, numbers_wanted
from jensen.figures.epochs import plain_lines
from jensen.mode import learning
from jensen.models import VAE
from jensen.training.history import Record
from jensen.training.loop import TrainingData, train
from jensen.training.state import TrainingState

KEPT = {f.name for kind in (DataSettings, ModelSettings) for f in fields(kind)} | {"inference"}
"""Settings that make the model and what it reads: training that goes on cannot change them."""
KEPT -= {"validation_fraction", "test_fraction"}
OF_FILES = "is of files, and X is in memory; leave it out"
OF_IMAGES = "is of images, and X holds rows; leave it out"
ELSEWHERE = {
    "data": OF_FILES,
    "data_dir": OF_FILES,
    "schema": "is of files; give a frame whose columns have the types that you mean",
    "size": OF_IMAGES,
    "grey": OF_IMAGES,
    "skip_bad": OF_IMAGES,
    "binarize": "is of images; give X of zeros and ones",
    "test_fraction": "has no effect, since no rows are kept for a test; split X before fit",
    "device": "has no effect, since estimators train on the CPU; leave it out, or use jensen.session.start",
    "seed": "is random_state here; give random_state",
}
"""Settings that mean nothing for rows in memory: what to say of each."""
BLOCK = 256
"""Rows encoded, scored or filled at a time."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_LOCK = threading.RLock()


def alone(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``work``, in one thread at a time: torch's generator and standard output are one for all threads."""

    @functools.wraps(work)
    def locked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _LOCK:
            return work(*args, **kwargs)

    return locked


@dataclass
class Fitted:
    """A fitted model: settings, how data reach it, weights in float64 for use, and what training said."""

    asked: Settings
    """As they were given."""
    settings: Settings
    """As they were resolved."""
    preparation: Preparation
    size: int
    """C, codes of a row."""
    weights: dict[str, Array]
    history: list[Record] = field(default_factory=list)

    @alone
    def model(self) -> VAE:
        """The model in evaluation mode, in float64: so that a row's figures do not depend on its batch."""
        with torch.random.fork_rng(devices=[]):
            model = build_model(self.settings, [self.size], self.preparation).double().eval()
        model.load_state_dict(self.tensors())
        return model

    def tensors(self) -> dict[str, Tensor]:
        """The weights as a model loads them."""
        return {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()}

    def blocks(self, codes: Array) -> list[Tensor]:
        """Codes ``[N, C]`` as prepared blocks."""
        x = torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float64))
        return [self.preparation(rows, dtype=torch.float64) for rows in x.split(BLOCK)]

    def __getstate__(self) -> dict[str, Any]:
        """Plain data for pickle: settings, records and weights as arrays. No modules, no code."""
        return {**self.__dict__, "preparation": self.preparation.to_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of `__getstate__`."""
        self.__dict__.update(state, preparation=Preparation.from_dict(state["preparation"]))

    @property
    def latents(self) -> int:
        """Numbers of a latent code."""
        return math.prod(self.model().prior().event_shape)

    @property
    def log_det(self) -> float:
        """What to add to log p(x) for nats of the data as given."""
        return self.preparation.log_det([self.size])


@in_python()
@learning
def fit(
    codes: Array,
    schema: Schema,
    settings: Settings,
    before: "Fitted | None" = None,
    say: Callable[[str], None] | None = None,
) -> Fitted:
    """Train a model on codes ``[N, C]`` in memory; ``before`` gives the weights and scales to start from.

    Torch's generators are left as they were. ``say`` is told a line about once a second, if it is given.

    Raises:
        UserError: settings that cannot be right, or other ones than ``before`` has where it cannot change.
    """
    asked = settings
    dataset = _dataset(codes, schema, settings)
    settings, _ = resolve(settings, dataset)
    if before is None:
        preparation = fit_preparation(dataset, support=SUPPORT[settings.likelihood], scaling=settings.scaling)
    else:
        settings, preparation = _gone_on(before, asked, settings), before.preparation
    with torch.random.fork_rng(devices=[]):
        model = fresh_model(settings, dataset, preparation)
        state = TrainingState.start(model, settings, build_memory(settings))
        if before is not None:
            model.load_state_dict(before.tensors())
            state.earlier = len(before.history)
        blocks = preparation(dataset.rows("validation")).split(BLOCK)
        data = TrainingData(
            dataset.rows("train"), preparation, lambda: iter(blocks), preparation.log_det(dataset.event_shape)
        )
        told = (lambda state: None) if say is None else plain_lines(say)
        train(state, data, build_bound(settings), build_estimator(settings, state.memory), settings, told)
    weights = {
        name: value.double().numpy() if value.is_floating_point() else value.numpy()
        for name, value in state.best.items()
    }
    history = [*([] if before is None else before.history), *state.history]
    return Fitted(asked, settings, preparation, codes.shape[1], weights, history)


def _gone_on(before: Fitted, asked: Settings, resolved: Settings) -> Settings:
    """The settings of a training that goes on, with what was asked otherwise than before.

    Raises:
        UserError: that is one of `KEPT`.
    """
    names = [f.name for f in fields(Settings)]
    changed = [name for name in names if getattr(asked, name) != getattr(before.asked, name)]
    for name in changed:
        if name in KEPT:
            raise UserError(
                f"{name} is {getattr(asked, name)!r} and was {getattr(before.asked, name)!r} in the fit that "
                "this one goes on from; leave it as it was, or fit anew (warm_start=False)"
            )
    return before.settings.replace(**{name: getattr(resolved, name) for name in changed})


def _dataset(codes: Array, schema: Schema, settings: Settings) -> Dataset:
    """The codes with their rows for training and validation; few rows serve for both."""
    n = len(codes)
    held = round(settings.validation_fraction * n) if n >= 20 else 0
    order = np.random.Generator(np.random.PCG64(settings.seed)).permutation(n)
    train_rows = np.sort(order[held:]) if held else np.arange(n)
    validation = np.sort(order[:held]) if held else np.arange(n)
    splits = {"train": torch.from_numpy(train_rows), "validation": torch.from_numpy(validation)}
    return Dataset(
        name="X",
        x=torch.from_numpy(np.array(codes, dtype=np.float64)),
        labels=None,
        splits=splits,
        value_range=(0.0, 1.0),
        digest="",
        is_binary=False,
        schema=schema,
    )


def settings_of(options: dict[str, Any], seed: int) -> Settings:
    """Settings from the parameters of an estimator.

    Raises:
        UserError: a value that cannot be used, or one of `ELSEWHERE`.
    """
    for name in options:
        if why := ELSEWHERE.get(name.replace("-", "_")):
            raise UserError(f"options has {name!r}, which {why}")
    given = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in options.items()
    }
    for name, value in given.items():
        if (kind := numbers_wanted(name)) and isinstance(value, str | bool):
            raise UserError(f"{name} is {value!r}; it must be {kind}")
    with in_python():
        return settings_from({"data": "X", "seed": seed, "device": "cpu", **given}, "jensen")
