"""Means and standard deviations, also where there is no formula for them."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal

from jensen.checks import named
from jensen.distributions.shared_noise import with_one_noise

DRAWS = 256
"""Draws behind a mean that has no closed form: its standard error is the standard deviation / 16."""


@torch.no_grad()
def seeded_moments(distribution: Distribution, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and variance over `DRAWS` draws, each ``[*batch, *event]``, without gradient.

    The draws come from a seed of their own: asking twice gives the same answer, and torch's global
    generators are left as they were. All of a batch have the same noise, so that an answer does not depend on
    the others. ``device`` is where the distribution draws, one made of noise (see `with_one_noise`).
    """
    on_gpu = device.type == "cuda"
    generator = torch.cuda.default_generators[device.index] if on_gpu else torch.default_generator
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        generator.manual_seed(0)
        one_noise = with_one_noise(distribution, len(distribution.batch_shape))
        draws = one_noise.sample(torch.Size([DRAWS]))
    return draws.mean(0), draws.var(0)


@torch.no_grad()
def moments(distribution: Distribution, draws: int = DRAWS) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of each dimension, both ``[*batch, *event]``, without gradient.

    Where the distribution offers none, those of ``draws`` samples from torch's global generator.
    """
    try:
        return distribution.mean, distribution.stddev
    except NotImplementedError:
        z = distribution.sample(torch.Size([draws]))
        return z.mean(0), z.std(0)


def diagonal_fit(distribution: Distribution) -> Distribution:
    """The diagonal normal with the same `moments`, batch shape ``[B]``: its density is cheap."""
    mean, spread = moments(distribution)
    return Independent(Normal(mean, spread, validate_args=False), 1, validate_args=False)


def diagonal_normal(distribution: Distribution) -> Normal | None:
    """The `Normal` with batch shape ``[*batch, M]`` that a diagonal normal is made of; None of any other."""
    base = distribution.base_dist if isinstance(distribution, Independent) else None
    return base if isinstance(base, Normal) else None


def center(distribution: Distribution) -> Tensor:
    """The value to show for a distribution: its mean, or for class indices, which have none, the mode.

    Raises:
        ValueError: the distribution does not say its mean.
    """
    base = distribution
    while isinstance(base, Independent):
        base = base.base_dist
    try:
        return distribution.mode if isinstance(base, Categorical) else distribution.mean
    except NotImplementedError:
        raise ValueError(
            f"{named(distribution)} does not say its mean; give the class a property mean, or take draws"
        ) from None
