"""Families: raw network outputs -> a distribution. `Conditional` joins a network to one.

A family is a module with ``event_shape``, ``num_outputs`` (raw numbers a datum) and
``forward(raw [*batch, num_outputs]) -> Distribution`` of batch shape ``[*batch]``. At raw outputs of any size
up to 1e8 (in float32; beyond, squares of their differences overflow) log_prob and its gradient are finite:
tests/laws holds every family to that. Where an entry of the event has several raw numbers, the first number
of every entry comes before the second of any, unless the family says ``interleaved = True``: then the numbers
of an entry lie side by side. A family that says ``any_outputs = True`` takes other numbers of outputs too.
"""

from jensen.families.bernoulli import Bernoulli, ContinuousBernoulli
from jensen.families.categorical import Categorical
from jensen.families.conditional import Conditional
from jensen.families.counts import Exposed, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from jensen.families.discretized import DiscretizedLogistic, MixtureOfDiscretizedLogistics
from jensen.families.experts import Experts
from jensen.families.flow import FlowNormal
from jensen.families.full_normal import FullNormal, LowRankNormal
from jensen.families.location_scale import Laplace, Normal, StudentT
from jensen.families.one_hot import GumbelSoftmax, OneHotCategorical, StraightThrough
from jensen.families.point import PointMass
from jensen.families.scales import (
    FixedScale,
    NetworkScale,
    NetworkVariance,
    OptimalScale,
    PerDimensionScale,
    SharedScale,
)

__all__ = [
    "Bernoulli",
    "Categorical",
    "Conditional",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Experts",
    "Exposed",
    "FixedScale",
    "FlowNormal",
    "FullNormal",
    "GumbelSoftmax",
    "Laplace",
    "LowRankNormal",
    "MixtureOfDiscretizedLogistics",
    "NegativeBinomial",
    "NetworkScale",
    "NetworkVariance",
    "Normal",
    "OneHotCategorical",
    "OptimalScale",
    "PerDimensionScale",
    "PointMass",
    "Poisson",
    "SharedScale",
    "StraightThrough",
    "StudentT",
    "ZeroInflatedNegativeBinomial",
]
