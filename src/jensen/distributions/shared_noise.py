"""Posteriors whose draws use one noise for all data: then what is computed of a datum depends on it alone."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


class SharedNoise(Normal):
    """A normal whose draws ``mean + sd * eps`` have the same eps for every datum of a batch ``[B, M]``."""

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        eps = torch.randn(*shape, 1, self.loc.shape[-1], dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * eps

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)


def share_noise(q: Distribution) -> Distribution:
    """``q`` with one noise for all data where it is a diagonal normal over ``[B, M]``; else as it is."""
    if isinstance(q, Independent) and type(q.base_dist) is Normal and q.base_dist.loc.dim() == 2:
        base = SharedNoise(q.base_dist.loc, q.base_dist.scale, validate_args=False)
        return Independent(base, 1, validate_args=False)
    return q
