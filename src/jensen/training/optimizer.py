"""An optimizer: the parameters, what is remembered of their gradients, and the rule that each moves by."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from jensen.training.adam import ADAM, B1, B2, adam_at_once
from jensen.training.muon import MUON, matrices
from jensen.training.plan import Plan
from jensen.training.rule import Rule, Slot, Tensors, by_rule, remember


class Optimizer:
    """Adam (`ADAM`), with Muon for some matrices (`MUON`); decoupled weight decay and an average for all.

    The average of the weights w_t is ``a = d a + (1 - d) w_t``, d = min(``average``, (1 + t) / (10 + t)), so
    that the first steps are soon forgotten (Polyak & Juditsky 1992, with a memory that fades). Decay is that
    of Loshchilov & Hutter 2019, algorithm 2: ``w = (1 - lr decay) w`` before each move.

    Numbers and checkpoints are those of `torch.optim.Adam` for parameters that have a gradient at every step
    (all share one count of steps; torch counts for each the steps at which it had one). torch's is not used
    for two reasons: importing what it needs takes two seconds, and it updates after the step, whereas a
    compiled step moves each weight as soon as its gradient is there (on a GPU all of them by one kernel).

    Args:
        parameters: all of a model's; their places in the list are their names in a checkpoint.
        lr: learning rate.
        decay: weight decay.
        matrices: the parameters that `MUON` moves.
        average: the share of the average that a step keeps, such as 0.999; 0: there is none.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        decay: float = 0.0,
        matrices: Collection[Tensor] = (),
        average: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.decay, self.average = decay, average
        chosen = set(map(id, matrices))
        self.rules = [MUON if id(p) in chosen else ADAM for p in self.parameters]
        self.slots: list[Slot] = [
            tuple(torch.zeros_like(p, requires_grad=False) for _ in rule.names) + self._copied(p)
            for p, rule in zip(self.parameters, self.rules, strict=True)
        ]
        device = self.parameters[0].device
        self.count = torch.zeros((), device=device)
        """Steps taken, t."""
        self.lr = torch.full((), lr, dtype=torch.float64, device=device)
        self.rates = torch.zeros(5, dtype=self.parameters[0].dtype, device=device)
        """What `move` needs for the next step, see `prepare`. On the device, since a captured step reads no
        number from the host."""
        self.behind = True
        """Whether ``rates`` are not yet those of the next step."""

    def _copied(self, parameter: Tensor) -> Slot:
        return (parameter.detach().clone(),) if self.average else ()

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
        moved = zip(self.parameters, gradients, self.slots, self.rules, strict=True)
        there = [(p, g, slot, rule) for p, g, slot, rule in moved if g is not None]
        at_once = [(p, g, slot) for p, g, slot, rule in there if rule is ADAM]
        if len(at_once) < len(there) or self.average:
            self.refresh()
        if others := [it for it in there if it[3] is not ADAM]:
            parameters, found, slots, rules = zip(*others, strict=True)
            remember(found, slots, rules)
            self.move(parameters, found, slots, rules, self.rates)
        self.count.add_(1)
        if at_once:
            adam_at_once(at_once, self.count, self.lr, self.decay)
            self._follow([p for p, _, _ in at_once], [slot for _, _, slot in at_once], self.rates)
        self.behind = True

    def refresh(self) -> None:
        """Bring ``rates`` up to date, unless a graph has already prepared them."""
        if self.behind:
            self.prepare(self.count, self.lr, self.rates)
            self.behind = False

    def prepare(self, count: Tensor, lr: Tensor, rates: Tensor) -> None:
        """The next step's, in place: ``lr, lr / (1 - b1^t), 1 / sqrt(1 - b2^t), 1 - lr decay, 1 - d``."""
        t = count.double() + 1
        kept = ((1 + t) / (10 + t)).clamp(max=self.average)
        rates.copy_(torch.stack([lr, lr / (1 - B1**t), (1 - B2**t).rsqrt(), 1 - lr * self.decay, 1 - kept]))

    def move(
        self,
        parameters: Tensors,
        gradients: Tensors,
        slots: Sequence[Slot],
        rules: Sequence[Rule],
        rates: Tensor,
    ) -> None:
        """Move parameters, once their rules remember the gradients (`remember`); in place."""
        if self.decay:
            torch._foreach_mul_(parameters, rates[3])
        for rule, *own in by_rule(rules, parameters, gradients, slots):
            rule.move(*own, rates)
        self._follow(parameters, slots, rates)

    def _follow(self, parameters: Tensors, slots: Sequence[Slot], rates: Tensor) -> None:
        """Update the parameters' averages after a move."""
        if self.average:
            averages = [slot[-1] for slot in slots]
            apart = torch._foreach_sub(parameters, averages)
            torch._foreach_add_(averages, torch._foreach_mul(apart, rates[4]))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are their averages, where there are any."""
        if not self.average:
            yield
            return
        own = [p.detach().clone() for p in self.parameters]
        try:
            self._set(slot[-1] for slot in self.slots)
            yield
        finally:
            self._set(own)

    def _set(self, values: Iterable[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.data.copy_(value)

    def _names(self, rule: Rule) -> tuple[str, ...]:
        return (*rule.names, "average") if self.average else rule.names

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint; that of a parameter lies under its number."""
        found: dict[str, Tensor] = {}
        for i, (slot, rule) in enumerate(zip(self.slots, self.rules, strict=True)):
            found[f"{i}/step"] = self.count
            found |= {f"{i}/{name}": tensor for name, tensor in zip(self._names(rule), slot, strict=True)}
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Load the state of a checkpoint; a parameter that has none there has never been moved."""
        for i, (slot, rule) in enumerate(zip(self.slots, self.rules, strict=True)):
            if f"{i}/step" in tensors:
                self.count.copy_(tensors[f"{i}/step"])
                for name, tensor in zip(self._names(rule), slot, strict=True):
                    tensor.copy_(tensors[f"{i}/{name}"])
        self.behind = True


def build_optimizer(model: nn.Module, plan: Plan) -> Optimizer:
    """The plan's: Adam, AdamW, or Muon for the matrices of layers and AdamW for all else."""
    moved = matrices(model) if plan.optimizer == "muon" else ()
    return Optimizer(model.parameters(), plan.lr, plan.weight_decay, moved, plan.average)
