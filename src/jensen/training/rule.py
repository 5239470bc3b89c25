"""How an optimizer moves parameters: what it remembers of the gradients, and where they go from there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Slot = tuple[Tensor, ...]
"""What is remembered of a parameter's gradients, zero at first, then the average of the parameter if there is
one; each tensor of the parameter's shape."""


Tensors = list[Tensor] | tuple[Tensor, ...]
"""What torch's functions of many tensors take."""


@dataclass(frozen=True)
class Rule:
    """One step is ``remember``, then ``move``; both in place, made of operations that a graph can hold.

    Both take all parameters that move by the rule, so that a GPU moves them by one kernel, and depend on the
    numbers in their tensors through tensor operations alone.
    """

    names: tuple[str, ...]
    """Names, in checkpoints, of what is remembered: those that torch's optimizer of that name uses."""
    remember: Callable[[Tensors, Sequence[Slot]], None]
    """``(gradients, slots)``."""
    move: Callable[[Tensors, Tensors, Sequence[Slot], Tensor], None]
    """``(parameters, gradients, slots, rates)``; rates: `jensen.training.optimizer.Optimizer.prepare`'s."""


def by_rule(rules: Sequence[Rule], *columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """``(rule, those entries of each column whose rule it is, ...)``, for each rule that there is."""
    for rule in dict.fromkeys(rules):
        yield rule, *([c for c, r in zip(column, rules, strict=True) if r is rule] for column in columns)


def remember(gradients: Tensors, slots: Sequence[Slot], rules: Sequence[Rule]) -> None:
    """Let each parameter's rule take note of its gradient; in place."""
    for rule, own, theirs in by_rule(rules, gradients, slots):
        rule.remember(own, theirs)
