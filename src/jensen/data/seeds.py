"""One seed in, many independent seeds out."""

import hashlib
import json

import torch


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
