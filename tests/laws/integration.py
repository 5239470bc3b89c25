"""All values of a small distribution with weights: sums and integrals over its support."""

import itertools

import torch
from torch import Tensor
from torch.distributions import Distribution

from tests.laws.cases import CLASSES, GRID, Case

COUNTS = 4000
"""Counts 0, ..., COUNTS - 1 are summed; the cases' means are far below."""


def _product(points: Tensor, weights: Tensor, D: int) -> tuple[Tensor, Tensor]:
    """The grid of D-tuples of ``points`` ``[N]``: ``[N^D, D]``, with the products of their weights."""
    x = torch.cartesian_prod(*[points] * D).reshape(-1, D)
    w = torch.cartesian_prod(*[weights] * D).reshape(-1, D).prod(-1)
    return x, w


def _real(D: int, draws: Tensor) -> tuple[Tensor, Tensor]:
    """The line or the plane: trapezoid rule in t with ``x = center + spread sinh(t)``, for any tail."""
    center = draws.median(0).values
    low, high = draws.quantile(torch.tensor([0.25, 0.75], dtype=draws.dtype), 0)
    reach, n = (14.0, 40001) if D == 1 else (6.0, 321)
    t = torch.linspace(-reach, reach, n, dtype=torch.float64)
    points, weights = torch.sinh(t), torch.cosh(t) * (t[1] - t[0])
    x, w = _product(points, weights, D)
    spread = (high - low) / 2
    return center + spread * x, w * spread.prod()


def _simplex() -> tuple[Tensor, Tensor]:
    """The triangle: ``z = softmax(y_1, y_2, 0)``, with Jacobian ``z_1 z_2 z_3``."""
    y, w = _product(torch.linspace(-40, 40, 501).double(), torch.full((501,), 0.16).double(), 2)
    z = torch.cat([y, torch.zeros_like(y[:, :1])], -1).softmax(-1)
    return z, w * z.prod(-1)


def values(case: Case, distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Points ``[N, *event]`` and weights ``[N]`` such that ``sum weights * p = 1`` for a true density."""
    D = distribution.event_shape.numel()
    match case.support:
        case "real":
            return _real(D, distribution.sample((2000,)))
        case "unit":
            t, dt = torch.linspace(0, 1, 20001).double(), 1 / 20000
            w = torch.full_like(t, dt)
            w[[0, -1]] /= 2
            return t.unsqueeze(-1), w
        case "simplex":
            return _simplex()
        case "one-hot":
            classes = torch.eye(CLASSES).double()
            rows = [torch.cat(rows) for rows in itertools.product(classes, repeat=D // CLASSES)]
            return torch.stack(rows), torch.ones(len(rows)).double()
        case "binary":
            levels = torch.tensor([0.0, 1.0])
        case "count":
            levels = torch.arange(COUNTS)
        case "categories":
            levels = torch.arange(CLASSES)
        case "grid":
            count = round((GRID["high"] - GRID["low"]) / GRID["step"]) + 1
            levels = GRID["low"] + GRID["step"] * torch.arange(count).double()
        case _:
            raise ValueError(case.support)
    return _product(levels.double(), torch.ones(len(levels)).double(), D)


def probabilities(case: Case, distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Points ``[N, *event]`` and the probability ``[N]`` that the density gives to each one's cell."""
    with torch.no_grad():
        x, w = values(case, distribution)
        return x, w * distribution.log_prob(x).exp()


def smooth(x: Tensor) -> Tensor:
    """Bounded smooth functions of an event ``[..., D] -> [..., 3]``, whose means tell densities apart."""
    weights = torch.tensor([[0.9, -0.4, 0.7], [0.3, 1.1, -0.6], [2.1, 0.8, 1.3]], dtype=x.dtype)
    D = x.shape[-1]
    weights = weights.repeat(1, -(-D // 3))[:, :D]
    return torch.cos(x @ weights.T + torch.tensor([0.0, 0.5, 1.0], dtype=x.dtype))
