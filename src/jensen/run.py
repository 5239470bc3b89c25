"""A run's folder: written while training (`jensen.saving`), opened here by every other command.

``config.yaml`` (settings, and what jensen found in the data), ``model.safetensors`` (the best weights
on validation data), ``checkpoint/`` (all that resuming needs), ``metrics.jsonl`` (a line an epoch) and
``report.html``. Every file is replaced whole: a crash at any moment leaves the old one or the new one.
The checkpoint is written first: from it, resuming writes the others anew.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from jensen.config.build import build_model
from jensen.config.data import load_dataset
from jensen.config.identity import MOVED, identity
from jensen.config.settings import Settings, read_run_settings, read_yaml
from jensen.config.tables import places_given
from jensen.data import Dataset, Preparation, evaluation_blocks
from jensen.data.arrays import place_names
from jensen.data.dataset import describe
from jensen.data.seeds import seeded
from jensen.data.sources import is_there
from jensen.data.tables.schema import Schema
from jensen.errors import UserError
from jensen.models import VAE
from jensen.tensors import load_tensors
from jensen.training.history import Record, as_lines, read_lines
from jensen.training.state import TrainingState

WRITTEN = ("config.yaml", "model.safetensors", "metrics.jsonl", "checkpoint/state.safetensors")
"""The files of a run's folder that training writes."""


class OtherDataError(UserError):
    """The data are not those that a run was trained on."""


@dataclass
class Run:
    """An existing run. `Run.open` reads it, `jensen.session.start` makes a new one."""

    path: Path
    settings: Settings
    recorded: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Read a run's config.yaml.

        Raises:
            UserError: ``path`` is no run, or its config.yaml is damaged.
        """
        path = Path(path)
        config = path / "config.yaml"
        settings = read_run_settings(path)
        recorded = read_yaml(config).get("recorded")
        if not isinstance(recorded, dict):
            raise UserError(f"{config} lacks its `recorded` part; restore the file or train again")
        return cls(path, settings, recorded)

    @property
    def config(self) -> Path:
        """The run's config.yaml."""
        return self.path / "config.yaml"

    @property
    def checkpoint(self) -> Path:
        """The file that resuming starts from."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def preparation(self) -> Preparation:
        """How stored rows become model inputs."""
        try:
            return Preparation.from_dict(self._found("preparation"))
        except UserError as error:
            raise UserError(f"{self.config}: {error}") from None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one datum."""
        try:
            return tuple(int(size) for size in self._found("data")["shape"][1:])
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{self.config} lacks recorded.data.shape; restore it or train again") from None

    @property
    def log_det(self) -> float:
        """What to add to a bound in the model's domain, for nats of the data as given."""
        return self.preparation.log_det(self.event_shape)

    def _found(self, key: str) -> dict[str, Any]:
        try:
            return dict(self.recorded[key])
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{self.config} lacks recorded.{key}; restore it or train again") from None

    @property
    def identity(self) -> str:
        """Digest of all in config.yaml that the weights depend on, kept beside the weights."""
        return identity(self.settings, self.recorded)

    @property
    def schema(self) -> Schema | None:
        """What the columns of a table are; None where the data are an array."""
        found = self.recorded.get("schema")
        if found is None:
            return None
        try:
            return Schema.from_dict(found)
        except UserError as error:
            raise UserError(f"{self.config}: {error}") from None

    @property
    def features(self) -> tuple[str, ...]:
        """What the numbers of a row are called, such as genes; empty where the data had no names for them."""
        return tuple(map(str, self.recorded.get("features") or ()))

    @property
    def names(self) -> list[str]:
        """What the numbers of a datum are called: columns of a table, features, or by their places."""
        if self.schema is not None:
            return [column.name for column in self.schema.modelled]
        return [*self.features] or place_names(self.event_shape)

    @property
    def places_given(self) -> list[int]:
        """The places of the columns that the model is conditional on, among those of a row."""
        return places_given(self.settings.condition, self.preparation)

    def moved(self, data: str) -> None:
        """Take the data from another place from now on; `dataset` checks that they are the same."""
        self.recorded = {MOVED: self.settings.data} | self.recorded
        self.settings = self.settings.replace(data=data)

    def dataset(self, data_dir: Path | None = None) -> Dataset:
        """The data the run was trained on, checked against the digest that was recorded.

        Raises:
            UserError: the data are missing.
            OtherDataError: they are not the same.
        """
        settings = self.settings.replace(data_dir=data_dir or self.settings.data_dir)
        if not is_there(settings.data):
            raise UserError(
                f"{settings.data}: no such file or folder; restore the data of {self.path} there, or say "
                f"where they are now: jensen train NEWPATH --resume {shlex.quote(str(self.path))}"
            )
        dataset = load_dataset(settings, self.schema)
        if describe(dataset)["digest"] != self._found("data").get("digest"):
            if (self.path / "model.safetensors").exists():
                self._weights()  # an altered config.yaml, should that be the cause, is named first
            before, now = self._found("data").get("shape", [0])[0], len(dataset.x)
            what = f"it had {before:,} rows, and now {now:,}" if before != now else "its digest differs"
            raise OtherDataError(
                f"{self.settings.data} is not what {self.path} was trained on ({what}); restore it, or train "
                "again"
            )
        return dataset

    def model(self, device: str = "cpu") -> VAE:
        """The trained model with its best weights, in evaluation mode.

        Raises:
            UserError: the weights are missing, truncated, altered or of another config.yaml.
        """
        weights = self._weights()
        with seeded(self.settings.seed):  # weights that are then replaced: their draws leave no mark
            model = build_model(self.settings, self.event_shape, self.preparation)
        model.load_state_dict(weights)
        return model.to(device).eval()

    def _weights(self) -> dict[str, Tensor]:
        """The best weights, checked to be those of this config.yaml."""
        path = self.path / "model.safetensors"
        if not path.exists() and self.checkpoint.exists():
            raise UserError(f"{path} is missing; `jensen train --resume {self.path}` writes it anew")
        self._check_begun()
        weights, metadata = load_tensors(path)
        if metadata.get("config") != self.identity:
            raise UserError(
                f"{self.config} and {path.name} do not belong together: one was altered, or is of another "
                "run; restore it"
            )
        return weights

    def _check_begun(self) -> None:
        """Refuse a run of which nothing is there but its config.yaml, and which resuming begins anew."""
        if not any((self.path / name).exists() for name in WRITTEN[1:]):
            raise UserError(
                f"{self.path} has no weights: training was stopped before its first checkpoint; `jensen "
                f"train --resume {self.path}` trains it"
            )

    def blocks(
        self, dataset: Dataset, split: str, limit: int | None = None, *, alike: bool = False
    ) -> Iterator[Tensor]:
        """The prepared rows of a split in fixed blocks, alike for every run (see `evaluation_blocks`)."""
        return evaluation_blocks(dataset, self.preparation, split, limit=limit, alike=alike)

    def history(self) -> list[Record]:
        """The lines of metrics.jsonl.

        Raises:
            UserError: the file is missing, damaged or not what the checkpoint remembers.
        """
        self._check_begun()
        path = self.path / "metrics.jsonl"
        mend = f"`jensen train --resume {self.path}` writes it anew"
        content, lines = read_lines(path, mend)
        if self.checkpoint.exists() and content != self._remembered():
            raise UserError(
                f"{path} is not what the checkpoint remembers (truncated, altered, or the run was stopped "
                f"while writing it); {mend}"
            )
        if not lines:
            raise UserError(f"{path} is empty; {mend}")
        return lines

    def _remembered(self) -> bytes:
        """What metrics.jsonl is by the checkpoint."""
        return as_lines(TrainingState.read_history(self.checkpoint, self.identity))

    def damages(self) -> Iterator[str]:
        """What is wrong with the files that resuming writes anew from the checkpoint, a line each."""
        for read in (self._weights, self.history):
            try:
                read()
            except UserError as error:
                yield str(error).partition(";")[0]
