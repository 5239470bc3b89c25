"""The state of a training run, and its one-file checkpoint: all that resuming needs."""

import copy
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from jensen.errors import UserError
from jensen.mode import learning
from jensen.tensors import load_tensors, save_tensors
from jensen.training.clip import Clip
from jensen.training.history import Record
from jensen.training.optimizer import Optimizer, build_optimizer
from jensen.training.plan import Plan
from jensen.training.schedules import LearningRate


@dataclass
class TrainingState:
    """Everything that changes while training, as it stands between two epochs."""

    model: nn.Module
    optimizer: Optimizer
    learning_rate: LearningRate
    clip: Clip
    memory: nn.Module = field(default_factory=nn.Module)
    """What the gradient estimator remembers, as a running-mean baseline does; often nothing."""
    history: list[Record] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    """The weights, or their averages, with the best validation bound so far."""
    best_value: float = float("-inf")
    best_epoch: int = 0
    seconds: float = 0.0
    """Time spent training, over all sessions."""
    stopped: str = ""
    """Why training ended; empty while it has not."""
    compiled_from: int | None = None
    """The epoch, counted from 0, from which on the step is compiled; None while it is not. A resumed run
    compiles it at once, and so goes on with the very numbers of the run that was stopped."""
    changing: bool = False
    """Whether the step was seen to change by numbers outside its tensors: then it is not compiled again."""
    earlier: int = 0
    """Epochs of earlier trainings, of which only the weights are left, and with these this one starts. The
    order of the rows, the draws and the KL warm-up go on from where they ended."""

    @classmethod
    @learning
    def start(cls, model: nn.Module, plan: Plan, memory: nn.Module | None = None) -> "TrainingState":
        """A fresh state at epoch 0.

        Raises:
            ValueError: a ``state_dict`` holds what is no tensor, and so cannot be kept.
        """
        for module in (model, memory or nn.Module()):
            _check_tensors(module)
        rate, clip = LearningRate(plan), Clip(plan)
        return cls(model, build_optimizer(model, plan), rate, clip, memory or nn.Module())

    def __repr__(self) -> str:
        return (
            f"TrainingState(epoch={self.epoch}, best_value={self.best_value:.2f}, "
            f"best_epoch={self.best_epoch})"
        )

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def number(self) -> int:
        """The number of the next epoch, counted from 0 through all trainings."""
        return self.earlier + self.epoch

    def advance(self, record: Record, seconds: float) -> None:
        """Record the figures of one more epoch, and its weights if its validation bound is the best."""
        self.history.append(record)
        self.seconds += seconds
        improved = record["validation_bound"] > self.best_value
        if improved:
            self.best_value, self.best_epoch = record["validation_bound"], self.epoch
            with self.optimizer.averaged():
                self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.learning_rate.observe(improved)

    def save(self, path: Path, config: str = "") -> None:
        """Write the checkpoint: one safetensors file, so that it is whole or absent.

        Args:
            path: where to.
            config: digest of the settings that the state belongs to, compared by `load`.
        """
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        tensors |= {f"memory/{k}": v for k, v in self.memory.state_dict().items()}
        tensors |= {f"clip/{k}": v for k, v in self.clip.state_dict().items()}
        tensors |= {f"optimizer/{k}": v for k, v in self.optimizer.tensors().items()}
        rate = self.learning_rate
        record = {
            "history": self.history,
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "compiled": self.compiled_from,
            "changing": self.changing,
            "earlier": self.earlier,
            "learning_rate": {"lowered": rate.lowered, "waited": rate.waited},
        }
        save_tensors(path, tensors, {"state": json.dumps(record), "config": config})

    @staticmethod
    def read_history(path: Path, config: str = "") -> list[Record]:
        """The figures of the epochs up to a checkpoint.

        Raises:
            UserError: the file is missing, truncated, altered or of other settings than ``config``.
        """
        history: list[Record] = json.loads(_read(path, config)[1]["state"])["history"]
        return history

    @classmethod
    def load(
        cls, path: Path, model: nn.Module, plan: Plan, memory: nn.Module | None = None, config: str = ""
    ) -> "TrainingState":
        """Read a checkpoint into ``model``, ``memory`` and a new optimizer.

        Raises:
            UserError: the file is missing, truncated, altered or of other settings than ``config``.
        """
        tensors, metadata = _read(path, config)
        kinds = ("model", "best", "memory", "clip", "optimizer")
        groups: dict[str, dict[str, Tensor]] = {kind: {} for kind in kinds}
        for name, tensor in tensors.items():
            kind, key = name.split("/", 1)
            groups[kind][key] = tensor
        state = cls.start(model, plan, memory)
        model.load_state_dict(groups["model"])
        state.memory.load_state_dict(groups["memory"])
        state.clip.load_state_dict(groups["clip"], strict=False)  # an earlier jensen's checkpoint has none
        state.optimizer.load(groups["optimizer"])
        record = json.loads(metadata["state"])
        state.learning_rate = LearningRate(plan, **record.pop("learning_rate"))
        state.compiled_from = record.pop("compiled", None)
        for name, value in record.items():
            setattr(state, name, value)
        state.best = groups["best"]
        return state


def _check_tensors(module: nn.Module) -> None:
    """Refuse a module whose ``get_extra_state`` gives what no checkpoint can hold."""
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"the state_dict of {type(module).__name__} has {name}, a {type(value).__name__}; they are "
                "kept as tensors, so give a tensor: by get_extra_state, or as a buffer (register_buffer)"
            )


class Kept:
    """What a checkpoint holds, as it was at the end of the last epoch, in case training is interrupted later.

    In the middle of an epoch the weights have already moved on, in place, but only whole epochs are resumed.
    """

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.copies = [tensor.clone() for tensor in self._tensors()]
        self.take()

    def _tensors(self) -> list[Tensor]:
        """All that changes in place, each once."""
        state = self.state
        moments = {id(tensor): tensor for tensor in state.optimizer.tensors().values()}
        modules = (state.model, state.memory, state.clip)
        return [*(t for m in modules for t in m.state_dict().values()), *moments.values()]

    @torch.no_grad()
    def take(self) -> None:
        """Remember the state as it is now."""
        for kept, tensor in zip(self.copies, self._tensors(), strict=True):
            kept.copy_(tensor)
        # The best weights are replaced whole, never changed, and need no copy.
        rate = copy.copy(self.state.learning_rate)
        self.then = replace(self.state, history=[*self.state.history], learning_rate=rate)

    @torch.no_grad()
    def put_back(self) -> TrainingState:
        """The state as it was when last remembered."""
        for kept, tensor in zip(self.copies, self._tensors(), strict=True):
            tensor.copy_(kept)
        return self.then


def _read(path: Path, config: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = load_tensors(path)
    if not {"state", "config"} <= metadata.keys():
        raise UserError(f"{path} is no checkpoint; restore it or train again")
    if metadata["config"] != config:
        raise UserError(f"the run's config.yaml was altered since {path} was written; restore it")
    return tensors, metadata
