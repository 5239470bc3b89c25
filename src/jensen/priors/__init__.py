"""Priors p(z): modules whose ``forward()`` returns a distribution over latents."""

from jensen.priors.categorical import Categorical, RelaxedCategorical
from jensen.priors.flow import Flow
from jensen.priors.mixture import Mixture, VampPrior
from jensen.priors.standard import StandardNormal

__all__ = ["Categorical", "Flow", "Mixture", "RelaxedCategorical", "StandardNormal", "VampPrior"]
