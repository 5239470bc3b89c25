"""Draws with one noise for all data: then what is computed of a datum depends on it alone."""

from copy import copy
from typing import TypeVar

import torch
from torch import Size
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

MADE_OF_NOISE = (Normal, MultivariateNormal)
"""Of torch's distributions, those that draw ``f(e; parameters)``, with noise e of `_extended_shape` that the
parameters broadcast with; ours say it by an attribute ``made_of_noise``."""

Kind = TypeVar("Kind", bound=Distribution)


def share_noise(q: Distribution) -> Distribution:
    """``q`` over ``[B]`` with one noise for all data: ``z_kb = f(e_k; q_b)``.

    Each datum's draws are distributed as before; those of two data are not independent. A point mass has no
    noise, and a distribution of which it is not known how it draws comes back as it is.
    """
    if not isinstance(q, Distribution) or len(q.batch_shape) != 1:
        return q
    if isinstance(q, Independent) and _is_made_of_noise(q.base_dist):
        return Independent(with_one_noise(q.base_dist, 1), q.reinterpreted_batch_ndims, validate_args=False)
    return with_one_noise(q, 1) if _is_made_of_noise(q) else q


def _is_made_of_noise(q: Distribution) -> bool:
    return type(q) in MADE_OF_NOISE or getattr(q, "made_of_noise", False)


def with_one_noise(q: Kind, batch_dims: int) -> Kind:
    """A copy of a distribution made of noise, with one noise for the first ``batch_dims`` of its batch."""

    def extended_shape(sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Size:
        shape, first = q._extended_shape(Size(sample_shape)), len(sample_shape)
        return Size(shape[:first] + (1,) * batch_dims + shape[first + batch_dims :])

    shared = copy(q)
    shared._extended_shape = extended_shape  # type: ignore[method-assign]
    if shared.has_rsample:  # torch's Normal.sample does not broadcast
        shared.sample = torch.no_grad()(shared.rsample)  # type: ignore[method-assign]
    return shared
