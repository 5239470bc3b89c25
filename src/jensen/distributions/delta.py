"""The point mass: all probability at one point."""

from typing import Any, ClassVar, NoReturn

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints


class Delta(Distribution):
    """z = loc with probability one: the encoder of a vanilla autoencoder.

    It has draws (and their gradient) but no density, so no bound on log p(x) can be computed with it.

    Args:
        loc: the point, ``[*batch, *event]``.
        event_dim: how many trailing dimensions of ``loc`` make one event.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"loc": constraints.real}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, event_dim: int = 1) -> None:
        self.loc = loc
        split = loc.dim() - event_dim
        super().__init__(loc.shape[:split], loc.shape[split:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "Delta":
        """The same points repeated to ``batch_shape``."""
        return Delta(self.loc.expand(Size(batch_shape) + self.event_shape), len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The point, repeated, with its gradient."""
        return self.loc.expand(self._extended_shape(sample_shape))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The point, repeated, without gradient."""
        return self.rsample(sample_shape).detach()

    def log_prob(self, value: Tensor) -> NoReturn:
        """Always a NotImplementedError: a point mass has no density."""
        raise NotImplementedError(
            "a point-mass posterior has no density, so log q(z | x), the KL and every bound that uses them "
            "do not exist; train and evaluate with the reconstruction bound, or use a posterior with a "
            "density (diagonal, full, low-rank, flow)"
        )
