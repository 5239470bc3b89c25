"""Evaluation of a trained model: bounds with standard errors, latents, samples. No gradients here."""

from jensen.evaluation.estimate import Estimate, estimate
from jensen.evaluation.latents import Latents, encode, rate_per_dimension
from jensen.evaluation.log_likelihood import evaluate, importance_weighted
from jensen.evaluation.samples import reconstruct, sample

__all__ = [
    "Estimate",
    "Latents",
    "encode",
    "estimate",
    "evaluate",
    "importance_weighted",
    "rate_per_dimension",
    "reconstruct",
    "sample",
]
