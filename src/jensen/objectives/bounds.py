"""Bounds: an integrand of the trace, ``[K, B]``, then a reduction over samples, ``[K, B] -> [B]``.

A new objective is one line, not one class. Values are in nats per datum; larger is better, except for
the upper bounds, which say so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from jensen.trace import Trace


@dataclass(frozen=True)
class Bound:
    """What training maximises: ``reduction(integrand(trace))``."""

    name: str
    integrand: Callable[[Trace], Tensor]
    """``Trace -> [K, B]``."""
    reduction: Callable[[Tensor], Tensor]
    """``[K, B] -> [B]``."""
    upper: bool = False
    """Whether it bounds log p(x) from above, in the limit of many samples (see `cubo`): then smaller
    is tighter, and a posterior is fitted by minimising it."""
    separable: bool = True
    """Whether integrand[k, b] depends on sample k of datum b alone, as score-function terms require.
    A bound that is not separable couples the samples through a Monte Carlo KL (see `free_bits`)."""
    linear: bool = False
    """Of averages: whether the integrand is a constant times the trace's ``kl`` or ``log_qz`` plus what has
    neither, as `sticking_the_landing` requires: the score that it leaves out has mean zero only then."""
    formula: str | None = field(default=None, compare=False)
    """What it is, with its source: ``help(bound)`` shows it, and ``repr(bound)`` its first line."""

    def __post_init__(self) -> None:
        if self.formula:
            object.__setattr__(self, "__doc__", self.formula)  # of this instance; frozen as the others are

    def __repr__(self) -> str:
        first, *_ = (self.formula or "no formula given").strip().splitlines()
        return f"Bound {self.name}: {first}"

    def values(self, trace: Trace) -> Tensor:
        """The integrand at each sample, ``[K, B]``, nats.

        Raises:
            ValueError: it has another shape.
        """
        values = self.integrand(trace)
        if values.shape != trace.shape:
            raise ValueError(
                f"the integrand of {self.name} has shape {tuple(values.shape)}; it must be {trace.shape}: "
                "one number for each sample and datum, so sum over latent groups"
            )
        return values

    def reduced(self, values: Tensor) -> Tensor:
        """Its reduction of ``[K, B]`` numbers, ``[B]``, or a ValueError if that has another shape."""
        return reduced(self.reduction, values)

    def __call__(self, trace: Trace) -> Tensor:
        """The bound of each datum, ``[B]``, nats."""
        return self.reduced(self.values(trace))


def reduced(reduction: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """``reduction(values)``, ``[K, *batch] -> [*batch]``.

    Raises:
        ValueError: it has another shape, which would be broadcast to sums that are wrong by a factor.
    """
    result = reduction(values)
    if result.shape != values.shape[1:]:
        raise ValueError(
            f"the reduction makes {tuple(result.shape)} of values of shape {tuple(values.shape)}; it must be "
            f"{tuple(values.shape[1:])}: reduce the samples, dimension 0, and not the data: v.mean(0)"
        )
    return result


NEAR_ZERO = 0.01
"""Orders of a power mean below which log K, divided by the order, would swamp it in single precision."""


@dataclass(frozen=True)
class PowerMean:
    """``R(v) = (1/s) log (1/K) sum_k exp(s v_k)``: the log of the power mean of order s of the weights e^v.

    Order 0, the limit, is the average of v; order 1 is log-mean-exp. R increases with s (Hardy,
    Littlewood & Pólya 1934, theorem 16), so that on the same samples `elbo_monte_carlo` <= `iwae` <= `cubo`.
    """

    order: float

    def __call__(self, values: Tensor) -> Tensor:
        """The mean over samples, ``[K, *batch] -> [*batch]``."""
        if self.order == 0:
            return values.mean(0)
        if abs(self.order) < NEAR_ZERO:
            # m + log(1 + mean(e^(s (v - m)) - 1)) / s, m being the value of the largest e^(s v).
            m = (values.amax(0) if self.order > 0 else values.amin(0)).detach()
            return m + torch.expm1(self.order * (values - m)).mean(0).log1p() / self.order
        return (torch.logsumexp(self.order * values, 0) - math.log(values.shape[0])) / self.order

    def weights(self, values: Tensor) -> Tensor:
        """dR / dv_k = e^(s v_k) / sum_j e^(s v_j), ``[K, *batch]``: they add up to one."""
        return torch.softmax(self.order * values, 0)


mean = PowerMean(0)
"""The average over samples, ``[K, B] -> [B]``."""

log_mean_exp = PowerMean(1)
"""log (1/K) sum_k exp(values_k), ``[K, B] -> [B]``."""


def log_weight(trace: Trace) -> Tensor:
    """log r = log p(x, z) - log q(z | x), ``[K, B]``: the integrand of every importance-weighted bound."""
    return trace.log_w


def _log_likelihood(trace: Trace) -> Tensor:
    return trace.log_px


def _less_kl(trace: Trace) -> Tensor:
    return trace.log_px - trace.kl.sum(-1)


def _less_weighed_kl(weight: float | Tensor, trace: Trace) -> Tensor:
    return trace.log_px - weight * trace.kl.sum(-1)


def _less_at_least(minimum: float, trace: Trace) -> Tensor:
    """The groups of KL ``[K, B, L]`` whose mean over K and B is below ``minimum`` cost that."""
    kl = trace.kl
    return trace.log_px - torch.where(kl.mean((0, 1)) > minimum, kl, minimum).sum(-1)


elbo = Bound(
    "elbo",
    _less_kl,
    mean,
    linear=True,
    formula="""E_q log p(x | z) - KL(q(z | x) || p(z)) <= log p(x) (Kingma & Welling 2014, eq. 3).

The KL is the closed form where one is registered.""",
)

elbo_monte_carlo = Bound(
    "elbo-monte-carlo",
    log_weight,
    mean,
    linear=True,
    formula="""E_q [log p(x, z) - log q(z | x)] <= log p(x), all by sampling (Kingma & Welling 2014, eq. 2).

The same expectation as `elbo`; at the exact posterior every sample of it equals log p(x).""",
)

iwae = Bound(
    "iwae",
    log_weight,
    log_mean_exp,
    formula="E log (1/K) sum_k p(x, z_k) / q(z_k | x) <= log p(x) (Burda, Grosse & Salakhutdinov 2016, "
    "eq. 8).",
)

reconstruction = Bound(
    "reconstruction",
    _log_likelihood,
    mean,
    linear=True,
    formula="E_q log p(x | z), the vanilla autoencoder's objective: without the KL, no bound on log p(x).",
)


def beta(weight: float | Tensor) -> Bound:
    """E_q log p(x | z) - weight * KL (Higgins et al. 2017, eq. 4). A bound on log p(x) when weight >= 1.

    The weight multiplies nats against nats, so that it means the same at every image size.
    """
    return Bound("beta", partial(_less_weighed_kl, weight), mean, linear=True, formula=beta.__doc__)


def free_bits(minimum: float) -> Bound:
    """E_q log p(x | z) - sum_l max(minimum, mean_b KL_l) (Kingma et al. 2016, eq. 15), a batch's mean.

    Each latent group l costs ``minimum`` nats even if it carries less, so that it is not switched off
    early in training. ``mean_b KL_l`` is over the batch (and samples). For each datum, KL_l itself is
    taken where that mean exceeds the minimum, and the constant ``minimum`` where not: the batch's mean,
    and its gradient, are those of the equation, and where every group exceeds the minimum this is `elbo`.
    The batch's mean is a bound on the mean of log p(x); a single datum's value need not be one.

    Args:
        minimum: lambda, nats per latent group, 0 or more; ``Trace.kl`` says what the groups are (a plain
            VAE has one, all latent dimensions together).

    Raises:
        ValueError: ``minimum`` is negative or not finite.
    """
    if not 0 <= minimum < math.inf:
        raise ValueError(f"minimum is {minimum}; a KL is never negative, so give 0 or more nats per group")
    return Bound(
        "free-bits",
        partial(_less_at_least, minimum),
        mean,
        separable=False,
        formula=free_bits.__doc__,
    )


def renyi(alpha: float) -> Bound:
    """(1 / (1 - alpha)) log (1/K) sum_k r_k^(1 - alpha) (Li & Turner 2016, section 4): order s = 1 - alpha.

    alpha = 1 is the (Monte Carlo) ELBO, alpha = 0 the IWAE bound. For alpha >= 0 its expectation is below
    log p(x) at every K. For alpha < 0 the limit of many samples is above log p(x), and the flag
    ``upper`` is set, with the reservation made in `cubo`.

    Raises:
        ValueError: ``alpha`` is no finite number.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}; give a finite number: 1 is the ELBO, 0 the IWAE bound")
    return Bound(
        "renyi", log_weight, PowerMean(1 - alpha), upper=alpha < 0, linear=alpha == 1, formula=renyi.__doc__
    )


def cubo(order: float = 2.0) -> Bound:
    """(1/n) log (1/K) sum_k r_k^n, an upper bound on log p(x) (Dieng et al. 2017, section 2): order s = n.

    ``CUBO_n = (1/n) log E_q r^n >= log p(x)`` for n >= 1 by Jensen's inequality, with equality at n = 1 or
    at the exact posterior. The guarantee is for the exponentiated value: ``E exp(n value) = E_q r^n >=
    p(x)^n`` at every K. The value itself, a log of a mean, is too low on average: at K = 1 it is the ELBO,
    and it rises to CUBO_n as K grows. The same holds of its gradient: the estimators are unbiased for
    the expectation of the K-sample value.

    Args:
        order: n, at least 1.

    Raises:
        ValueError: ``order`` is below 1 or not finite.
    """
    if not 1 <= order < math.inf:
        raise ValueError(f"order is {order}; give a number of 1 or more, or below 1 use renyi(1 - order)")
    return Bound("cubo", log_weight, PowerMean(order), upper=True, formula=cubo.__doc__)
