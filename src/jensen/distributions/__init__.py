"""What `torch.distributions` lacks. Importing this room registers the KL pairs that torch does not have."""

from jensen.distributions import kl
from jensen.distributions.continuous_bernoulli import ContinuousBernoulli
from jensen.distributions.counts import NegativeBinomial, Poisson, ZeroInflated
from jensen.distributions.delta import Delta
from jensen.distributions.discretized import DiscretizedLogistic
from jensen.distributions.low_rank import LowRankNormal
from jensen.distributions.moments import center
from jensen.distributions.one_hot import OneHot, RelaxedOneHot, StraightThroughOneHot
from jensen.distributions.spline import SplineNormal
from jensen.distributions.student_t import StudentT

__all__ = [
    "ContinuousBernoulli",
    "Delta",
    "DiscretizedLogistic",
    "LowRankNormal",
    "NegativeBinomial",
    "OneHot",
    "Poisson",
    "RelaxedOneHot",
    "SplineNormal",
    "StraightThroughOneHot",
    "StudentT",
    "ZeroInflated",
    "center",
    "kl",
]
