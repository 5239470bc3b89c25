"""Samples picked by their weights."""

import torch
from torch import Tensor


def systematic(weights: Tensor, offsets: Tensor, n: int) -> Tensor:
    """The numbers of ``n`` of K samples, ``[n, *batch]``, by weights ``[K, *batch]`` that add up to one.

    Sample k is picked for each i with ``W_{k-1} < (i + u) / n <= W_k``, W being the sums of the weights
    (systematic resampling: Carpenter, Clifford & Fearnhead 1999): as often as its weight says, to within one,
    and so more evenly than by independent picks. The picks are ascending; whoever takes some of them shuffles
    them first.

    Args:
        weights: of the samples.
        offsets: u, uniform on [0, 1): one for each of the batch, ``[*batch]``.
        n: how many to pick.
    """
    steps = torch.arange(n, device=weights.device, dtype=weights.dtype).reshape(-1, *[1] * offsets.dim())
    places = ((steps + offsets) / n).movedim(0, -1)
    ends = weights.movedim(0, -1).contiguous().cumsum(-1)
    picks = torch.searchsorted(ends, places.contiguous()).movedim(-1, 0)
    return picks.clamp(max=len(weights) - 1)  # the sum of all may be a little below one
