"""The training step as one compiled graph: traced by running it once, compiled by TorchInductor, checked."""

import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import compress
from typing import Any, cast

import torch
from torch import Tensor
from torch.func import functional_call

from jensen.data.download import cache_dir
from jensen.training.agreement import agrees, expected
from jensen.training.optimizer import Optimizer
from jensen.training.rule import remember
from jensen.training.step import Slope, trial
from jensen.training.tracing import (
    BY_ITS_NUMBERS,
    CompilationError,
    Draw,
    lift_constants,
    lift_draws,
    trace_step,
)

Backend = Callable[[torch.fx.GraphModule, Sequence[Tensor]], Callable[..., Any]]
"""``(graph, example inputs) -> function``."""

OPTIONS = {
    "fallback_random": True,  # the draws of torch's generators, so that compiled and eager steps draw alike
    "size_asserts": False,  # shapes cannot change
    "alignment_asserts": False,
}

TOGETHER = {"combo_kernels": True, "combo_kernels_pointwise_only": True}
"""Elementwise work that does not depend on each other is done by one kernel: on a GPU a small step's time is
its number of kernels. (Sums are left out: those of different sizes are slow together.)"""
IN_ORDER = {"loop_ordering_after_fusion": False}
"""Without it torch 2.11 cannot compile the update of many a network (pytorch issue 176591)."""
ATTEMPTS: dict[str, Sequence[dict[str, bool]]] = {
    "cuda": (TOGETHER, TOGETHER | IN_ORDER, IN_ORDER),
    "cpu": ({"cpp_wrapper": True}, {}),  # called from C++, which is faster, where all operations can be
}
"""Further options, the best first: those that TorchInductor fails with are passed over."""
KEEPS_ORDER = torch.__version__ >= "2.13"
"""On a processor, TorchInductor takes draws in their order (before: pytorch issue 181136)."""
COMPILERS = ("g++", "clang++", "c++", "cl")
"""C++ compilers, by their usual names."""


def inductor(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Machine code by TorchInductor, kept in the user's cache (unless torch was told of another folder)."""
    device = "cuda" if any(tensor.is_cuda for tensor in inputs) else "cpu"
    if device == "cpu" and "CXX" not in os.environ and not any(map(shutil.which, COMPILERS)):
        raise CompilationError(f"no C++ compiler was found (such as {COMPILERS[0]})")  # at once
    *others, last = ATTEMPTS[device]
    for more in others:
        with suppress(Exception):
            return _machine_code(graph, inputs, **more)
    return _machine_code(graph, inputs, **last)


def _machine_code(graph: torch.fx.GraphModule, inputs: Sequence[Tensor], **more: bool) -> Callable[..., Any]:
    """What TorchInductor makes of the graph, without the layers that torch wraps around it.

    The layers restore what functions of autograd and Dynamo may need. A step whose changes are part of the
    machine code needs none of it, and the layers take up to a tenth of a small step's time.
    """
    from torch import _inductor
    from torch._functorch import config
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner

    known = _inductor.list_options()
    options = {name: value for name, value in (OPTIONS | more).items() if name in known}
    bare: list[Callable[[list[Tensor]], None]] = []

    def compile_bare(inner: torch.fx.GraphModule, examples: Sequence[Tensor], **rest: Any) -> Any:
        made = compile_fx_inner(inner, examples, **rest)
        (output,) = inner.graph.find_nodes(op="output")
        # Else, the outermost layer copies what comes out into what was to change, or adds inputs of its own.
        if not any(output.args) and len(examples) == len(inputs):
            bare.append(getattr(made, "current_callable", None) or made)
        return made

    # The outer of torch's two caches would bring the layers back; the inner one holds the machine code.
    with config.patch(enable_autograd_cache=False):
        whole: Any = compile_fx(graph, list(inputs), inner_compile=compile_bare, config_patches=options)
    if len(bare) != 1:
        return cast(Callable[..., Any], whole)

    def direct(*tensors: Tensor) -> None:
        bare[0](list(tensors))

    return direct


class Compiled:
    """`Slope` and the optimizer's update as one compiled function of batches of one shape.

    Tracing runs the step's Python once, on tensors that have shapes and no numbers, forward and backward,
    and records each operation on them: so whatever a model, a bound or an estimator is made of, the record
    is one graph without breaks, and running it checks nothing and calls no Python of ours. The price is
    that a step must not decide anything by the numbers in its tensors.

    Args:
        slope: what to compile.
        optimizer: whose update to take; its state is read and changed.
        stored: rows of the shape that it is compiled for, ``[B, *event]``.
        weight: as `Slope` takes it.
        backend: makes a function of the graph.
    """

    def __init__(
        self,
        slope: Slope,
        optimizer: Optimizer,
        stored: Tensor,
        weight: Tensor,
        backend: Backend = inductor,
    ) -> None:
        self.slope, self.optimizer = slope, optimizer
        parameters, buffers = dict(slope.named_parameters()), dict(slope.named_buffers())
        names = [*parameters, *buffers]
        found = iter(expected(slope, stored, weight)[1])
        there = [next(found) is not None if p.requires_grad else False for p in optimizer.parameters]
        self.moved = list(compress(optimizer.parameters, there))
        """The parameters that the bound depends on."""
        self.slots = list(compress(optimizer.slots, there))
        self.rules = list(compress(optimizer.rules, there))
        # All tensors that a step reads and changes in place.
        held = [*(p.detach() for p in parameters.values()), *buffers.values()]
        moments = [moment for slot in self.slots for moment in slot]
        self.state = [*held, *moments, optimizer.count, optimizer.lr, optimizer.rates]

        def flat(*tensors: Tensor) -> list[Tensor]:
            rest = iter(tensors)
            values = {name: next(rest) for name in names}
            slots = [tuple(next(rest) for _ in slot) for slot in self.slots]
            count, lr, rates, stored, weight, total = rest
            leaves = {n: values[n].detach().requires_grad_(p.requires_grad) for n, p in parameters.items()}
            value, gradients = functional_call(slope, values | leaves, (stored, weight))
            learned = [values[n] for n, p in parameters.items() if p.requires_grad]
            moved = [p for p, g in zip(learned, gradients, strict=True) if g is not None]
            found = [g for g in gradients if g is not None]
            with torch.no_grad():
                remember(found, slots, self.rules)
                optimizer.move(moved, found, slots, self.rules, rates)
                count.add_(1)
                optimizer.prepare(count, lr, rates)
                total.add_(value)
            return []

        inputs = [*self.state, stored, weight, torch.zeros_like(optimizer.lr)]
        self.graph = trace_step(flat, inputs)
        self.constants = lift_constants(self.graph)
        """Tensors that a step reads and that none of the above holds, such as the scales of the data."""
        self.draws: list[Draw] = lift_draws(self.graph) if stored.is_cuda or not KEEPS_ORDER else []
        """Draws made before the machine code runs, where the code would not keep their order."""
        with torch.no_grad():
            self.run = backend(self.graph, [*self._drawn(), *self.constants, *inputs])

    def _drawn(self) -> list[Tensor]:
        return [draw() for draw in self.draws]

    def __call__(self, stored: Tensor, weight: Tensor, total: Tensor) -> None:
        """Take a step, and add the sum of the bound over the rows to ``total``, ``[]``, float64."""
        with torch.no_grad():
            self.optimizer.refresh()
            self.run(*self._drawn(), *self.constants, *self.state, stored, weight, total)


def compile_step(
    slope: Slope,
    optimizer: Optimizer,
    stored: Tensor,
    weight: Tensor,
    backend: Backend = inductor,
) -> Compiled:
    """A compiled step, after a check that it does on a batch what the eager one does.

    Raises:
        CompilationError: it cannot be compiled, because there is no compiler or for another reason, or
            it computes something else.
    """
    # Before the step is traced, since torch then sets a folder of its own.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir() / "compiled"))
    try:
        with trial(slope), _quiet(), _every_core():
            compiled = Compiled(slope, optimizer, stored, weight, backend)
        agree = agrees(compiled, stored, weight)
    except CompilationError:
        raise
    except Exception as error:  # the compiler is a large program of others: any error of it is survivable
        raise CompilationError(_reason(error)) from error
    if not agree:
        raise CompilationError("the compiled code takes another step than the eager code")
    return compiled


@contextmanager
def _every_core() -> Iterator[None]:
    """Inside, what this thread starts may run on every core, also where the thread itself is bound to one.

    Otherwise the compiler's processes (many, for a GPU's code) would share that one core.
    """
    bound = set[int]()
    if os.environ.get("OMP_PROC_BIND", "").lower() == "true" and hasattr(os, "sched_setaffinity"):
        bound = os.sched_getaffinity(0)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        if bound:
            os.sched_setaffinity(0, bound)


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, torch logs and warns nothing: its messages are about its own code, which no user can mend."""
    log = logging.getLogger("torch._inductor")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _reason(error: Exception) -> str:
    """Why compiling failed, in a few words that fit into a line."""
    if "DataDependent" in type(error).__name__:
        return BY_ITS_NUMBERS
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:200]
