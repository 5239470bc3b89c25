"""Posteriors whose draws use one noise for all data: then what is computed of a datum depends on it alone."""

from copy import copy

import torch
from torch import Size
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from jensen.distributions.low_rank import LowRankNormal
from jensen.distributions.one_hot import OneHot, RelaxedOneHot, StraightThroughOneHot
from jensen.distributions.spline import SplineNormal

MADE_OF_NOISE = (
    *(Normal, MultivariateNormal, LowRankNormal, SplineNormal),
    *(OneHot, StraightThroughOneHot, RelaxedOneHot),
)
"""Kinds that draw ``f(e; parameters)``, with noise e of `_extended_shape` that parameters broadcast with."""


def share_noise(q: Distribution) -> Distribution:
    """``q`` over ``[B]`` with one noise for all data: ``z_kb = f(e_k; q_b)``.

    Each datum's draws are distributed as before; those of two data are not independent. A point mass has no
    noise, and a distribution of a kind that is not known here comes back as it is.
    """
    if not isinstance(q, Distribution) or len(q.batch_shape) != 1:
        return q
    if isinstance(q, Independent) and type(q.base_dist) in MADE_OF_NOISE:
        return Independent(_shared(q.base_dist), q.reinterpreted_batch_ndims, validate_args=False)
    return _shared(q) if type(q) in MADE_OF_NOISE else q


def _shared(q: Distribution) -> Distribution:
    """A copy that asks for noise of one datum, whose place is the first of its batch shape."""

    def extended_shape(sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Size:
        shape, place = q._extended_shape(Size(sample_shape)), len(sample_shape)
        return shape[:place] + (1,) + shape[place + 1 :]

    shared = copy(q)
    shared._extended_shape = extended_shape  # type: ignore[method-assign]
    if shared.has_rsample:  # torch's Normal.sample does not broadcast
        shared.sample = torch.no_grad()(shared.rsample)  # type: ignore[method-assign]
    return shared
