"""How an optimizer moves a parameter: what it remembers of the gradients, and where it goes from there."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Slot = tuple[Tensor, ...]
"""What is remembered of a parameter's gradients, zero at first, then the average of the parameter if there is
one; each tensor of the parameter's shape."""


@dataclass(frozen=True)
class Rule:
    """One step is ``remember``, then ``move``; both in place, made of operations that a graph can hold.

    Both depend on the numbers in their tensors through tensor operations alone.
    """

    names: tuple[str, ...]
    """Names, in checkpoints, of what is remembered: those that torch's optimizer of that name uses."""
    remember: Callable[[Tensor, Slot], None]
    """``(gradient, slot)``."""
    move: Callable[[Tensor, Tensor, Slot, Tensor], None]
    """``(parameter, gradient, slot, rates)``; rates are `jensen.training.optimizer.Optimizer.prepare`'s."""
