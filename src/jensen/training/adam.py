"""Adam and AdamW, eagerly in one pass over all weights, and as tensor operations that a graph can hold."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

Slot = tuple[Tensor, Tensor]
"""The first and the second moment of a parameter's gradient, each of its shape."""
B1, B2, EPS = 0.9, 0.999, 1e-8
"""The constants of Kingma & Ba (2015), section 2."""


class Adam:
    """Kingma & Ba 2015, algorithm 1; with decay, AdamW (Loshchilov & Hutter 2019, algorithm 2).

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        w = (1 - lr decay) w - lr / (1 - b1^t)  m / (sqrt(v / (1 - b2^t)) + eps)

    Numbers and checkpoints are those of `torch.optim.Adam`, which is not used for two reasons. To import what
    it needs takes two seconds; and its update follows the step, where a compiled step moves each weight as
    soon as its gradient is there.

    Args:
        parameters: all of a model's; their places in the list are their names in a checkpoint.
        lr: learning rate.
        decay: decoupled weight decay.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        device = self.parameters[0].device
        self.slots: list[Slot] = [
            (torch.zeros_like(p, requires_grad=False), torch.zeros_like(p, requires_grad=False))
            for p in self.parameters
        ]
        self.count = torch.zeros((), device=device)
        """Steps taken, t."""
        self.lr = torch.full((), lr, dtype=torch.float64, device=device)
        self.rates = torch.zeros(3, dtype=self.parameters[0].dtype, device=device)
        """What changes from step to step, for `move`: of the next one, see `prepare`. On the device, since a
        captured step reads no number from the host."""
        self.behind = True
        """Whether ``rates`` are not those of the next step."""

    def set_rate(self, lr: float) -> None:
        """The learning rate from here on."""
        self.lr.fill_(lr)
        self.behind = True

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Move the parameters, in place; those without a gradient stay.

        Args:
            gradients: one for each parameter, of its shape and layout.
        """
        moved = zip(self.parameters, gradients, self.slots, strict=True)
        there = [(p, g, *slot) for p, g, slot in moved if g is not None]
        parameters, gradients, firsts, seconds = map(list, zip(*there, strict=True))
        update: Callable[..., None] = torch._fused_adamw_ if self.decay else torch._fused_adam_
        self.count.add_(1)
        update(
            parameters,
            gradients,
            firsts,
            seconds,
            [],
            [self.count] * len(there),
            lr=self.lr.float() if self.lr.is_cuda else self.lr.item(),
            beta1=B1,
            beta2=B2,
            weight_decay=self.decay,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )
        self.behind = True

    def refresh(self) -> None:
        """Bring ``rates`` up to date, where a graph did not itself prepare them."""
        if self.behind:
            self.prepare(self.count, self.lr, self.rates)
            self.behind = False

    def prepare(self, count: Tensor, lr: Tensor, rates: Tensor) -> None:
        """The next step's rates, in place: ``lr / (1 - b1^t)``, ``1 / sqrt(1 - b2^t)``, ``1 - lr decay``."""
        t = count.double() + 1
        rates.copy_(torch.stack([lr / (1 - B1**t), (1 - B2**t).rsqrt(), 1 - lr * self.decay]))

    def remember(self, gradient: Tensor, slot: Slot) -> None:
        """Take a gradient into its parameter's moments, in place."""
        slot[0].lerp_(gradient, 1 - B1)
        slot[1].mul_(B2).addcmul_(gradient, gradient, value=1 - B2)

    def move(self, parameter: Tensor, slot: Slot, rates: Tensor) -> None:
        """Move a parameter by its moments, in place."""
        size, scale, kept = rates.unbind()
        if self.decay:
            parameter.mul_(kept)
        parameter.sub_(size * slot[0] / (slot[1].sqrt() * scale + EPS))

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint; that of a parameter lies under its number."""
        found: dict[str, Tensor] = {}
        for i, (first, second) in enumerate(self.slots):
            found |= {f"{i}/step": self.count, f"{i}/exp_avg": first, f"{i}/exp_avg_sq": second}
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take in the state of a checkpoint; a parameter that has none there has not been moved."""
        for i, slot in enumerate(self.slots):
            if f"{i}/step" in tensors:
                self.count.copy_(tensors[f"{i}/step"])
                slot[0].copy_(tensors[f"{i}/exp_avg"])
                slot[1].copy_(tensors[f"{i}/exp_avg_sq"])
        self.behind = True
