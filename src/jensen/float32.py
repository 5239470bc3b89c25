"""Convolutions in float32 also on a GPU, where torch would round their factors to 10 bits (tf32)."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_float32() -> Iterator[None]:
    """Inside, and in a function that it decorates, float32 convolutions are taken in float32.

    Other products are so already, unless the user has told torch otherwise. Torch's switch is then as it was
    before. Who has set its newer switches (``fp32_precision``), for convolutions alone, keeps them.
    """
    import torch

    try:
        before = torch.backends.cudnn.allow_tf32
    except RuntimeError:  # what the newer switches say cannot be said by this one
        yield
        return
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
