"""Coupling spline flows: zuko's transforms, and a distribution whose draws and density are both cheap."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from jensen.distributions.moments import seeded_moments

BINS = 8


def _zuko() -> tuple[Any, Any, Any]:
    """zuko's classes that are used here, with torch.distributions left as it was.

    On import zuko switches off argument validation for every distribution of the process; that is
    undone, since it is not ours to decide.
    """
    validate, constraint = Distribution._validate_args, Distribution.__dict__["arg_constraints"]
    try:
        from zuko.flows.autoregressive import MaskedAutoregressiveTransform
        from zuko.lazy import LazyComposedTransform
        from zuko.transforms import MonotonicRQSTransform
    finally:
        Distribution._validate_args = validate
        Distribution.arg_constraints = constraint  # type: ignore[method-assign]
    return MaskedAutoregressiveTransform, LazyComposedTransform, MonotonicRQSTransform


def coupling_splines(
    dim: int, context: int = 0, num_transforms: int = 2, hidden: Sequence[int] = (64,)
) -> nn.Module:
    """A neural spline flow with coupling layers (Durkan et al. 2019), a map of R^M that starts as identity.

    Monotonic rational-quadratic splines on [-5, 5], the identity outside. In each layer one half of the
    dimensions is transformed given the other half (and the context); the halves swap from layer to layer.

    Args:
        dim: M.
        context: numbers that the map is conditioned on.
        num_transforms: layers; two transform every dimension once.
        hidden: widths of each layer's network.

    Returns:
        A module ``context [*batch, C] (or None) -> transform``, with ``call_and_ladj`` and ``inv``.
    """
    masked, composed, spline = _zuko()
    ascending = torch.arange(dim)
    shapes = ([BINS], [BINS], [BINS - 1])
    layers = [
        masked(
            dim,
            context,
            passes=2,
            order=ascending if i % 2 == 0 else ascending.flip(0),
            univariate=spline,
            shapes=shapes,
            hidden_features=tuple(hidden),
            activation=nn.SiLU,
        )
        for i in range(num_transforms)
    ]
    for layer in layers:  # spline parameters zero: the identity
        last = list(layer.hyper)[-1].parameters() if hasattr(layer, "hyper") else layer.phi
        for parameter in last:
            nn.init.zeros_(parameter)
    module: nn.Module = composed(*layers)
    return module


class SplineNormal(Distribution):
    """``z = m + s f(e)``, e ~ N(0, I), f a coupling spline flow: one pass to draw, two for the density.

    ``log p(z) = log N(f^-1(u); 0, I) + log |det d f^-1(u) / du| - sum log s`` with ``u = (z - m)/s``.
    Both directions are exact and differentiable. The latest draw is remembered with its e and its
    log-determinant, since an objective next asks for the density of that very draw: this spares ``f^-1``,
    which costs twice what f does. Such a density has its gradient through the parameters and the noise, and
    none through the draw itself: for ``grad_z log p(z)`` ask for the density of ``z.view_as(z)``.

    Args:
        transform: f, with ``call_and_ladj`` and ``inv`` (see `coupling_splines`).
        loc: m, ``[*batch, M]``.
        scale: s, ``[*batch, M]``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"loc": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True
    made_of_noise = True

    def __init__(self, transform: Any, loc: Tensor, scale: Tensor) -> None:
        self.transform = transform
        self.loc, self.scale = loc, scale
        self._drawn: tuple[Tensor, Tensor, Tensor, bool] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "SplineNormal":
        """The same distributions repeated to ``batch_shape``."""
        shape = Size(batch_shape) + self.event_shape
        return SplineNormal(self.transform, self.loc.expand(shape), self.scale.expand(shape))

    def _base(self) -> Independent[Normal]:
        zeros = torch.zeros_like(self.loc)
        return Independent(Normal(zeros, zeros + 1, validate_args=False), 1, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E z over a fixed number of seeded draws: it has no closed form (see `seeded_moments`)."""
        return seeded_moments(self, self.loc.device)[0]

    @property
    def variance(self) -> Tensor:
        """The variance over the draws of `mean`."""
        return seeded_moments(self, self.loc.device)[1]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``m + s f(e)``."""
        noise = torch.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        bent, log_det = self.transform.call_and_ladj(noise)
        z: Tensor = self.loc + self.scale * bent
        self._drawn = (z, noise, log_det, torch.is_grad_enabled())
        return z

    def _preimage(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """``e = f^-1((z - m) / s)``, and the log-determinant of f^-1 there."""
        if self._drawn is not None:
            z, noise, log_det, with_gradient = self._drawn
            if value is z and with_gradient == torch.is_grad_enabled():
                return noise, -log_det
        noise, log_det = self.transform.inv.call_and_ladj((value - self.loc) / self.scale)
        return noise, log_det

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        noise, log_det = self._preimage(value)
        log_prob: Tensor = self._base().log_prob(noise) + log_det - self.scale.log().sum(-1)
        return log_prob
