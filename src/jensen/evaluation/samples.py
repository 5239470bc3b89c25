"""New data, and reconstructions of given data."""

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from jensen.checks import check_count
from jensen.data.seeds import seeded
from jensen.distributions import center
from jensen.mode import measuring, with_contexts
from jensen.trace import Model

ROWS = 256
"""Rows drawn at a time."""


def sample(
    model: Model, n: int, *, context: Tensor | None = None, mean: bool = False, seed: int = 0
) -> Tensor:
    """``n`` new data in the model's domain, ``[n, *event]``: true draws of p(x), or decoder means.

    The same seed gives the same draws; torch's global generator is left as it was. A ``context`` ``[n, ...]``
    is for conditional models.

    Raises:
        ValueError: ``n`` is no whole number of 1 or more.
    """
    return torch.cat(list(sample_blocks(model, n, context=context, mean=mean, seed=seed)))


def sample_blocks(
    model: Model, n: int, *, context: Tensor | None = None, mean: bool = False, seed: int = 0
) -> Iterator[Tensor]:
    """What `sample` gives, block after block; whoever draws between two blocks changes the second."""
    check_count("n", n)
    contexts = itertools.repeat(None) if context is None else context.split(ROWS)
    with seeded(seed):
        for start, c in zip(range(0, n, ROWS), contexts, strict=context is not None):
            with measuring(model):
                x = model.sample(min(ROWS, n - start), context=c, mean=mean).cpu()
            yield x


def reconstruct(decoder: nn.Module, latents: Tensor, *, context: Tensor | None = None) -> Tensor:
    """E[x | z] for each row of ``latents`` ``[N, M]``, ``[N, *event]``; for class numbers, the mode.

    With a ``context`` ``[N, ...]``, E[x | z, c].
    """
    contexts = None if context is None else context.to(latents.device).split(ROWS)
    with measuring(decoder):
        parts = with_contexts(latents.split(ROWS), contexts)
        means = [center(decoder(z[None], c))[0].cpu() for z, c in parts]
    return torch.cat(means)


def traversal(z: Tensor, dimensions: Iterable[int], steps: Tensor) -> Tensor:
    """``z`` ``[M]`` with one dimension at a time set to each of ``steps``: ``[dimensions, steps, M]``."""
    rows = []
    for dimension in dimensions:
        moved = z.repeat(len(steps), 1)
        moved[:, dimension] = steps
        rows.append(moved)
    return torch.stack(rows)
