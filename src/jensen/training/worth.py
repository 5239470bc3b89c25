"""Whether compiling pays: the work of a step, counted, against the cost of compiling it.

The decision must not hang on a clock: with the same settings and data the step is compiled at the same
epoch, on a busy machine as on an idle one, and so the same seed gives the same weights. Hence *nominal*
seconds: a fixed price for each operation and for each multiplication, about what they take on a processor
of 2021 or on an H100.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from jensen.training.plan import Plan
from jensen.training.step import Slope, trial

OPERATION = {"cpu": 8e-6, "cuda": 2.5e-6}
"""Nominal seconds that an eager operation costs, of any size: on a CPU in Python and in torch; on a GPU,
where many steps are one launch, in the start of a kernel."""
FLOPS_PER_SECOND = {"cpu": 40e9, "cuda": 20e12}
"""Of float32 products, by device; of a CPU for each thread."""
MOST_THREADS = 8
"""More do not speed up the small products of a step."""
COMPILATION = {"cpu": (10.0, 0.15), "cuda": (10.0, 0.05)}
"""Nominal seconds that compiling takes: once, and for each operation of the step, with an empty cache."""
GAIN = {"cpu": 0.2, "cuda": 0.4}
"""Share of a step's time that compiling saves, cautiously."""
BEFORE = 20.0
"""Nominal seconds of training before epochs that are planned but may be cut short by patience count in favour
of compiling: a shorter run should never wait."""


@dataclass(frozen=True)
class Work:
    """What one eager step asks of a machine."""

    operations: int
    flops: int

    def seconds(self, device: torch.device) -> float:
        """Nominal seconds of a step."""
        threads = 1 if device.type == "cuda" else min(torch.get_num_threads(), MOST_THREADS)
        return self.operations * OPERATION[device.type] + self.flops / (
            FLOPS_PER_SECOND[device.type] * threads
        )

    def compilation(self, device: torch.device) -> float:
        """Nominal seconds that it takes to compile the step."""
        once, each = COMPILATION[device.type]
        return once + each * self.operations


class _Count(TorchDispatchMode):
    """Counts operations on tensors, and the multiplications and additions of their products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: in order to skip Dynamo torch imports it, which adds two seconds to the start of every run."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def count_work(slope: Slope, stored: Tensor, weight: Tensor) -> Work:
    """The work of a step on these rows, counted by taking it; it leaves no mark.

    (Not during a step of training: under a counter torch uses some other kernels, which round differently.)
    """
    count = _Count()
    with trial(slope), count:
        slope(stored, weight)
    return Work(count.operations, count.flops)


def is_short(steps: int) -> bool:
    """Whether so few steps cannot be worth compiling, whatever they do: none takes a nominal second."""
    return steps * 1.0 < BEFORE


def is_worth_it(work: Work, steps: int, epoch: int, plan: Plan, device: torch.device) -> bool:
    """Whether to compile now, with ``epoch`` epochs of ``steps`` steps done.

    Args:
        work: of a step.
        steps: of an epoch.
        epoch: epochs done.
        plan: its epochs, or its time limit, say how much may be left; its patience, how much surely is.
        device: where the step runs.
    """
    an_epoch = steps * work.seconds(device)
    most = math.inf if plan.max_time is None else plan.max_time
    planned = min(plan.epochs * an_epoch, most)
    sure = min((plan.patience + 1) * an_epoch, planned) if plan.patience else planned
    done = epoch * an_epoch
    left = (planned if done >= BEFORE else sure) - done
    return GAIN[device.type] * left > work.compilation(device)
