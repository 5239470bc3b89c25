"""Evaluation of a trained model: bounds with standard errors, latents, samples. No gradients here."""

import importlib
from typing import Any

from jensen.evaluation.estimate import Estimate, estimate
from jensen.evaluation.latents import Latents, encode, rate_per_dimension
from jensen.evaluation.log_likelihood import evaluate, importance_weighted
from jensen.evaluation.samples import reconstruct, sample, sample_blocks

_LATER = (
    "aggregate",
    "ais",
    "associations",
    "bdmc",
    "compiled",
    "conditions",
    "contexts",
    "impute",
    "score",
    "tempered",
)

__all__ = [
    *_LATER,
    "Estimate",
    "Latents",
    "encode",
    "estimate",
    "evaluate",
    "importance_weighted",
    "rate_per_dimension",
    "reconstruct",
    "sample",
    "sample_blocks",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"jensen.evaluation.{name}")
    raise AttributeError(f"module 'jensen.evaluation' has no attribute {name!r}")
