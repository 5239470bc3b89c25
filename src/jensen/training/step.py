"""One gradient step, and all that it reads and changes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jensen.errors import UserError
from jensen.mode import unvalidated
from jensen.objectives import Bound, elbo, elbo_monte_carlo
from jensen.objectives.passes import check_bound, check_estimator
from jensen.training.clip import Clip, Gradients
from jensen.training.optimizer import Optimizer
from jensen.training.plan import Plan
from jensen.training.precision import products
from jensen.training.schedules import warmed_up

Estimator = Callable[[Bound, Any, Tensor, int], Tensor]
"""``(bound, model, x, K) -> [B]``, see `jensen.objectives.estimators`."""

Prepare = Callable[[Tensor, torch.Generator | None], Tensor]
"""Stored rows -> model inputs ``[B, *event]``. Draws (binarization) come from the generator, or, where there
is none, from torch's own, as all draws of a step do."""

WholeStep = Callable[[Tensor, Tensor, Tensor], None]
"""``(stored, weight, total)``: takes a step on rows ``[B, *event]``, update and all, and adds the sum of the
bound over them to ``total``, ``[]``; see `jensen.training.compiler`."""


class Slope(nn.Module):
    """``stored rows -> sum_b bound_b, d/dw mean_b -bound_b``: a step up to the optimizer's update.

    A module, since it holds what a step reads and changes: weights, buffers, the estimator's memory, and the
    running norm of `Clip`. It draws from torch's default generator alone, and changes nothing but buffers, in
    place (see `in_place`). So it can be traced by running it once (`jensen.training.compiler`).
    """

    def __init__(
        self,
        model: nn.Module,
        memory: nn.Module,
        prepare: Prepare,
        bound: Bound,
        estimator: Estimator,
        plan: Plan,
        clip: Clip | None = None,
    ) -> None:
        super().__init__()
        check_bound(bound)
        check_estimator(estimator)
        if bound.upper:
            raise ValueError(
                f"{bound.name} is an upper bound on log p(x), which a step would push away from it; train by "
                "elbo, iwae or renyi(0.5)"
            )
        if plan.kl_warmup and bound not in (elbo, elbo_monte_carlo):
            raise ValueError(
                f"kl_warmup is {plan.kl_warmup}: it weighs the KL of an ELBO, and the bound is {bound.name}; "
                "use elbo or elbo_monte_carlo, or kl_warmup=0"
            )
        self.model, self.memory, self.clip = model, memory, clip or Clip(plan)
        self.prepare, self.bound, self.estimator, self.plan = prepare, bound, estimator, plan

    @property
    def learned(self) -> list[Tensor]:
        """The parameters that training moves."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def forward(self, stored: Tensor, weight: Tensor) -> tuple[Tensor, Gradients]:
        """The sum of the bound over the rows, ``[]``, and the gradients, clipped.

        Args:
            stored: rows as stored, ``[B, *event]``.
            weight: of the KL, during its warm-up, ``[]``.
        """
        bound = warmed_up(self.bound, weight) if self.plan.kl_warmup else self.bound
        learned = self.learned
        precision = products(self.plan.precision, weight.device)
        with in_place(self), precision, _lone_rows_named(self.plan.batch_size):
            x = self.prepare(stored, None)
            values = self.estimator(bound, self.model, x, self.plan.num_samples)
            _check_shape(values, stored)
            found = torch.autograd.grad(-values.mean(), learned, allow_unused=True)
        return values.detach().sum(), self.clip(tuple(map(_dense, found)))


def _check_shape(values: Tensor, stored: Tensor) -> None:
    """Refuse what is not one number for each row: sums over rows would be wrong by the size of the batch.

    Raises:
        ValueError: the shape that was given, and that which is needed.
    """
    if values.shape != stored.shape[:1]:
        raise ValueError(
            f"the estimator gave a tensor of shape {tuple(values.shape)} for {len(stored)} rows; it must be "
            f"({len(stored)},), the bound of each row, so leave out .mean() or .sum() over rows"
        )


@contextmanager
def _lone_rows_named(batch_size: int) -> Iterator[None]:
    """Where batch normalization meets a batch of one row, an error that says what to do.

    Raises:
        UserError: it did: one row has no variance.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "batch normalization cannot train on a batch of one row, such as the last of an epoch; give a "
            f"batch_size that leaves no single row over (now {batch_size}), or use nn.LayerNorm, which takes "
            "each row by itself"
        ) from error


@contextmanager
def in_place(module: nn.Module) -> Iterator[None]:
    """Buffers that are replaced inside, as by ``self.mean = 0.9 * self.mean + 0.1 * x``, are changed instead.

    A compiled or captured step reads and changes the tensors that it was made with, and would never see new
    ones. A buffer that changes its shape or type stays replaced.
    """
    held = [(m._buffers, name, buffer) for m in module.modules() for name, buffer in m._buffers.items()]
    yield
    replaced = []
    for here, name, old in held:
        new = here.get(name)
        if new is None or old is None or new is old:
            continue
        if (new.shape, new.dtype) == (old.shape, old.dtype):
            replaced.append((here, name, old, new.detach().clone()))  # it may be what another buffer was
    for here, name, old, value in replaced:
        here[name] = old.copy_(value)


def _dense(gradient: Tensor | None) -> Tensor | None:
    """The gradient as a dense tensor: `torch.nn.Embedding` with ``sparse=True`` gives another."""
    return gradient.to_dense() if gradient is not None and gradient.is_sparse else gradient


def _laid_out(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    """The gradient in its parameter's own layout, which the fused update needs."""
    if gradient is None or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter, requires_grad=False).copy_(gradient)


class Step:
    """Takes one step for each batch of stored rows, by `Slope` and `Optimizer` or by what replaces both."""

    def __init__(self, slope: Slope, optimizer: Optimizer) -> None:
        self.slope = slope
        self.optimizer = optimizer
        self.learned = slope.learned
        if not self.learned:
            raise ValueError(
                "no parameter of the model can be learned: requires_grad is False for all of them; set it to "
                "True for those to train"
            )
        self.device = self.learned[0].device
        self.weight = torch.ones((), dtype=self.learned[0].dtype, device=self.device)
        """Of the KL."""
        self.total = torch.zeros((), dtype=torch.float64, device=self.device)
        """The sum of the bound over the rows since `reset`."""
        self.compiled: WholeStep | None = None
        """Takes the whole step, update and all, on batches of ``compiled_size`` rows."""
        self.compiled_size = 0
        self.taken = 0
        """Steps since the session began."""

    def reset(self, weight: float) -> None:
        """Begin an epoch, with this weight of the KL."""
        self.weight.fill_(weight)
        self.total.zero_()

    def __call__(self, stored: Tensor) -> None:
        """A step on rows ``[B, *event]``; nothing is read back from the device."""
        if self.compiled is not None and stored.shape[0] == self.compiled_size:
            self.compiled(stored, self.weight, self.total)
        elif self.taken:
            with unvalidated():
                self._eager(stored)
        else:  # in the first, distributions check their arguments, such as those of a user's model
            self._eager(stored)
        self.taken += 1

    def _eager(self, stored: Tensor) -> None:
        value, gradients = self.slope(stored, self.weight)
        found = iter(gradients)
        self.optimizer.step(
            [_laid_out(next(found), p) if p.requires_grad else None for p in self.optimizer.parameters]
        )
        self.total.add_(value)


@contextmanager
def trial(slope: Slope, others: Iterable[Tensor] = ()) -> Iterator[None]:
    """What runs inside leaves no mark: afterwards generators, buffers and ``others`` are as they were before.

    Of buffers this is true in both senses: the modules hold the same tensors, and these the same numbers.
    """
    kept = [(tensor, tensor.clone()) for tensor in (*slope.buffers(), *others)]
    held = [(module, dict(module._buffers)) for module in slope.modules()]
    devices = {p.device for p in slope.parameters() if p.is_cuda}
    with torch.random.fork_rng(devices=list(devices)):
        try:
            yield
        finally:
            for module, buffers in held:
                module._buffers.clear()
                module._buffers.update(buffers)
            for tensor, before in kept:
                tensor.copy_(before)
