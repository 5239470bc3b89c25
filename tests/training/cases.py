"""Models, bounds and estimators by their settings: what a compiled step must compute like an eager one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.config import Settings
from jensen.config.build import build_bound, build_estimator, build_memory, build_model
from jensen.config.names import SUPPORT
from jensen.config.resolve import resolve
from jensen.data import fit_preparation
from jensen.data.dataset import Dataset
from jensen.training.state import TrainingState
from jensen.training.step import Slope

ROWS = 50
KINDS = {
    "categorical": "categories",
    "discretized-logistic": "grid",
    "discretized-logistic-mixture": "grid",
    "bernoulli": "binary",
    "continuous-bernoulli": "unit",
    "poisson": "count",
    "negative-binomial": "count",
    "zero-inflated-negative-binomial": "count",
}
"""Data that suit a likelihood; others take real numbers."""

CASES: dict[str, dict[str, Any]] = {
    **{f"likelihood {name}": {"likelihood": name} for name in SUPPORT if name != "columns"},
    **{f"variance {v}": {"variance": v} for v in ("unit", "fixed", "per-dimension", "network", "optimal")},
    "laplace, optimal": {"likelihood": "laplace", "variance": "optimal"},
    **{
        f"posterior {name}": {"posterior": name}
        for name in ("full", "low-rank", "point", "categorical", "gumbel-softmax", "straight-through")
    },
    "prior mixture": {"prior": "mixture", "components": 3},
    "prior vamp": {"prior": "vamp", "components": 3},
    **{f"bound {name}": {"bound": name, "num_samples": 3} for name in ("beta", "free-bits", "iwae", "renyi")},
    "monte-carlo kl": {"kl": "monte-carlo"},
    "score function, leave one out": {"estimator": "score-function", "num_samples": 3},
    "score function, running mean": {"estimator": "score-function"},
    "sticking the landing": {"estimator": "sticking-the-landing"},
    "doubly reparameterized": {"estimator": "doubly-reparameterized", "bound": "iwae", "num_samples": 3},
    "doubly reparameterized, two followed": {
        "estimator": "doubly-reparameterized",
        "bound": "iwae",
        "num_samples": 5,
        "backward_samples": 2,
    },
    "dynamic binarization": {"binarize": "dynamic"},
    "dequantized": {"likelihood": "normal", "kind": "grid"},
    "clipped, warmed up": {"grad_clip": 0.5, "kl_warmup": 3},
    "clipped, warmed up, monte-carlo kl": {"grad_clip": 0.5, "kl_warmup": 3, "kl": "monte-carlo"},
    "clipped by the running norm": {"grad_clip_ratio": 1.0},
    "clipped in both ways": {"grad_clip_ratio": 1.5, "grad_clip": 3.0},
    "bf16": {"precision": "bf16"},
    "bf16, convolutions": {"precision": "bf16", "network": "conv", "kind": "image", "hidden": (16,)},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "muon": {"optimizer": "muon", "weight_decay": 0.1},
    "averaged": {"average": 0.9},
    "muon, averaged": {"optimizer": "muon", "average": 0.9, "weight_decay": 0.1},
    "muon, convolutions": {"optimizer": "muon", "network": "conv", "kind": "image", "hidden": (16,)},
}


def dataset(kind: str) -> Dataset:
    """Rows of a kind."""
    draws = np.random.default_rng(0)
    x = {
        "real": lambda: draws.normal(size=(ROWS + 10, 6)),
        "binary": lambda: (draws.random((ROWS + 10, 6)) < 0.5).astype(np.uint8),
        "unit": lambda: draws.random((ROWS + 10, 6)),
        "count": lambda: draws.poisson(3, size=(ROWS + 10, 6)),
        "categories": lambda: draws.integers(0, 3, size=(ROWS + 10, 6)),
        "image": lambda: draws.normal(size=(ROWS + 10, 8, 8)).astype(np.float32),
        "grid": lambda: draws.integers(0, 256, size=(ROWS + 10, 4, 4)).astype(np.uint8),
    }[kind]()
    splits = {"train": torch.arange(ROWS), "validation": torch.arange(ROWS, ROWS + 10)}
    grey = (0.0, 255.0) if kind == "grid" else (0.0, 1.0)
    return Dataset("x", torch.from_numpy(x), None, splits, grey, "", kind == "binary")


@dataclass
class Problem:
    """All that a step needs."""

    slope: Slope
    state: TrainingState
    rows: Tensor
    settings: Settings

    @property
    def weight(self) -> Tensor:
        return torch.tensor(0.7)


def problem(name: str, **more: Any) -> Problem:
    """A case of `CASES`, small, in training mode, the same at every call."""
    changes = {**CASES.get(name, {}), **more}
    kind = changes.pop("kind", None) or ("grid" if "binarize" in changes else None)
    data = dataset(kind or KINDS.get(changes.get("likelihood", ""), "real"))
    small = {"data": "x", "hidden": (8,), "latent_dim": 2, "batch_size": 16, "device": "cpu"}
    settings, _ = resolve(Settings(**{**small, **changes}), data)
    preparation = fit_preparation(
        data, support=SUPPORT[settings.likelihood], binarize=settings.binarize, scaling=settings.scaling
    )
    rows = data.rows("train")
    torch.manual_seed(0)
    some = preparation(rows[:3], torch.Generator().manual_seed(0))
    model: nn.Module = build_model(settings, data.event_shape, preparation, some).train()
    state = TrainingState.start(model, settings, build_memory(settings))
    estimator = build_estimator(settings, state.memory)
    slope = Slope(model, state.memory, preparation, build_bound(settings), estimator, settings)
    return Problem(slope, state, rows, settings)
