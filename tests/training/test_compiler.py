"""The compiled step computes what the eager step does, from the same draws."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from jensen.training import compiler
from jensen.training.agreement import _close, _each_close
from jensen.training.compiler import Backend, Compiled, _every_core, compile_step, inductor
from jensen.training.optimizer import build_optimizer
from jensen.training.step import Step, trial
from jensen.training.tracing import CompilationError, lift_draws, trace_step
from tests.training.cases import CASES, Problem, problem

SPARSE = ("poisson", "negative-binomial", "zero-inflated-negative-binomial")
"""Likelihoods computed where counts are not zero; how many those are differs from batch to batch."""
WHOLE = [name for name in CASES if name.removeprefix("likelihood ") not in SPARSE]


def as_traced(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """The graph as it was traced: what a compiler is given, without the minutes that compiling takes."""
    return graph


def before_weights(graph: torch.fx.GraphModule) -> int:
    """How many inputs are before the weights: draws and constants."""
    inputs = graph.graph.find_nodes(op="placeholder")
    return sum(str(node.target).startswith(("draw", "constant")) for node in inputs)


def compiled(it: Problem, backend: Backend = as_traced) -> Compiled:
    return Compiled(it.slope, it.state.optimizer, it.rows[:16], it.weight, backend)


def compiled_and_checked(it: Problem, backend: Backend = as_traced) -> Compiled:
    return compile_step(it.slope, it.state.optimizer, it.rows[:16], it.weight, backend)


def steps(it: Problem, stand_in: Compiled | None = None) -> list[Tensor]:
    """Where three batches lead, so that what one changes (weights, buffers, baselines) shows in the next."""
    step = Step(it.slope, it.state.optimizer)
    step.compiled, step.compiled_size = stand_in, 16
    torch.manual_seed(1)
    for start in (0, 16, 32):
        step(it.rows[start : start + 16])
    return [step.total, *it.state.optimizer.tensors().values(), *it.slope.buffers(), *it.slope.parameters()]


def assert_alike(one: Any, other: Any, rtol: float = 1e-4) -> None:
    torch.testing.assert_close(one, other, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("name", WHOLE)
def test_one_graph_takes_the_steps_that_eager_ones_take(name: str) -> None:
    eager, traced = problem(name), problem(name)
    assert_alike(steps(eager), steps(traced, compiled(traced)))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"posterior": "flow"}, {"prior": "flow"}], ids=str)
def test_flows_are_one_graph_too(changes: dict[str, Any]) -> None:
    eager, traced = problem("", **changes), problem("", **changes)
    assert_alike(steps(eager), steps(traced, compiled(traced)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dynamic binarization", "dequantized"])  # without and with scales of data
def test_machine_code_computes_what_the_eager_step_does_and_is_found_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    eager, fast = problem(name), problem(name)
    compiled = compiled_and_checked(fast, inductor)
    assert compiled.run.__name__ == "direct", "the machine code is called without the layers around it"
    assert_alike(steps(eager), steps(fast, compiled), rtol=1e-3)
    hits = counters["inductor"]["fxgraph_cache_hit"]
    compiled_and_checked(problem(name), inductor)
    assert counters["inductor"]["fxgraph_cache_hit"] == hits + 1


def test_compiling_leaves_no_mark() -> None:
    it, untouched = problem("score function, running mean"), problem("score function, running mean")
    before = torch.get_rng_state()
    compiled_and_checked(it)
    assert torch.equal(torch.get_rng_state(), before)
    assert_alike(list(it.slope.state_dict().values()), list(untouched.slope.state_dict().values()))
    assert not any(p.grad is not None for p in it.slope.parameters())


class Averaged(nn.Module):
    """Takes a running mean of what it is given from it; the mean is a new tensor at each call."""

    def __init__(self, kept: float = 0.9) -> None:
        super().__init__()
        self.kept = kept
        self.register_buffer("older", torch.zeros(6))
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        out = x - self.mean - 0.1 * self.older
        self.older = self.mean
        self.mean = self.kept * self.mean + (1 - self.kept) * x.mean(0)
        return out


def averaging(**more: Any) -> Problem:
    """A problem with a buffer that its model replaces."""
    it = problem("likelihood normal", **more)
    it.slope.model.encoder.network = nn.Sequential(Averaged(), it.slope.model.encoder.network)
    return it


def test_a_buffer_that_is_replaced_moves_in_a_compiled_step_as_in_an_eager_one() -> None:
    eager, traced = averaging(), averaging()
    assert_alike(steps(eager), steps(traced, compiled_and_checked(traced)))
    mean = traced.slope.model.encoder.network[0].mean
    assert mean.norm() > 0
    steps(traced)
    assert traced.slope.model.encoder.network[0].mean is mean


@pytest.mark.parametrize("factor", [0.0, 1.1])  # it does not move, or too far
def test_machine_code_that_moves_a_buffer_otherwise_is_not_used(factor: float) -> None:
    it = averaging()
    it.slope.model.encoder.network[0].mean.fill_(1e3)  # of which a step's change is a small share
    place = len([*it.slope.parameters()]) + [name for name, _ in it.slope.named_buffers()].index(
        "model.encoder.network.0.mean"
    )

    def wrong(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        def run(*tensors: Tensor) -> Any:
            buffer = tensors[before_weights(graph) + place]
            before = buffer.clone()
            values = graph(*tensors)
            buffer.copy_(before + factor * (buffer - before))
            return values

        return run

    with pytest.raises(CompilationError, match="takes another step"):
        compiled_and_checked(it, wrong)


def test_a_trial_leaves_the_very_buffers_that_were_there() -> None:
    it = averaging()
    module = it.slope.model.encoder.network[0]
    before = module.mean
    with trial(it.slope):
        module.mean = before + 1
        module.register_buffer("more", torch.ones(1))
    assert module.mean is before
    assert "more" not in module._buffers


def test_a_step_that_decides_by_its_numbers_is_not_compiled() -> None:
    it = problem("", inference="two-tier", inner_steps=2)
    with pytest.raises(CompilationError, match="depends on the numbers"):
        compiled_and_checked(it)


@pytest.mark.parametrize("likelihood", SPARSE)
def test_a_step_of_counts_computes_where_they_are_not_zero_and_is_not_compiled(likelihood: str) -> None:
    with pytest.raises(CompilationError, match="depends on the numbers"):
        compiled_and_checked(problem("", likelihood=likelihood))


@pytest.mark.parametrize("error", [0.5, math.nan])
@pytest.mark.parametrize("what", ["weight", "first moment", "second moment", "average", "bound"])
def test_wrong_machine_code_is_not_used(what: str, error: float) -> None:
    it = problem("averaged")
    held = len([*it.slope.parameters(), *it.slope.buffers()])
    places = {"weight": 0, "first moment": held, "second moment": held + 1, "average": held + 2}

    def wrong(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        place = before_weights(graph) + places[what] if what in places else -1

        def run(*tensors: Tensor) -> Any:
            before = tensors[place].clone()
            values = graph(*tensors)
            tensors[place].add_(tensors[place] - before, alpha=error)
            return values

        return run

    with pytest.raises(CompilationError, match="takes another step"):
        compiled_and_checked(it, wrong)


def test_any_fault_of_the_compiler_is_one_line() -> None:
    def broken(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        raise RuntimeError("collect2: ld returned 1\nand pages more")

    it = problem("likelihood normal")
    with pytest.raises(CompilationError, match=r"^RuntimeError: collect2: ld returned 1$"):
        compiled_and_checked(it, broken)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_the_compiler_fails_with_is_passed_over(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    tried: list[dict[str, bool]] = []

    def machine_code(graph: object, inputs: object, **more: bool) -> str:
        tried.append(more)
        if len(tried) < len(compiler.ATTEMPTS[device]):
            raise AssertionError
        return "machine code"

    monkeypatch.setattr(compiler, "_machine_code", machine_code)
    where = SimpleNamespace(is_cuda=device == "cuda")
    assert inductor(None, [where]) == "machine code"  # type: ignore[arg-type, list-item, comparison-overlap]
    assert tried == list(compiler.ATTEMPTS[device])


def test_without_a_compiler_that_is_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    it = problem("likelihood normal")
    with pytest.raises(CompilationError, match=r"no C\+\+ compiler was found"):
        compiled_and_checked(it, inductor)


def test_a_parameter_without_influence_stays_where_it_is() -> None:
    it = problem("adamw")
    it.slope.model.register_parameter("idle", torch.nn.Parameter(torch.ones(2)))
    it.state.optimizer = build_optimizer(it.slope.model, it.settings)
    stand_in = compiled(it)
    assert len(stand_in.moved) == len(it.slope.learned) - 1
    for step in (None, stand_in):
        steps(it, step)
        assert it.slope.model.idle.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["dynamic binarization", "dequantized", "likelihood normal", "bound iwae"])
def test_draws_can_be_taken_out_of_a_graph(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As on a GPU, and before torch 2.13: the same steps from the same draws."""
    monkeypatch.setattr(compiler, "KEEPS_ORDER", False)
    eager, traced = problem(name), problem(name)
    stand_in = compiled(traced)
    assert len(stand_in.draws) == (2 if name in ("dynamic binarization", "dequantized") else 1)
    assert_alike(steps(eager), steps(traced, stand_in))


def test_draws_after_one_that_depends_on_something_stay() -> None:
    def step(p: Tensor) -> list[Tensor]:
        return [torch.rand(3) + torch.bernoulli(p) + torch.rand(3)]

    graph = trace_step(step, [torch.full((3,), 0.5)])
    torch.manual_seed(0)
    before = graph(torch.full((3,), 0.5))
    draws = lift_draws(graph)
    assert len(draws) == 1
    torch.manual_seed(0)
    assert torch.equal(graph(draws[0](), torch.full((3,), 0.5))[0], before[0])


def test_one_wrong_gradient_among_larger_ones_is_found() -> None:
    """As would be that of a layer whose gradient is a hundredth of all."""
    large, small = torch.full((100,), 10.0), torch.full((10,), 0.3)
    right = [(large,), (small,)]
    off = [(large,), (-small,)]
    assert _each_close(right, right, 1e-2)
    assert not _each_close(off, right, 1e-2)
    assert _close(torch.cat([large, -small]), torch.cat([large, small]), 2e-2), "as one vector it is lost"


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or os.cpu_count() == 1, reason="threads are not bound"
)
def test_the_compiler_may_use_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where OpenMP has bound this thread to one, whose children would inherit it."""
    before = os.sched_getaffinity(0)
    one = {min(before)}
    os.sched_setaffinity(0, one)
    try:
        with _every_core():
            assert os.sched_getaffinity(0) == one, "nobody has bound it for speed: it is the user's choice"
        monkeypatch.setenv("OMP_PROC_BIND", "true")
        with _every_core():
            assert os.sched_getaffinity(0) >= before
        assert os.sched_getaffinity(0) == one
    finally:
        os.sched_setaffinity(0, before)
