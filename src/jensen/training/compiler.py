"""The training step as one compiled graph: traced by running it once, compiled by TorchInductor, checked."""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from jensen.data.download import cache_dir
from jensen.training.step import Gradients, Slope, trial

Backend = Callable[[torch.fx.GraphModule, Sequence[Tensor]], Callable[..., Any]]
"""``(graph, example inputs) -> function``."""

OPTIONS = {
    "fallback_random": True,  # the draws of torch's generators, so that compiled and eager steps draw alike
    "size_asserts": False,  # shapes cannot change
    "alignment_asserts": False,
}
TOLERANCE = {"float32": 1e-2, "bf16": 1e-1}
"""Largest distance between the compiled and the eager gradient, in units of its norm: wrong code is off by
more."""


class CompilationError(Exception):
    """The step cannot be compiled here; the message says why, in a few words."""


def inductor(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Machine code by TorchInductor, kept in the user's cache (unless torch was told of another folder)."""
    from torch import _inductor
    from torch._guards import TracingContext, tracing
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir() / "compiled"))
    known = _inductor.list_options()
    options = {name: value for name, value in OPTIONS.items() if name in known}
    # The cache on disk takes only what was compiled in such a context; without it each run compiles anew.
    with tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv()))):
        compiled: Callable[..., Any] = _inductor.compile(graph, list(inputs), options=options)
    return compiled


class Compiled:
    """`Slope` as a compiled function of batches of one shape.

    Tracing runs the step's Python once, on tensors that have shapes and no numbers, forward and backward,
    and records each operation on them: so whatever a model, a bound or an estimator is made of, the record
    is one graph without breaks, and running it checks nothing and calls no Python of ours. The price is
    that a step must not decide anything by the numbers in its tensors.

    Args:
        slope: what to compile.
        stored: rows of the shape that it is compiled for, ``[B, *event]``.
        weight: as `Slope` takes it.
        backend: makes a function of the graph.
    """

    def __init__(self, slope: Slope, stored: Tensor, weight: Tensor, backend: Backend = inductor) -> None:
        parameters, buffers = dict(slope.named_parameters()), dict(slope.named_buffers())
        names = [*parameters, *buffers]
        self.there: list[bool] = []
        """For each parameter, whether it has a gradient."""

        def flat(*tensors: Tensor) -> list[Tensor]:
            values = dict(zip(names, tensors, strict=False))
            for name, parameter in parameters.items():
                values[name] = values[name].detach().requires_grad_(parameter.requires_grad)
            value, gradients = functional_call(slope, values, tensors[len(names) :])
            self.there[:] = [g is not None for g in gradients]
            return [value, *(g for g in gradients if g is not None)]

        # The parameters' storage, where the optimizer changes them in place.
        self.state = [*(p.detach() for p in parameters.values()), *buffers.values()]
        inputs = [*self.state, stored, weight]
        self.graph = _trace(flat, inputs)
        with torch.no_grad():
            self.run = backend(self.graph, inputs)

    def __call__(self, stored: Tensor, weight: Tensor) -> tuple[Tensor, Gradients]:
        """As `Slope`."""
        with torch.no_grad():
            value, *gradients = self.run(*self.state, stored, weight)
        rest = iter(gradients)
        return value, tuple(next(rest) if there else None for there in self.there)


def _trace(function: Callable[..., Any], inputs: list[Tensor]) -> torch.fx.GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx

    graph: torch.fx.GraphModule = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    return graph


def compile_slope(slope: Slope, stored: Tensor, weight: Tensor, backend: Backend = inductor) -> Compiled:
    """A compiled stand-in for ``slope`` that was seen to give the same gradients on a batch.

    Raises:
        CompilationError: it cannot be compiled, for want of a compiler or whatever else went wrong, or it
            computes something else.
    """
    try:
        with trial(slope):
            compiled = Compiled(slope, stored, weight, backend)
            compiled(stored, weight)
    except Exception as error:  # the compiler is a large program of others: any error of it is survivable
        raise CompilationError(_reason(error)) from error
    if not _agree(_gradient(slope, slope, stored, weight), _gradient(slope, compiled, stored, weight), slope):
        raise CompilationError("the compiled step computed other gradients")
    return compiled


def _gradient(
    slope: Slope, function: Callable[[Tensor, Tensor], tuple[Tensor, Gradients]], *inputs: Tensor
) -> Tensor:
    """The gradients, as one vector, at draws from a fixed seed."""
    with trial(slope):
        torch.manual_seed(0)
        gradients = function(*inputs)[1]
        return torch.cat([g.flatten().double() for g in gradients if g is not None])


def _agree(one: Tensor, other: Tensor, slope: Slope) -> bool:
    """Whether two gradients are the same but for rounding. Those that overflow agree: training says so."""
    if len(one) != len(other):
        return False
    most = TOLERANCE["bf16" if slope.plan.precision == "bf16" else "float32"]
    return not bool((one - other).norm() > most * one.norm() + 1e-8)


def _reason(error: Exception) -> str:
    """Why compiling failed, in a few words that fit into a line."""
    if "DataDependent" in type(error).__name__:
        return "it decides by the numbers that it computes, as inner maximisation does"
    if not any(map(shutil.which, ("g++", "clang++", "c++", "cl"))):
        return "no C++ compiler was found (such as g++)"
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:200]
