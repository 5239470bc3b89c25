"""Whether a step is still the one that was recorded: a Python number in it may have been changed since."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from jensen.data.seeds import seeded
from jensen.mode import unvalidated
from jensen.training.step import Slope, trial

TOLERANCE = {"float32": 1e-4, "bf16": 1e-2}
"""Largest distance, in units of the norm. On a processor it is zero; a GPU may add up in another order."""


class Witness:
    """What the eager slope was, at weights, buffers, other tensors, rows and draws that it keeps.

    Compiled and captured steps run no Python: a number in a bound, an estimator or a module (not in a tensor,
    such as a temperature that falls from epoch to epoch) stays in them what it was when they were made. Here
    everything but such numbers is the same at every call, so that a difference shows that one has changed.

    Args:
        slope: what was recorded.
        stored: rows as stored, ``[B, *event]``.
        weight: of the KL; only its type and device matter.
        others: tensors that a recorded step reads and that may change in place.
    """

    def __init__(self, slope: Slope, stored: Tensor, weight: Tensor, others: Sequence[Tensor] = ()) -> None:
        self.slope, self.stored, self.weight = slope, stored.clone(), torch.full_like(weight, 0.5)
        self.others = [(tensor, tensor.clone()) for tensor in others]
        named = (*slope.named_parameters(), *slope.named_buffers())
        self.kept = {name: tensor.detach().clone() for name, tensor in named}
        self.before = self._now()

    def agrees(self) -> bool:
        """Whether the slope is what it was; it leaves no mark."""
        most = TOLERANCE["bf16" if self.slope.plan.precision == "bf16" else "float32"]
        now, before = self._now(), self.before
        if [t.shape for t in now] != [t.shape for t in before]:  # a parameter was frozen or replaced
            return False
        return all(
            bool((one - other).nan_to_num().norm() <= most * other.nan_to_num().norm())
            and torch.equal(one.isfinite(), other.isfinite())
            for one, other in zip(now, before, strict=True)
        )

    def _now(self) -> list[Tensor]:
        """The bound, and all gradients that there are as one vector."""
        moved = [(tensor, kept) for tensor, kept in self.others if not torch.equal(tensor, kept)]
        with trial(self.slope, [tensor for tensor, _ in moved]), seeded(0), unvalidated():
            for tensor, kept in moved:
                tensor.copy_(kept)
            learned = {name: p.requires_grad for name, p in self.slope.named_parameters()}
            given = {
                name: tensor.clone().requires_grad_(learned.get(name, False))
                for name, tensor in self.kept.items()
            }
            value, gradients = functional_call(self.slope, given, (self.stored, self.weight))
        there = [g.flatten() for g in gradients if g is not None]
        return [value.double()[None], torch.cat(there).double()]
