"""Whether operations are being recorded for a compiler.

A formula is then best written in another way: the compiler makes one loop of many small operations, and what
is left to save is an exponential or a logarithm.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_recorded = ContextVar("recorded", default=False)


def is_recorded() -> bool:
    """Whether this runs inside `recorded`, or inside what torch.compile traces."""
    return torch.compiler.is_compiling() or _recorded.get()


@contextmanager
def recorded() -> Iterator[None]:
    """Inside, this thread's operations are recorded for a compiler."""
    token = _recorded.set(True)
    try:
        yield
    finally:
        _recorded.reset(token)
