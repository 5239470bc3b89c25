"""Whether a compiler is told what is done here.

Then a formula may be better written otherwise: many small operations become one loop, and what is left to
save is an exponential or a logarithm.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_recorded = ContextVar("recorded", default=False)


def is_recorded() -> bool:
    """Inside of `recorded`, and of what torch.compile traces."""
    return torch.compiler.is_compiling() or _recorded.get()


@contextmanager
def recorded() -> Iterator[None]:
    """Inside, in this thread, operations are recorded to be compiled."""
    token = _recorded.set(True)
    try:
        yield
    finally:
        _recorded.reset(token)
