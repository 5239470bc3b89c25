"""Many latent samples in the memory of a few: how many are drawn at a time, and the traces that they make."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import check_count, check_data
from jensen.trace import Model, Trace

CHUNK = {"cpu": 1 << 21, "cuda": 1 << 26}
"""Numbers in a chunk of data, K_chunk * B * D: 8 MiB in float32, which a processor's cache may hold, and
256 MiB, which keep a GPU busy."""
BLOCK = 256
"""Rows of a full block. Where all rows shall see the same noise, every block, full or not, has the chunks of
samples of a full one."""
PER_NUMBER = 8
"""Numbers of a decoder that may stand for one of the data in a chunk: a table's levels are many more."""
MOST_DECODED = 1 << 24
"""Numbers of a decoder at a time, K * B * outputs, where rows are taken apart: 64 MiB in float32."""


def numbers_decoded(model: object) -> int:
    """Numbers that a decoder makes of one latent sample, where the model says it; else 0."""
    return int(getattr(model, "decoded", 0))


def numbers_of(model: object, event_size: int) -> int:
    """For `chunk_sizes`, what a sample of one datum of ``event_size`` numbers counts as."""
    return max(event_size, numbers_decoded(model) // PER_NUMBER)


def chunk_sizes(num_samples: int, numbers_per_sample: int, device: torch.device) -> list[int]:
    """K split into chunks of at most `CHUNK` numbers each (at least one sample)."""
    check_count("num_samples", num_samples)
    most = CHUNK.get(device.type, CHUNK["cpu"])
    size = max(1, min(num_samples, most // max(1, numbers_per_sample)))
    full, rest = divmod(num_samples, size)
    return [size] * full + ([rest] if rest else [])


def traces(
    model: Model,
    x: Tensor,
    num_samples: int,
    *,
    context: Tensor | None = None,
    posterior: tuple[Distribution, ...] | None = None,
    chunks: Iterable[int] | None = None,
) -> Iterator[Trace]:
    """K samples of each datum, as traces of a chunk of them at a time through one and the same posterior.

    Whoever keeps no more than ``[K, B]`` numbers of each trace has the memory of one chunk at any K.

    Args:
        model: anything with ``trace``.
        x: prepared data, ``[B, *event]``.
        num_samples: K.
        context: for conditional models.
        posterior: q(z | x) to use in place of the model's own, which is computed once.
        chunks: sizes of the chunks, adding up to K; when left out, chosen by the numbers that the data and
            the decoder have.

    Raises:
        ValueError: K, the data or the chunks are not such.
    """
    check_count("num_samples", num_samples)
    check_data(x)
    if chunks is None:
        chunks = chunk_sizes(num_samples, len(x) * numbers_of(model, math.prod(x.shape[1:])), x.device)
    sizes = list(chunks)
    if sum(sizes) != num_samples:
        raise ValueError(f"chunks add up to {sum(sizes)}, and must to num_samples, {num_samples}")
    q = model.posterior(x, context=context) if posterior is None else posterior
    return (model.trace(x, k, context=context, posterior=q) for k in sizes)
