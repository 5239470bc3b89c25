"""The compiled step computes what the eager step does, from the same draws."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from jensen.training.compiler import CompilationError, Compiled, compile_slope, inductor
from jensen.training.step import Gradients, Slope
from tests.training.cases import CASES, Problem, problem


def as_traced(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """The graph as it was traced: what a compiler is given, without the minutes that compiling takes."""
    return graph


def gradients(function: Callable[..., tuple[Tensor, Gradients]], it: Problem) -> tuple[Tensor, Gradients]:
    """Of three batches, so that what one changes (buffers, baselines) shows in the next: the last one's."""
    torch.manual_seed(1)
    for start in (0, 16, 32):
        value, found = function(it.rows[start : start + 16], it.weight)
    return value, found


def assert_alike(one: Any, other: Any, rtol: float = 1e-4) -> None:
    torch.testing.assert_close(one, other, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_one_graph_computes_what_the_eager_step_does(name: str) -> None:
    eager, traced = problem(name), problem(name)
    compiled = Compiled(traced.slope, traced.rows[:16], traced.weight, as_traced)
    assert_alike(gradients(eager.slope, eager), gradients(compiled, traced))
    assert_alike(list(eager.slope.buffers()), list(traced.slope.buffers()))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"posterior": "flow"}, {"prior": "flow"}], ids=str)
def test_flows_are_one_graph_too(changes: dict[str, Any]) -> None:
    eager, traced = problem("", **changes), problem("", **changes)
    compiled = Compiled(traced.slope, traced.rows[:16], traced.weight, as_traced)
    assert_alike(gradients(eager.slope, eager), gradients(compiled, traced))


@pytest.mark.slow
def test_machine_code_computes_what_the_eager_step_does_and_is_found_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    eager, fast = problem("dynamic binarization"), problem("dynamic binarization")
    compiled = compile_slope(fast.slope, fast.rows[:16], fast.weight, inductor)
    assert_alike(gradients(eager.slope, eager), gradients(compiled, fast), rtol=1e-3)
    again = problem("dynamic binarization")
    hits = counters["inductor"]["fxgraph_cache_hit"]
    compile_slope(again.slope, again.rows[:16], again.weight, inductor)
    assert counters["inductor"]["fxgraph_cache_hit"] == hits + 1


def test_compiling_leaves_no_mark() -> None:
    it, untouched = problem("score function, running mean"), problem("score function, running mean")
    before = torch.get_rng_state()
    compile_slope(it.slope, it.rows[:16], it.weight, as_traced)
    assert torch.equal(torch.get_rng_state(), before)
    assert_alike(list(it.slope.state_dict().values()), list(untouched.slope.state_dict().values()))
    assert not any(p.grad is not None for p in it.slope.parameters())


def test_a_step_that_decides_by_its_numbers_is_not_compiled() -> None:
    it = problem("", inference="two-tier", inner_steps=2)
    with pytest.raises(CompilationError, match="decides by the numbers"):
        compile_slope(it.slope, it.rows[:16], it.weight, as_traced)


def test_wrong_machine_code_is_not_used() -> None:
    def wrong(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        return lambda *tensors: [1.1 * part for part in graph(*tensors)]

    it = problem("likelihood normal")
    with pytest.raises(CompilationError, match="other gradients"):
        compile_slope(it.slope, it.rows[:16], it.weight, wrong)


def test_any_fault_of_the_compiler_is_one_line() -> None:
    def broken(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        raise RuntimeError("collect2: ld returned 1\nand pages more")

    it = problem("likelihood normal")
    with pytest.raises(CompilationError, match=r"^RuntimeError: collect2: ld returned 1$"):
        compile_slope(it.slope, it.rows[:16], it.weight, broken)


def test_without_a_compiler_that_is_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    it = problem("likelihood normal")
    with pytest.raises(CompilationError, match=r"no C\+\+ compiler was found"):
        compile_slope(it.slope, it.rows[:16], it.weight, inductor)


def test_a_parameter_without_influence_gets_no_gradient() -> None:
    it = problem("likelihood normal")
    it.slope.model.register_parameter("idle", torch.nn.Parameter(torch.zeros(2)))
    slope = Slope(it.slope.model, it.state.memory, *(getattr(it.slope, n) for n in PARTS))
    compiled = Compiled(slope, it.rows[:16], it.weight, as_traced)
    for function in (slope, compiled):
        _, found = function(it.rows[:16], it.weight)
        assert [g is None for g in found].count(True) == 1


PARTS = ("prepare", "bound", "estimator", "plan")
