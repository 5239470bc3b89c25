"""Objectives: bounds on log p(x), and estimators of their gradients."""

from jensen.objectives.baselines import Baseline, RunningMean, leave_one_out, no_baseline
from jensen.objectives.bounds import (
    Bound,
    PowerMean,
    beta,
    cubo,
    elbo,
    elbo_monte_carlo,
    free_bits,
    iwae,
    log_mean_exp,
    log_weight,
    mean,
    reconstruction,
    renyi,
)
from jensen.objectives.estimators import pathwise, score_function, sticking_the_landing
from jensen.objectives.gradients import (
    leaf_parameters,
    pathwise_gradient,
    score_function_gradient,
    score_surrogate,
)
from jensen.objectives.importance import doubly_reparameterized
from jensen.objectives.mathematics import decoder_gradient, elbo_from_risk, gaussian_kl, risk
from jensen.objectives.passes import PathDensity

__all__ = [
    "Baseline",
    "Bound",
    "PathDensity",
    "PowerMean",
    "RunningMean",
    "beta",
    "cubo",
    "decoder_gradient",
    "doubly_reparameterized",
    "elbo",
    "elbo_from_risk",
    "elbo_monte_carlo",
    "free_bits",
    "gaussian_kl",
    "iwae",
    "leaf_parameters",
    "leave_one_out",
    "log_mean_exp",
    "log_weight",
    "mean",
    "no_baseline",
    "pathwise",
    "pathwise_gradient",
    "reconstruction",
    "renyi",
    "risk",
    "score_function",
    "score_function_gradient",
    "score_surrogate",
    "sticking_the_landing",
]
