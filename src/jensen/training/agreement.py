"""Whether a compiled step does what the eager one does: no compiled code is trusted without this check."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jensen.data.seeds import seeded
from jensen.training.clip import Gradients
from jensen.training.rule import Rule, Slot, remember
from jensen.training.step import Slope, trial

if TYPE_CHECKING:
    from jensen.training.compiler import Compiled

TOLERANCE = {"float32": 1e-2, "bf16": 1e-1}
"""Largest distance between the compiled and the eager gradient, in units of its norm: wrong code is off by
more."""


def expected(slope: Slope, stored: Tensor, weight: Tensor) -> tuple[Tensor, Gradients, list[Tensor]]:
    """The eager slope, at draws from a fixed seed and no running norm, and the buffers that it leaves."""
    with trial(slope), seeded(0):
        slope.clip.norm.zero_()
        value, gradients = slope(stored, weight)
        return value, gradients, _copies(slope)


def agrees(compiled: "Compiled", stored: Tensor, weight: Tensor) -> bool:
    """Whether a compiled step does what an eager one does, but for rounding; it leaves no mark.

    What the optimizer remembers is compared with what its rules make of the eager gradients, since the step
    itself is not smooth in them (a gradient of 1e-9 that is rounded to -1e-9 reverses Adam's step, and Muon's
    enlarges what is smallest). The step must be the one that its own memories give.
    """
    optimizer, slope, moved = compiled.optimizer, compiled.slope, compiled.moved
    value, gradients, left = expected(slope, stored, weight)
    gradient = [g for g in gradients if g is not None]
    most = TOLERANCE["bf16" if slope.plan.precision == "bf16" else "float32"]
    optimizer.refresh()
    with trial(slope, compiled.state), torch.no_grad():
        before, rates, total = _vector(moved), optimizer.rates.clone(), torch.zeros_like(optimizer.lr)
        starts = [p.clone() for p in moved]
        remembered = _from_nothing(compiled, gradient)
        buffers = _copies(slope)
        with seeded(0):
            compiled(stored, weight, total)
        reached, averages = _vector(moved), [slot[-1].clone() for slot in compiled.slots]
        for parameter, start in zip(moved, starts, strict=True):
            parameter.copy_(start)
        implied = [_gradient(rule, slot) for rule, slot in zip(compiled.rules, compiled.slots, strict=True)]
        optimizer.move(tuple(moved), implied, compiled.slots, compiled.rules, rates)
        return (
            _close(total, value, most)
            and _left_alike(_copies(slope), left, buffers, most)
            and _each_close(compiled.slots, remembered, most)
            and all(
                _close(_memories(compiled.slots, remembered, i), _memories(remembered, remembered, i), m)
                for i, m in enumerate((most, 2 * most))  # the second are squares, and differ by twice as much
            )
            and _close(reached - before, _vector(moved) - before, most)
            and (not optimizer.average or _close(_vector(averages), rates[4].double() * reached, most))
        )


def _copies(slope: Slope) -> list[Tensor]:
    return [buffer.detach().double().clone() for buffer in slope.buffers()]


def _left_alike(ones: list[Tensor], others: list[Tensor], before: list[Tensor], most: float) -> bool:
    """Whether buffers changed alike: a change is often a small share of what it is added to."""
    shapes = [[buffer.shape for buffer in buffers] for buffers in (ones, others, before)]
    if not shapes[0] == shapes[1] == shapes[2]:
        return False
    for one, other, start in zip(ones, others, before, strict=True):
        finite = other.isfinite()
        off, change, size = ((t[finite]).norm() for t in (one - other, other - start, other))
        if not torch.equal(finite, one.isfinite()) or off > most * change + 1e-6 * size + 1e-11:
            return False
    return True


def _from_nothing(compiled: "Compiled", gradient: list[Tensor]) -> list[Slot]:
    """Empty the slots and the running norm, and return what the rules remember of these gradients alone."""
    remembered = []
    compiled.slope.clip.norm.zero_()
    for slot, rule in zip(compiled.slots, compiled.rules, strict=True):
        for memory in slot:
            memory.zero_()
        remembered.append(tuple(torch.zeros_like(memory) for memory in slot[: len(rule.names)]))
    remember(gradient, remembered, compiled.rules)
    return remembered


def _gradient(rule: Rule, slot: Slot) -> Tensor:
    """The gradient that left this first memory, which is the same share of it in all entries."""
    one = tuple(torch.zeros_like(memory) for memory in slot[: len(rule.names)])
    rule.remember([torch.ones_like(slot[0])], [one])
    return slot[0] / one[0]


def _memories(slots: Sequence[Slot], like: Sequence[Slot], i: int) -> Tensor:
    """The memories in place ``i`` of those slots that have such a place in ``like``, as one vector."""
    return _vector([slot[i] for slot, one in zip(slots, like, strict=True) if len(one) > i])


def _each_close(slots: Sequence[Slot], remembered: Sequence[Slot], most: float) -> bool:
    """Whether the gradient of each parameter agrees by itself, lest a small one be lost beside the others.

    A small one carries the rounding of the larger terms that it is the sum of, and may be further off.
    """
    all_of_it = _vector([mine[0] for mine in remembered]).norm()
    pairs = ((slot[0].double(), mine[0].double()) for slot, mine in zip(slots, remembered, strict=True))
    allowed = ((one - other, 3 * other.norm() + 0.01 * all_of_it) for one, other in pairs)
    return all(bool(d[d.isfinite()].norm() <= most * a) or not a.isfinite() for d, a in allowed)


def _vector(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten().double() for part in parts]) if parts else torch.zeros(0)


def _close(one: Tensor, other: Tensor, most: float) -> bool:
    """Whether vectors differ by rounding alone.

    If they overflow (training will say so), they must do so in the same places.
    """
    finite = one.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return False
    one, other = one[finite], other[finite]
    return bool((one - other).norm() <= most * other.norm() + 1e-11)
