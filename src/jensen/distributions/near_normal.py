"""A law that is normal up to three standard deviations and has exponential tails, in closed form.

Its distribution function is ``F(z) = sigma(l(z))`` with the log odds ``l(z) = z (A + B z^2)``, which is the
normal one to within 1.4e-4 (Bowling, Khasawneh, Kaewkuekool & Cho 2009). Beyond `END` standard deviations l
goes on in a straight line, so that log densities fall as ``-3.5 |z|`` there and not as ``-z^2 / 2``: the pull
of one wild value is bounded (Huber 1964). What follows is exact for F as defined here, without cancellation.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

A, B = 1.5976, 0.07056
END = 3.0
"""Where the straight lines begin."""
STEEPNESS = A + 3 * B * END**2
"""Of the straight lines."""
ODDS_AT_END = END * (A + B * END**2)
"""l(END)."""


def log_odds(z: Tensor) -> Tensor:
    """l(z) = log F(z) / (1 - F(z)), elementwise."""
    inner = z.clamp(-END, END)
    return inner * (A + B * inner.square()) + STEEPNESS * (z - inner)


def log_odds_between(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    """l(b) - l(a), elementwise, where the difference ``width = b - a`` is known better than from a and b."""
    low, high = a.clamp(-END, END), b.clamp(-END, END)
    inner = torch.where((low == a) & (high == b), width, high - low)
    return inner * (A + B * (low * low + low * high + high * high)) + STEEPNESS * (width - inner)


def log_tails(a: Tensor, b: Tensor) -> Tensor:
    """log F(b) (1 - F(a)), elementwise, of which probability and density are made.

    With d = l(b) - l(a), ``F(b) - F(a) = F(b) (1 - F(a)) (1 - exp(-d))``, see `log1mexp`; and the density is
    ``F(z) (1 - F(z)) l'(z)``, see `log_slope`.
    """
    return logsigmoid(log_odds(b)) + logsigmoid(-log_odds(a))


def log1mexp(d: Tensor) -> Tensor:
    """log(1 - exp(-d)) for d > 0, without loss where d is tiny."""
    return (-torch.expm1(-d)).clamp_min(1e-37).log()


def log_slope(z: Tensor) -> Tensor:
    """log l'(z), elementwise."""
    return (A + 3 * B * z.clamp(-END, END).square()).log()


def quantile(odds: Tensor) -> Tensor:
    """The z whose log odds l(z) are given, elementwise: Cardano's root of the cubic, or the straight line."""
    inner = odds.clamp(-ODDS_AT_END, ODDS_AT_END)
    size = math.sqrt(A / (3 * B))
    root = 2 * size * ((1.5 * inner / (A * size)).asinh() / 3).sinh()
    return root + (odds - inner) / STEEPNESS
