"""Vectors of categorical variables: one-hot, straight-through and relaxed.

A draw of G variables with C classes each is one flat vector ``[G * C]``, so that networks and traces
treat it like any other latent vector.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints, register_kl

from jensen.distributions.moments import seeded_moments


def _gumbel(of: "OneHot | RelaxedOneHot", sample_shape: Any) -> Tensor:
    """Standard Gumbel noise for the logits ``[*sample, *batch, G, C]``, ``-log(-log u)``."""
    shape, logits = of._extended_shape(sample_shape), of.logits
    noise = torch.empty(shape, dtype=logits.dtype, device=logits.device).exponential_()
    gumbel: Tensor = -noise.clamp_min(torch.finfo(noise.dtype).tiny).log().unflatten(-1, of.groups)
    return gumbel


class OneHot(Distribution):
    """G independent categorical variables as one-hot vectors, laid end to end.

    ``log P(z) = sum_g sum_c z_gc log p_gc``.

    Args:
        logits: unnormalised log-probabilities, ``[*batch, G, C]``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real_vector}
    support = constraints.independent(constraints.boolean, 1)
    has_rsample = False
    made_of_noise = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.log_softmax(-1)
        self.groups = logits.shape[-2:]
        super().__init__(logits.shape[:-2], Size([math.prod(self.groups)]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "OneHot":
        """The same distributions repeated to ``batch_shape``."""
        return type(self)(self.logits.expand(Size(batch_shape) + self.groups))

    @property
    def mean(self) -> Tensor:
        """The probabilities, ``[*batch, G * C]``."""
        return self.logits.exp().flatten(-2)

    @property
    def variance(self) -> Tensor:
        """``p (1 - p)``."""
        return self.mean * (1 - self.mean)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The class of the largest perturbed logit (the Gumbel-max trick), one-hot."""
        return _hard(self.logits + _gumbel(self, sample_shape)).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P, nats, ``[*batch]``."""
        chosen: Tensor = value.unflatten(-1, self.groups) * self.logits
        return chosen.sum((-2, -1))


def _hard(scores: Tensor) -> Tensor:
    """One at the largest score of each variable, zero elsewhere."""
    return torch.zeros_like(scores).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)


class StraightThroughOneHot(OneHot):
    """One-hot draws whose gradient is that of their softmax relaxation (Jang, Gu & Poole 2017, sec. 2.2).

    The draw is exactly categorical; its pathwise gradient is **biased** (``is_biased``), less so but
    noisier at low temperature.

    Args:
        logits: unnormalised log-probabilities, ``[*batch, G, C]``.
        temperature: of the softmax through which the gradient goes.
    """

    has_rsample = True
    is_biased = True

    def __init__(self, logits: Tensor, temperature: float = 1.0) -> None:
        self.temperature = temperature
        super().__init__(logits)

    def expand(self, batch_shape: Any, _instance: None = None) -> "StraightThroughOneHot":
        """The same distributions repeated to ``batch_shape``."""
        return StraightThroughOneHot(self.logits.expand(Size(batch_shape) + self.groups), self.temperature)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """One-hot in value, soft in gradient: ``hard + soft - soft.detach()``."""
        scores = self.logits + _gumbel(self, sample_shape)
        soft = (scores / self.temperature).softmax(-1)
        return (_hard(scores.detach()) + (soft - soft.detach())).flatten(-2)


class _Simplexes(constraints.Constraint):
    """G points of the simplex of C classes, laid end to end ``[G * C]``."""

    event_dim = 1
    base_constraint = constraints.simplex

    def __init__(self, groups: Size) -> None:
        self.groups = groups

    def check(self, value: Tensor) -> Tensor:
        inside: Tensor = self.base_constraint.check(value.unflatten(-1, self.groups)).all(-1)
        return inside


class RelaxedOneHot(Distribution):
    """The concrete distribution, a density on the simplex (Maddison, Mnih & Teh 2017, eq. 10).

    ``log p(z) = log (C-1)! + (C-1) log t + sum_c (l_c - (t+1) log z_c) - C log sum_c exp(l_c - t log z_c)``
    for each variable, with temperature t. A coordinate that underflows is taken as the smallest normal
    number.

    Args:
        logits: unnormalised log-probabilities l, ``[*batch, G, C]``.
        temperature: t > 0.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real_vector}
    has_rsample = True
    made_of_noise = True

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits = logits.log_softmax(-1)
        self.temperature = temperature
        self.groups = logits.shape[-2:]
        super().__init__(logits.shape[:-2], Size([math.prod(self.groups)]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "RelaxedOneHot":
        """The same distributions repeated to ``batch_shape``."""
        return RelaxedOneHot(self.logits.expand(Size(batch_shape) + self.groups), self.temperature)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """G points of the simplex."""
        return _Simplexes(self.groups)

    @property
    def mean(self) -> Tensor:
        """E z over a fixed number of seeded draws: it has no closed form (see `seeded_moments`)."""
        return seeded_moments(self, self.logits.device)[0]

    @property
    def variance(self) -> Tensor:
        """The variance over the draws of `mean`."""
        return seeded_moments(self, self.logits.device)[1]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``softmax((l + Gumbel noise) / t)``."""
        scores = self.logits + _gumbel(self, sample_shape)
        return (scores / self.temperature).softmax(-1).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``, with respect to the simplex's first C - 1 coordinates."""
        z: Tensor = value.unflatten(-1, self.groups)
        log_z = z.clamp_min(torch.finfo(z.dtype).tiny).log()
        C, t = self.groups[-1], self.temperature
        scores = self.logits - t * log_z
        terms: Tensor = (scores - log_z).sum(-1) - C * scores.logsumexp(-1)
        return (terms + math.lgamma(C) + (C - 1) * math.log(t)).sum(-1)


@register_kl(OneHot, OneHot)
def _kl_one_hot(q: OneHot, p: OneHot) -> Tensor:
    """``sum_c q_c (log q_c - log p_c)``, summed over variables."""
    return (q.logits.exp() * (q.logits - p.logits)).sum((-2, -1))
