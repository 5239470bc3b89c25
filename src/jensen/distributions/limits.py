"""Soft limits: what keeps positive parameters positive and finite, whatever a network says."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_SCALE_LIMITS = (-10.0, 12.0)
"""Soft limits of the log of a scale: exp(-10) = 4.5e-5, exp(12) = 1.6e5. In standardised data the lower
one is below any noise worth modelling, and still 40 times the spacing of float32 numbers near 10."""


def soft_clamp(x: Tensor, low: float, high: float) -> Tensor:
    """A smooth increasing map of the real line into [low, high] that is the identity well inside.

    ``low + softplus(t - low)`` with ``t = high - softplus(high - x)``: the gradient fades at the ends
    instead of stopping at once, so that a value at a limit can come back. The upper end is exceeded by
    exp(low - high) at most. Nested rather than a difference of two softpluses, which cancels for
    large x.
    """
    return low + softplus(high - softplus(high - x) - low)


def bounded_exp(log_scale: Tensor, limits: tuple[float, float] = LOG_SCALE_LIMITS) -> Tensor:
    """exp of a log scale kept within ``limits`` by `soft_clamp`: positive, finite, with finite gradient."""
    return soft_clamp(log_scale, *limits).exp()


def bounded_log(scale: Tensor, limits: tuple[float, float] = LOG_SCALE_LIMITS) -> Tensor:
    """The log scale whose `bounded_exp` is ``scale``, or nearly so at the limits."""
    low, high = limits
    below_high = high - low - _inverse_softplus(scale.log() - low)
    return high - _inverse_softplus(below_high)


def _inverse_softplus(y: Tensor) -> Tensor:
    """The x whose softplus is ``y``, of y of 1e-4 or more."""
    y = y.clamp(min=1e-4)
    return y + (-torch.expm1(-y)).log()


def limited(raw: Tensor, most: float) -> Tensor:
    """``most tanh(raw / most)``: ``raw`` kept softly between -``most`` and ``most``."""
    return most * torch.tanh(raw / most)


def unlimited(value: Tensor, most: float) -> Tensor:
    """The raw number whose `limited` is ``value``, of values well within ``most``."""
    return most * torch.atanh((value / most).clamp(-0.99, 0.99))
