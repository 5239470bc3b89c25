"""The mode that models are in while they train, search and are measured: one home for what must then hold.

Then convolutions are in float32 also on a GPU, where torch would round their factors to 10 bits (tf32).
"""

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

Item = TypeVar("Item")

NO_BLOCKS = (
    "there are no blocks of rows; a generator gives its blocks only once: make it anew, or give a list"
)
"""What to say where a figure of no rows was asked for."""


@contextmanager
def full_float32() -> Iterator[None]:
    """Inside, and in a function that it decorates, float32 convolutions are computed in float32.

    Other products already are, unless the user has told torch otherwise. Afterwards torch's switch is as it
    was. Whoever has set torch's newer switch (``fp32_precision``) for convolutions alone keeps that choice.
    """
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


@contextmanager
def mode_kept(*models: object) -> Iterator[None]:
    """Afterwards each module of the models is in the mode, of training or of evaluation, that it was in."""
    modules = [module for model in models if isinstance(model, nn.Module) for module in model.modules()]
    modes = [module.training for module in modules]
    try:
        yield
    finally:
        for module, training in zip(modules, modes, strict=True):
            module.training = training


learning = torch.inference_mode(False)
"""Decorator: gradients are taken inside, also where the caller is in ``no_grad`` or ``inference_mode``."""


@contextmanager
def measuring(*models: object) -> Iterator[None]:
    """Inside, the models are in evaluation mode, float32 convolutions in float32, and no gradients are taken.

    In training mode dropout draws, and a `jensen.families.OptimalScale` fits itself to the very data that are
    measured, so that no figure would be a bound. Afterwards each module is in the mode that it was in before.
    """
    with mode_kept(*models), torch.no_grad(), full_float32():
        for model in models:
            if isinstance(model, nn.Module):
                model.eval()
        yield


class _Unvalidated:
    """`unvalidated`, which several threads may be in at a time: the last to leave puts the switch back."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, True

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            if not self.inside:
                self.before = Distribution._validate_args
                Distribution.set_default_validate_args(False)
            self.inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if not self.inside:
                    Distribution.set_default_validate_args(self.before)


unvalidated = _Unvalidated()
"""Inside, distributions do not check their arguments: each check would read numbers back from the device."""


def in_blocks(blocks: Iterable[Item]) -> Iterable[Item]:
    """The blocks of rows as they are.

    Raises:
        ValueError: they are one tensor, whose single rows would be taken for blocks.
    """
    if isinstance(blocks, Tensor):
        raise ValueError(
            f"a tensor of shape {tuple(blocks.shape)} is no blocks; give blocks of rows, as in [x]"
        )
    return blocks


def with_contexts(
    blocks: Iterable[Tensor], contexts: Iterable[Tensor | None] | None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The blocks of rows, each with the context of its rows ``[B, ...]``; without ``contexts``, with None.

    Raises:
        ValueError: either is one tensor, or there is not one context for each block and each of its rows.
    """
    given = itertools.repeat(None) if contexts is None else in_blocks(contexts)
    for x, context in zip(in_blocks(blocks), given, strict=contexts is not None):
        if context is not None and len(context) != len(x):
            raise ValueError(f"a block of {len(x)} rows has a context of {len(context)}; split both alike")
        yield x, context
