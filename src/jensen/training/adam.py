"""Adam as tensor operations that a graph can hold, on the state that torch's own optimizer keeps."""

from collections.abc import Sequence

import torch
from torch import Tensor

Slot = tuple[Tensor, Tensor]
"""The first and the second moment of a parameter's gradient, each of its shape."""


class Adam:
    """The update of `torch.optim.Adam` and `AdamW` (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2).

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        w = (1 - lr decay) w - lr / (1 - b1^t)  m / (sqrt(v / (1 - b2^t)) + eps)

    In a graph with the gradients, each weight is moved where its gradient has just been computed, in one pass
    over memory; torch's optimizer takes its pass over all of them afterwards. Moments and counts of steps are
    the tensors of the optimizer's state, so that both may take turns, and a checkpoint is the same.

    Args:
        optimizer: with one group of parameters.
        parameters: those to move; state that the optimizer has not made yet is made, as it would.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        self.group = optimizer.param_groups[0]
        self.decay: float = self.group["weight_decay"] if isinstance(optimizer, torch.optim.AdamW) else 0.0
        self.slots: list[Slot] = []
        self.steps: list[Tensor] = []
        for parameter in parameters:
            state = optimizer.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter, requires_grad=False)
                state["exp_avg_sq"] = torch.zeros_like(parameter, requires_grad=False)
            self.slots.append((state["exp_avg"], state["exp_avg_sq"]))
            self.steps.append(state["step"])
        self.lr = torch.zeros_like(self.steps[0], dtype=torch.float64)
        self.rates = torch.zeros(3, dtype=parameters[0].dtype, device=parameters[0].device)
        """Of the next step: ``lr / (1 - b1^t)``, ``1 / sqrt(1 - b2^t)`` and ``1 - lr decay``."""
        self.refresh()

    def refresh(self) -> None:
        """Take in what others have changed: the learning rate, and steps of the optimizer's own."""
        lr = self.group["lr"]
        self.lr.copy_(lr) if isinstance(lr, Tensor) else self.lr.fill_(lr)
        self.prepare(self.steps[0], self.lr, self.rates)

    def prepare(self, steps: Tensor, lr: Tensor, rates: Tensor) -> None:
        """The rates of the next step, in place, after ``steps`` steps. Nothing is read back from the device."""
        b1, b2 = self.group["betas"]
        t = steps.double() + 1
        rates.copy_(torch.stack([lr / (1 - b1**t), (1 - b2**t).rsqrt(), 1 - lr * self.decay]))

    def remember(self, gradient: Tensor, slot: Slot) -> None:
        """Take a gradient into the moments, in place."""
        b1, b2 = self.group["betas"]
        slot[0].lerp_(gradient, 1 - b1)
        slot[1].mul_(b2).addcmul_(gradient, gradient, value=1 - b2)

    def move(self, parameter: Tensor, slot: Slot, rates: Tensor) -> None:
        """Move a parameter by its moments, in place."""
        size, scale, kept = rates.unbind()
        if self.decay:
            parameter.mul_(kept)
        parameter.sub_(size * slot[0] / (slot[1].sqrt() * scale + self.group["eps"]))
