"""One seed in, many independent seeds out."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch

ONE_DRAW = 0
"""Seed of what is drawn once for the data, whatever the seed of a run: static binarization, and the zeros and
ones or the noise of rows held out. So runs of different seeds are measured on the same numbers."""


def derive_seed(*parts: int | str) -> int:
    """A seed in ``[0, 2**63)`` that is a fixed function of ``parts``: SHA-256 of their JSON list.

    ``derive_seed(seed, "evaluation", block)`` gives every block a stream of its own, and unlike
    ``seed + block`` never the stream of another run's other block.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A generator on the CPU, seeded with ``derive_seed(*parts)``."""
    return torch.Generator().manual_seed(derive_seed(*parts))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws inside are those of ``seed``; torch's generators are then as they were before.

    GPUs that the process has not opened are left closed: each would take hundreds of megabytes.
    """
    if torch.cuda.is_initialized():
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
