"""The models of the tests: one or two latent groups, one datum of three dimensions.

Parameters p are [R, ...], a latent z is [K, R, M].
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, OneHotCategorical

from jensen.distributions import SplineNormal
from jensen.distributions.spline import coupling_splines
from tests.objectives.rows import Group, Parameters, Problem

NOISE = 1.5
"""The standard deviation of x given z; large enough for quadrature with few points to converge."""


def normal(loc: Tensor, scale: Tensor) -> Distribution:
    return Independent(Normal(loc, scale), 1)


def diagonal(p: Parameters, z: Sequence[Tensor]) -> Distribution:
    return normal(p["loc"], p["log_scale"].exp())


def full(p: Parameters, z: Sequence[Tensor]) -> Distribution:
    return MultivariateNormal(p["loc"], scale_tril=lower(p["root"]))


def bent() -> nn.Module:
    """A flow of two dimensions that is not the identity, with the same numbers at every call."""
    flow = coupling_splines(2, hidden=(4,)).double()
    for seed, parameter in enumerate(flow.parameters()):
        parameter.requires_grad_(False).copy_(0.3 * fixed(*parameter.shape, seed=100 + seed))
    return flow


def flow(p: Parameters, z: Sequence[Tensor]) -> Distribution:
    return SplineNormal(BENT(), p["loc"], p["log_scale"].exp())


def lower(root: Tensor) -> Tensor:
    """A lower triangular factor with a positive diagonal from any square matrix."""
    return root.tril(-1) + torch.diag_embed(root.diagonal(dim1=-2, dim2=-1).exp())


class Point(Distribution):
    """A point mass: a sampler with a path, and no density."""

    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.loc = loc

    def rsample(self, sample_shape=()):
        return self.loc.expand(*sample_shape, *self.loc.shape)

    def sample(self, sample_shape=()):
        return self.rsample(sample_shape).detach()


def standard(dimensions: int) -> Group:
    return lambda p, z: normal(torch.zeros(dimensions).double(), torch.ones(dimensions).double())


def affine(p: Parameters, z: Sequence[Tensor]) -> Distribution:
    """x ~ N(W z + b, NOISE^2 I), ``W`` ``[R, D, M]``."""
    mean = torch.einsum("rdm,krm->krd", p["W"], torch.cat(list(z), -1)) + p["b"]
    return normal(mean, torch.full_like(mean, NOISE))


def fixed(*shape: int, seed: int) -> Tensor:
    """Numbers that mean nothing, the same at every call."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)) * 0.7


X = fixed(3, seed=0)
BENT = bent()
GAUSSIAN = {"loc": fixed(2, seed=1), "W": fixed(3, 2, seed=2), "b": fixed(3, seed=3)}

PROBLEMS = {
    "diagonal": Problem(
        GAUSSIAN | {"log_scale": fixed(2, seed=4) - 0.5}, (diagonal,), (standard(2),), affine, X
    ),
    "full": Problem(
        GAUSSIAN | {"root": fixed(2, 2, seed=5) - torch.eye(2)}, (full,), (standard(2),), affine, X
    ),
    "categorical": Problem(
        {
            "logits": fixed(3, seed=6),
            "prior": fixed(3, seed=7),
            "W": fixed(3, 3, seed=8),
            "b": fixed(3, seed=3),
        },
        (lambda p, z: OneHotCategorical(logits=p["logits"]),),
        (lambda p, z: OneHotCategorical(logits=p["prior"]),),
        affine,
        X,
    ),
}

FLOW = replace(PROBLEMS["diagonal"], posterior=(flow,))
"""Apart from the others, since each of its densities costs a pass through a network."""


def chain(first: str, second: str) -> Problem:
    """Two groups, "normal" (one-dimensional) or "categorical" (3 classes), q(z_2 | z_1) depending on z_1."""
    size = {"normal": 1, "categorical": 3}
    outputs = {"normal": 2, "categorical": 3}
    a, b = size[first], size[second]
    start = {
        "raw": fixed(outputs[first], seed=11),
        "slope": fixed(outputs[second], a, seed=12),
        "offset": fixed(outputs[second], seed=13),
        "W": fixed(3, a + b, seed=14),
        "b": fixed(3, seed=3),
    }

    def family(kind: str, raw: Tensor) -> Distribution:
        if kind == "categorical":
            return OneHotCategorical(logits=raw)
        return normal(raw[..., :1], (raw[..., 1:] - 0.5).exp())

    def conditional(p: Parameters, z: Sequence[Tensor]) -> Distribution:
        return family(second, torch.einsum("rom,krm->kro", p["slope"], z[0]) + p["offset"])

    def base(kind: str) -> Group:
        uniform = OneHotCategorical(logits=torch.zeros(3).double())
        return standard(1) if kind == "normal" else lambda p, z: uniform

    return Problem(
        start, (lambda p, z: family(first, p["raw"]), conditional), (base(first), base(second)), affine, X
    )


CHAINS = {
    "-".join(kinds): chain(*kinds)
    for kinds in [("normal", "categorical"), ("categorical", "normal"), ("normal", "normal")]
}


def exact_posterior(shift: float = 0.0) -> Problem:
    """The full-covariance problem with q(z | x) = p(z | x), or with its mean moved by ``shift``."""
    problem = PROBLEMS["full"]
    W, b = problem.start["W"], problem.start["b"]
    covariance = torch.linalg.inv(torch.eye(2) + W.T @ W / NOISE**2)
    root = torch.linalg.cholesky(covariance)
    raw = root.tril(-1) + torch.diag(root.diagonal().log())
    loc = covariance @ W.T @ (problem.x - b) / NOISE**2
    return replace(problem, start=problem.start | {"loc": loc + shift, "root": raw})


def log_px(problem: Problem) -> Tensor:
    """log N(x; b, W W' + NOISE^2 I), the exact log-likelihood of a one-group Gaussian problem."""
    W, b = problem.start["W"], problem.start["b"]
    return MultivariateNormal(b, W @ W.T + NOISE**2 * torch.eye(3).double()).log_prob(problem.x)
