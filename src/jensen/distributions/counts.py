"""Distributions of counts 0, 1, 2, ..., accurate in float32 for large counts.

The textbook forms add terms of the size of ``x log x`` that cancel; here they are cancelled on paper,
by Stirling's series (Loader 2000, "Fast and accurate computation of binomial probabilities"). Most counts of
a wide table are zero, whose probability is a short formula: the long one is computed only where it is needed.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def stirling_error(y: Tensor) -> Tensor:
    """``log Gamma(y) - ((y - 1/2) log y - y + log(2 pi)/2)``, positive y: 1/(12 y) for large y."""
    near = y.clamp_max(10.0)
    direct = torch.lgamma(near) - ((near - 0.5) * near.log() - near + HALF_LOG_2PI)
    far = y.clamp_min(10.0)
    series = (1 / 12 - (1 / 360 - (1 / 1260) / far.square()) / far.square()) / far
    return torch.where(y < 10, direct, series)


def log_ratio(a: Tensor, b: Tensor, difference: Tensor | None = None) -> Tensor:
    """log(a / b) of positive numbers, without loss of digits where they are nearly equal.

    ``difference`` is a - b, where it is known with more digits than a and b give.
    """
    difference = a - b if difference is None else difference
    close = (a < 2 * b) & (b < 2 * a)
    near = torch.log1p(torch.where(close, difference, torch.zeros_like(a)) / b)
    return torch.where(close, near, a.log() - b.log())


def unless_zero(x: Tensor, zero: Tensor, formula: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
    """``zero`` where x = 0 and ``formula(x, *parameters)`` elsewhere, computed there alone, ``[*batch]``.

    The parameters are broadcast to the shape that x and ``zero`` have together. At NaN and negative
    integers, which are no counts, the formulas of this file are NaN.
    """
    x, zero = torch.broadcast_tensors(x, zero)
    if torch.compiler.is_compiling() or not x.dim():  # compiled code has fixed shapes
        return torch.where(x != 0, formula(x, *parameters), zero)
    index = (x != 0).nonzero(as_tuple=True)
    values = formula(x[index], *(_taken(p, index) for p in parameters))
    common = torch.result_type(zero, values)  # under autocast, a formula may return more digits than it took
    return zero.to(common).index_put(index, values.to(common))


def _taken(parameter: Tensor, index: tuple[Tensor, ...]) -> Tensor:
    """A parameter's values at places of the whole that it is broadcast to, which need not be written out."""
    index = index[len(index) - parameter.dim() :]
    pairs = zip(index, parameter.shape, strict=True)
    return parameter[tuple(torch.zeros_like(i) if size == 1 else i for i, size in pairs)]


def poisson_log_prob(x: Tensor, rate: Tensor) -> Tensor:
    """``x log(rate) - rate - log x!``, nats."""
    following = x + 1
    leading = (following - rate) - x * log_ratio(*torch.broadcast_tensors(following, rate))
    return leading - 0.5 * following.log() - HALF_LOG_2PI - stirling_error(following)


def negative_binomial_log_prob(x: Tensor, m: Tensor, r: Tensor) -> Tensor:
    """``log Gamma(r + x) - log Gamma(r) - log x! + r log(r / (r + m)) + x log(m / (r + m))``, nats.

    The leading terms are ``r log(n / s) + x log(m n / (s (x + 1))) + 1`` with n = r + x and s = r + m. Taken
    apart, ``n log(n / s) - x log((x + 1) / m)`` would cancel where x is large, r small and m far from x.
    """
    following, total, sum_ = x + 1, r + x, r + m
    gap = (r * (m - following) - m) / (sum_ * total)
    leading = r * log_ratio(total, sum_, x - m) + x * log_ratio(m / sum_, following / total, gap) + 1
    widths = (log_ratio(total, r, x) + following.log()) / 2 + HALF_LOG_2PI
    return leading - widths + stirling_error(total) - stirling_error(r) - stirling_error(following)


class Poisson(Distribution):
    """Counts with mean and variance ``rate``, ``[*batch]``: ``log p(x) = x log(rate) - rate - log x!``."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"rate": constraints.positive}
    support = constraints.nonnegative_integer
    has_rsample = False

    def __init__(self, rate: Tensor) -> None:
        self.rate = rate
        super().__init__(rate.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "Poisson":
        """The same distributions repeated to ``batch_shape``."""
        return Poisson(self.rate.expand(Size(batch_shape)))

    @property
    def mean(self) -> Tensor:
        """The rate."""
        return self.rate

    @property
    def variance(self) -> Tensor:
        """The rate."""
        return self.rate

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Counts, as floating-point numbers."""
        return torch.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        return unless_zero(value, -self.rate, poisson_log_prob, self.rate)


class NegativeBinomial(Distribution):
    """Counts with mean m and variance ``m + m^2 / r``; r to infinity is the Poisson distribution.

    See `negative_binomial_log_prob`; ``log p(0) = -r log(1 + m / r)``.

    Args:
        mean: m, ``[*batch]``.
        inverse_dispersion: r (also: total count, size), broadcastable to the mean.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "mu": constraints.positive,
        "inverse_dispersion": constraints.positive,
    }
    support = constraints.nonnegative_integer
    has_rsample = False

    def __init__(self, mean: Tensor, inverse_dispersion: Tensor) -> None:
        self.mu = mean
        self.inverse_dispersion = inverse_dispersion
        super().__init__(mean.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "NegativeBinomial":
        """The same distributions repeated to ``batch_shape``."""
        shape = Size(batch_shape)
        return NegativeBinomial(self.mu.expand(shape), self.inverse_dispersion.expand(shape))

    @property
    def mean(self) -> Tensor:
        """m."""
        return self.mu

    @property
    def variance(self) -> Tensor:
        """``m + m^2 / r``."""
        return self.mu + self.mu.square() / self.inverse_dispersion

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A Poisson count whose rate is gamma distributed with shape r and mean m."""
        r = self.inverse_dispersion.expand(self._extended_shape(sample_shape))
        return torch.poisson(torch._standard_gamma(r) * self.mu / r)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        m, r = self.mu, self.inverse_dispersion
        return unless_zero(value, -r * torch.log1p(m / r), negative_binomial_log_prob, m, r)


class ZeroInflated(Distribution):
    """Zero with probability pi, otherwise a count from another distribution.

    ``p(0) = pi + (1 - pi) f(0)``, ``p(x) = (1 - pi) f(x)``, computed from the log-odds of pi.

    Args:
        base: the distribution f of counts, batch shape ``[*batch]``, event shape ``[]``.
        logits: log-odds of the extra zeros, ``[*batch]``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}
    support = constraints.nonnegative_integer
    has_rsample = False

    def __init__(self, base: Distribution, logits: Tensor) -> None:
        self.base, self.logits = base, logits
        super().__init__(logits.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "ZeroInflated":
        """The same distributions repeated to ``batch_shape``."""
        return ZeroInflated(self.base.expand(batch_shape), self.logits.expand(Size(batch_shape)))

    @property
    def mean(self) -> Tensor:
        """(1 - pi) times the mean of f."""
        return torch.sigmoid(-self.logits) * self.base.mean

    @property
    def variance(self) -> Tensor:
        """``(1 - pi) (v + pi m^2)`` from the mean m and the variance v of f."""
        kept = torch.sigmoid(-self.logits)
        return kept * (self.base.variance + torch.sigmoid(self.logits) * self.base.mean.square())

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A count of f, set to zero with probability pi."""
        counts = self.base.sample(sample_shape)
        return counts * torch.bernoulli(torch.sigmoid(-self.logits).expand(counts.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        counted = logsigmoid(-self.logits) + self.base.log_prob(value)
        return torch.where(value == 0, torch.logaddexp(logsigmoid(self.logits), counted), counted)
