"""The registry of families and priors: one line for each joins it to every law of this folder."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen import families, priors
from jensen.families import (
    FixedScale,
    NetworkScale,
    NetworkVariance,
    OptimalScale,
    PerDimensionScale,
    SharedScale,
)

GRID = {"low": -1.25, "high": 2.25, "step": 0.25}
CLASSES = 3


@dataclass(frozen=True)
class Case:
    """A family or a prior, small enough that sums and integrals over all its values are cheap."""

    name: str
    make: Callable[[], nn.Module]
    support: str
    """real, unit, binary, count, grid, categories; of latents also one-hot, simplex, point."""
    role: str = "decoder"
    spread: float = 1.0
    """Standard deviation of the raw outputs that are tried."""
    sampled_moments: bool = False
    """Mean and standard deviation come from seeded draws, for want of a formula."""

    def build(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
        """The module in evaluation mode, with parameters moved away from where they start."""
        torch.manual_seed(seed)
        module = self.make().to(dtype).eval()
        for parameter in module.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
        return module

    def raw(self, module: nn.Module, *batch: int, seed: int = 1) -> Tensor:
        """Raw outputs of a network, ``[*batch, num_outputs]``; of a prior, none."""
        generator = torch.Generator().manual_seed(seed)
        size = 0 if self.role == "prior" else module.num_outputs
        return self.spread * torch.randn(*batch, size, generator=generator, dtype=torch.float64)

    def at(self, module: nn.Module, raw: Tensor) -> Distribution:
        return module() if self.role == "prior" else module(raw)


DECODERS = [
    Case("normal-fixed", lambda: families.Normal([1], FixedScale(0.7)), "real"),
    Case("normal-shared", lambda: families.Normal([1], SharedScale(0.5)), "real"),
    Case("normal-per-dimension", lambda: families.Normal([2], PerDimensionScale(2)), "real"),
    Case("normal-network", lambda: families.Normal([2], NetworkScale(2)), "real"),
    Case("normal-network-variance", lambda: families.Normal([2], NetworkVariance(2)), "real"),
    Case("normal-optimal", lambda: families.Normal([1], OptimalScale()), "real"),
    Case("laplace-network", lambda: families.Laplace([1], NetworkScale(1)), "real"),
    Case("laplace-per-dimension", lambda: families.Laplace([2], PerDimensionScale(2)), "real"),
    Case("laplace-optimal", lambda: families.Laplace([1], OptimalScale()), "real"),
    Case("student-t-shared", lambda: families.StudentT([1], SharedScale()), "real"),
    Case("student-t-network", lambda: families.StudentT([1], NetworkScale(1)), "real"),
    Case("bernoulli", lambda: families.Bernoulli([3]), "binary"),
    Case("continuous-bernoulli", lambda: families.ContinuousBernoulli([1]), "unit", spread=5.0),
    Case("continuous-bernoulli-flat", lambda: families.ContinuousBernoulli([1]), "unit", spread=0.003),
    Case("categorical", lambda: families.Categorical([2], CLASSES), "categories"),
    Case(
        "discretized-logistic-network",
        lambda: families.DiscretizedLogistic([2], NetworkScale(2), **GRID),
        "grid",
    ),
    Case(
        "discretized-logistic-shared",
        lambda: families.DiscretizedLogistic([1], SharedScale(0.05), **GRID),
        "grid",
    ),
    Case("mixture-of-logistics", lambda: families.MixtureOfDiscretizedLogistics([2], 3, **GRID), "grid"),
    Case("poisson", lambda: families.Poisson([1]), "count"),
    Case("poisson-large", lambda: families.Poisson([1]), "count", spread=4.0),
    Case("negative-binomial-shared", lambda: families.NegativeBinomial([1], PerDimensionScale(1)), "count"),
    Case("negative-binomial-network", lambda: families.NegativeBinomial([1], NetworkScale(1)), "count"),
    Case(
        "zero-inflated-per-dimension",
        lambda: families.ZeroInflatedNegativeBinomial([1], PerDimensionScale(1)),
        "count",
    ),
    Case(
        "zero-inflated-network",
        lambda: families.ZeroInflatedNegativeBinomial([1], NetworkScale(1)),
        "count",
    ),
]

ENCODERS = [
    Case("diagonal", lambda: families.Normal([2], NetworkScale(2)), "real", "encoder"),
    Case("full", lambda: families.FullNormal(2), "real", "encoder"),
    Case("experts", lambda: families.Experts(2, 3), "real", "encoder"),
    Case("low-rank", lambda: families.LowRankNormal(2, 1), "real", "encoder"),
    Case("flow", lambda: families.FlowNormal(2, 3, 2, [8]), "real", "encoder", sampled_moments=True),
    Case("flow-1d", lambda: families.FlowNormal(1, 3, 2, [8]), "real", "encoder", sampled_moments=True),
    Case("point", lambda: families.PointMass(2), "point", "encoder"),
    Case("one-hot", lambda: families.OneHotCategorical(2, CLASSES), "one-hot", "encoder"),
    Case("straight-through", lambda: families.StraightThrough(2, CLASSES), "one-hot", "encoder"),
    Case(
        "gumbel-softmax",
        lambda: families.GumbelSoftmax(1, CLASSES),
        "simplex",
        "encoder",
        sampled_moments=True,
    ),
]


class VampWithEncoder(nn.Module):
    """A VampPrior and the encoder that it shares, as a model would hold them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = families.Conditional(nn.Linear(3, 4), families.Normal([2], NetworkScale(2)))
        self.prior = priors.VampPrior(self.encoder, torch.randn(4, 3))

    def forward(self) -> Distribution:
        return self.prior()


PRIORS = [
    Case("standard", lambda: priors.StandardNormal(2), "real", "prior"),
    Case("mixture", lambda: priors.Mixture(2, 3), "real", "prior"),
    Case("vamp", VampWithEncoder, "real", "prior"),
    Case("flow-prior", lambda: priors.Flow(2, 2, [8]), "real", "prior", sampled_moments=True),
    Case("uniform-one-hot", lambda: priors.Categorical(2, CLASSES), "one-hot", "prior"),
    Case(
        "uniform-relaxed",
        lambda: priors.RelaxedCategorical(1, CLASSES),
        "simplex",
        "prior",
        sampled_moments=True,
    ),
]

FAMILIES = DECODERS + ENCODERS
ALL = FAMILIES + PRIORS

CLOSED_FORM_KL = {
    ("diagonal", "standard"),
    ("full", "standard"),
    ("experts", "standard"),
    ("low-rank", "standard"),
    ("one-hot", "uniform-one-hot"),
    ("straight-through", "uniform-one-hot"),
}
"""The pairs of posterior and prior whose KL has a formula; elsewhere a trace takes the Monte Carlo term."""
