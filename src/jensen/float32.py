"""Convolutions in float32 also on a GPU, where torch would round their factors to 10 bits (tf32)."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_float32() -> Iterator[None]:
    """Inside, and in a function that it decorates, float32 convolutions are computed in float32.

    Other products already are, unless the user has told torch otherwise. Afterwards torch's switch is as it
    was. Whoever has set torch's newer switch (``fp32_precision``) for convolutions alone keeps that choice.
    """
    import torch

    try:
        before = torch.backends.cudnn.allow_tf32
    except RuntimeError:  # the newer switch is set to what this one cannot express
        yield
        return
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
