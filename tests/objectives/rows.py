"""Models with few latents: their bounds and gradients exactly, by quadrature and enumeration, in float64.

Every row of a batch has its own copy of all parameters, so that one backward pass through R rows gives
R independent estimates of the gradient.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, OneHotCategorical

from jensen.distributions import SplineNormal
from jensen.objectives import Bound, RunningMean, score_function
from jensen.trace import Trace
from tests.chance import within_chance

TESTS = 200
"""At least as many as `assert_unbiased` is called in one run: together they share one FALSE_ALARM."""
ROWS = 20_000
"""Independent gradient estimates of a z-test."""
calls = 0
Parameters = dict[str, Tensor]
Group = Callable[[Parameters, Sequence[Tensor]], Distribution]


def is_unbiased(estimates: Tensor, exact: Tensor) -> bool:
    """The z-test of the suite: estimates ``[R, P]``, exact gradient ``[P]``."""
    return within_chance(estimates, exact, tests=TESTS)


def assert_unbiased(estimates: Tensor, exact: Tensor) -> None:
    global calls
    calls += 1
    assert calls <= TESTS, "raise TESTS: the threshold must allow for every test"
    gap = (estimates.mean(0) - exact) / estimates.std(0) * math.sqrt(len(estimates))
    assert is_unbiased(estimates, exact), f"{gap} standard errors from the exact gradient"


@dataclass(frozen=True)
class Problem:
    """One datum and a model of it: ``start`` holds the parameters, and the rest says how they are used."""

    start: Parameters
    posterior: tuple[Group, ...]
    prior: tuple[Group, ...]
    likelihood: Group
    x: Tensor

    def copies(self, rows: int) -> Parameters:
        return {name: p.expand(rows, *p.shape).clone().requires_grad_() for name, p in self.start.items()}

    def data(self, rows: int) -> Tensor:
        return self.x.expand(rows, -1)


class RowModel:
    """A `Problem` as a model: row b of the batch uses parameters b."""

    def __init__(self, problem: Problem, rows: int) -> None:
        self.problem = problem
        self.parameters = problem.copies(rows)
        self.x = problem.data(rows)

    def trace(
        self,
        x: Tensor,
        num_samples: int = 1,
        *,
        context: Tensor | None = None,
        pathwise: bool | Sequence[bool] = True,
        posterior: tuple[Distribution, ...] | None = None,
    ) -> Trace:
        problem, p = self.problem, self.parameters
        wanted = [pathwise] * len(problem.posterior) if isinstance(pathwise, bool) else list(pathwise)
        q: list[Distribution] = []
        z: list[Tensor] = []
        for group, by_path in zip(problem.posterior, wanted, strict=True):
            q.append(group(p, z))
            wanted[len(z)] = by_path and q[-1].has_rsample
            draw = q[-1].rsample if wanted[len(z)] else q[-1].sample
            z.append(draw(() if len(q[-1].batch_shape) == 2 else (num_samples,)))
        return make_trace(problem, p, x, q, z, wanted)

    def log_joint(self, x: Tensor, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Tensor:
        p, drawn = self.parameters, list(z)
        log_pz = [group(p, drawn).log_prob(part) for group, part in zip(self.problem.prior, z, strict=True)]
        return self.problem.likelihood(p, drawn).log_prob(x) + torch.stack(log_pz).sum(0)

    def sample(self, n: int, *, context: Tensor | None = None, mean: bool = False) -> Tensor:
        raise AssertionError("no objective may ask for this")


def make_trace(
    problem: Problem, p: Parameters, x: Tensor, q: list[Distribution], z: list[Tensor], by_path: list[bool]
) -> Trace:
    prior = tuple(group(p, z) for group in problem.prior)
    return Trace(x, tuple(z), tuple(q), prior, problem.likelihood(p, z), tuple(by_path))


def gradients(estimator: Any, bound: Bound, problem: Problem, num_samples: int, rows: int = ROWS) -> Tensor:
    """``rows`` independent estimates of the gradient with respect to all parameters, ``[rows, P]``."""
    model = RowModel(problem, rows)
    value = estimator(bound, model, model.x, num_samples)
    parts = torch.autograd.grad(value.sum(), list(model.parameters.values()), materialize_grads=True)
    return torch.cat([g.reshape(rows, -1) for g in parts], 1)


def exact_value(bound: Bound, problem: Problem, num_samples: int, p: Parameters) -> Tensor:
    """E R(f_1, ..., f_K) for K = 1 or 2, differentiable in the parameters ``p`` of one row."""
    trace, weight = nodes(problem, p)
    f = bound.integrand(trace)[0]
    if num_samples == 1:
        return (weight * bound.reduction(f[None])).sum()
    pairs = torch.cartesian_prod(torch.arange(len(f)), torch.arange(len(f))).T
    return (weight[pairs].prod(0) * bound.reduction(f[pairs])).sum()


def exact_gradient(bound: Bound, problem: Problem, num_samples: int) -> Tensor:
    """The gradient of `exact_value` with respect to all parameters, ``[P]``."""
    p = problem.copies(1)
    value = exact_value(bound, problem, num_samples, p)
    parts = torch.autograd.grad(value, list(p.values()), materialize_grads=True)
    return torch.cat([g.flatten() for g in parts])


def nodes(problem: Problem, p: Parameters, points: int = 24) -> tuple[Trace, Tensor]:
    """Every value of z that matters as the rows of a trace with K = 1, and its probability ``[N]``.

    Gauss-Hermite quadrature over the noise of a Gaussian group, all classes of a categorical one.
    """
    z: list[Tensor] = []
    weight = torch.ones(1, dtype=torch.float64)
    for group in problem.posterior:
        q = group(expand(p, len(weight)), z)
        if isinstance(q, OneHotCategorical):
            values = torch.eye(q.event_shape[0], dtype=torch.float64)
            mass = torch.full((len(values),), math.nan, dtype=torch.float64)
        else:
            values, mass = normal_nodes(q.event_shape[0], points)
        count = len(values)
        z = [previous.repeat_interleave(count, 1) for previous in z]
        values = values.repeat(len(weight), 1)
        q = group(expand(p, len(values)), z)
        if isinstance(q, OneHotCategorical):
            weight = weight.repeat_interleave(count) * q.log_prob(values).exp().reshape(-1)
        else:
            weight = weight.repeat_interleave(count) * mass.repeat(len(weight))
            values = standardised(q, values)
        z.append(values.reshape(1, len(weight), -1))
    p = expand(p, len(weight))
    q_all = [group(p, z[:i]) for i, group in enumerate(problem.posterior)]
    return make_trace(problem, p, problem.data(len(weight)), q_all, z, [True] * len(z)), weight


def expand(p: Parameters, rows: int) -> Parameters:
    return {name: value.expand(rows, *value.shape[1:]) for name, value in p.items()}


def normal_nodes(dimensions: int, points: int) -> tuple[Tensor, Tensor]:
    """Nodes ``[N, M]`` and weights ``[N]`` of the expectation over N(0, I_M)."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(points))
    w = w / w.sum()
    grid = torch.cartesian_prod(*[x] * dimensions).reshape(-1, dimensions)
    return grid, torch.cartesian_prod(*[w] * dimensions).reshape(-1, dimensions).prod(1)


def standardised(q: Distribution, eps: Tensor) -> Tensor:
    """z = f(eps), written out apart from torch's rsample."""
    if isinstance(q, MultivariateNormal):
        return q.loc + (q.scale_tril @ eps[..., None])[..., 0]
    if isinstance(q, SplineNormal):
        return q.loc + q.scale * q.transform(eps)
    assert isinstance(q, Independent)
    return q.base_dist.loc + q.base_dist.scale * eps


def running_mean(bound: Bound, model: Any, x: Tensor, num_samples: int) -> Tensor:
    """The score function with a running mean that has seen one earlier batch."""
    baseline = RunningMean()
    score_function(bound, model, x, num_samples, baseline=baseline)
    return score_function(bound, model, x, num_samples, baseline=baseline)


SCORE = {
    "none": score_function,
    "running-mean": running_mean,
    "leave-one-out": partial(score_function, baseline="leave-one-out"),
}
