"""The names of the choices, each with the object that it stands for. A new part gets its line here.

The laws of the test suite (tests/laws) and the checks of the options run over these tables.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from jensen import families, objectives, priors
from jensen.config.settings import Settings
from jensen.config.tables import column_family, column_inputs, marginals_of, modelled_of
from jensen.data import Preparation
from jensen.networks import Log1p, OneHot
from jensen.objectives import Bound

Shape = Sequence[int]
SCALES: dict[str, Callable[[Settings, int], Any]] = {
    "shared": lambda s, size: families.SharedScale(),
    "unit": lambda s, size: families.FixedScale(1.0),
    "fixed": lambda s, size: families.FixedScale(s.sigma),
    "per-dimension": lambda s, size: families.PerDimensionScale(size),
    "network": lambda s, size: families.NetworkVariance(size),
    "optimal": lambda s, size: families.OptimalScale(),
}


def _scale(s: Settings, shape: Shape) -> Any:
    return SCALES[s.variance](s, math.prod(shape))


def _grid(p: Preparation) -> tuple[Tensor, Tensor, Tensor]:
    """Lowest level, highest level and step of discretized data, as the model sees them."""
    low, high = p.value_range
    return (low - p.shift) / p.scale, (high - p.shift) / p.scale, 1 / p.scale


def _classes(p: Preparation) -> int:
    return max(2, int(p.value_range[1]) + 1)


LIKELIHOODS: dict[str, Callable[[Settings, Shape, Preparation], Any]] = {
    "normal": lambda s, shape, p: families.Normal(shape, _scale(s, shape)),
    "laplace": lambda s, shape, p: families.Laplace(shape, _scale(s, shape)),
    "student-t": lambda s, shape, p: families.StudentT(shape, _scale(s, shape)),
    "bernoulli": lambda s, shape, p: families.Bernoulli(shape),
    "continuous-bernoulli": lambda s, shape, p: families.ContinuousBernoulli(shape),
    "categorical": lambda s, shape, p: families.Categorical(shape, _classes(p)),
    "discretized-logistic": lambda s, shape, p: families.DiscretizedLogistic(
        shape, _scale(s, shape), *_grid(p)
    ),
    "discretized-logistic-mixture": lambda s, shape, p: families.MixtureOfDiscretizedLogistics(
        shape, s.components, *_grid(p)
    ),
    "poisson": lambda s, shape, p: families.Poisson(shape),
    "negative-binomial": lambda s, shape, p: families.NegativeBinomial(shape, _scale(s, shape)),
    "zero-inflated-negative-binomial": lambda s, shape, p: families.ZeroInflatedNegativeBinomial(
        shape, _scale(s, shape)
    ),
    "columns": lambda s, shape, p: column_family(modelled_of(s.condition, p)),
}
SUPPORT: dict[str, str] = {
    "normal": "real",
    "laplace": "real",
    "student-t": "real",
    "bernoulli": "binary",
    "continuous-bernoulli": "unit",
    "categorical": "categories",
    "discretized-logistic": "grid",
    "discretized-logistic-mixture": "grid",
    "poisson": "count",
    "negative-binomial": "count",
    "zero-inflated-negative-binomial": "count",
    "columns": "table",
}
"""Where each likelihood lives; a test holds it to where its density integrates to one."""
POSTERIORS: dict[str, Callable[[Settings, int], Any]] = {
    "diagonal": lambda s, M: families.Normal([M], families.NetworkScale(M)),
    "full": lambda s, M: families.FullNormal(M),
    "experts": lambda s, M: families.Experts(M),
    "low-rank": lambda s, M: families.LowRankNormal(M, min(s.rank, M)),  # 2 of one latent: an earlier run
    "flow": lambda s, M: families.FlowNormal(M),
    "point": lambda s, M: families.PointMass(M),
    "categorical": lambda s, M: families.OneHotCategorical(M, s.categories),
    "gumbel-softmax": lambda s, M: families.GumbelSoftmax(M, s.categories, s.temperature),
    "straight-through": lambda s, M: families.StraightThrough(M, s.categories, s.temperature),
}
PRIORS: dict[str, Callable[[Settings, Any, Tensor], nn.Module]] = {
    "standard": lambda s, encoder, rows: priors.StandardNormal(s.latent_dim),
    "mixture": lambda s, encoder, rows: priors.Mixture(s.latent_dim, s.components),
    "vamp": lambda s, encoder, rows: priors.VampPrior(encoder, rows),
    "flow": lambda s, encoder, rows: priors.Flow(s.latent_dim),
    "categorical": lambda s, encoder, rows: (
        priors.RelaxedCategorical(s.latent_dim, s.categories, s.temperature)
        if s.posterior == "gumbel-softmax"
        else priors.Categorical(s.latent_dim, s.categories)
    ),
}
BOUNDS: dict[str, Callable[[Settings], Bound]] = {
    "elbo": lambda s: objectives.elbo_monte_carlo if s.kl == "monte-carlo" else objectives.elbo,
    "beta": lambda s: objectives.beta(s.beta),
    "free-bits": lambda s: objectives.free_bits(s.free_bits),
    "iwae": lambda s: objectives.iwae,
    "renyi": lambda s: objectives.renyi(s.alpha),
    "reconstruction": lambda s: objectives.reconstruction,
}
ESTIMATORS: dict[str, Callable[..., Tensor]] = {
    "pathwise": objectives.pathwise,
    "score-function": objectives.score_function,
    "sticking-the-landing": objectives.sticking_the_landing,
    "doubly-reparameterized": objectives.doubly_reparameterized,
}
INPUTS: dict[str, Callable[[Preparation, Shape], tuple[nn.Module, Shape]]] = {
    "count": lambda p, shape: (Log1p(), shape),
    "categories": lambda p, shape: (OneHot(_classes(p)), [*shape, _classes(p)]),
    "table": lambda p, shape: column_inputs(marginals_of(p)),
}
"""What stands between data of a shape and the encoder's network, by the likelihood's domain, and the shape
that it makes of a datum."""
