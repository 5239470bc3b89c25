"""How every figure is made: one home for what must hold while a model is measured."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from jensen.float32 import full_float32

Item = TypeVar("Item")


@contextmanager
def measuring(*models: object) -> Iterator[None]:
    """Inside, the models are in evaluation mode, float32 convolutions in float32, and no gradients taken.

    In training mode dropout draws, and a `jensen.families.OptimalScale` fits itself to the very data that are
    measured, so that no figure would be a bound. Each module is then in the mode that it was in before.
    """
    modules = [module for model in models if isinstance(model, nn.Module) for module in model.modules()]
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad(), full_float32():
            yield
    finally:
        for module in training:
            module.training = True


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
