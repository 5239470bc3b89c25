"""A step as one graph: the record of its operations on tensors that have shapes and no numbers."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from jensen.distributions.recording import recorded

BY_ITS_NUMBERS = (
    "what it does depends on the numbers that it computes, as in inner maximisation, or where a likelihood "
    "of counts looks at those above zero alone"
)
"""Why a step has no graph; torch's versions find out at different moments."""


class CompilationError(Exception):
    """The step cannot be compiled here; the message says why, in a few words."""


def trace_step(function: Callable[..., Any], inputs: list[Tensor]) -> torch.fx.GraphModule:
    """What ``function`` does to ``inputs``, as a graph without breaks.

    Raises:
        CompilationError: sizes depend on the numbers.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    tracer = make_fx(
        function,
        decomposition_table={torch.ops.aten.normal_.default: _normal, torch.ops.aten.addmm.default: _addmm},
        tracing_mode="fake",
        _allow_non_fake_inputs=True,
    )
    with recorded():
        graph: torch.fx.GraphModule = tracer(*inputs)
    _refuse_free_sizes(graph)
    return graph


def lift_constants(graph: torch.fx.GraphModule) -> list[Tensor]:
    """Make inputs, before all others, of the tensors that the graph itself holds; they are given back."""
    nodes = graph.graph.find_nodes(op="get_attr")
    constants = [cast(Tensor, getattr(graph, node.target)) for node in nodes]
    first = next(iter(graph.graph.nodes))
    for node in nodes:
        with graph.graph.inserting_before(first):
            placeholder = graph.graph.placeholder(f"constant_{node.name}")
        placeholder.meta = node.meta
        node.replace_all_uses_with(placeholder)
        graph.graph.erase_node(node)
    for name in {str(node.target) for node in nodes}:
        delattr(graph, name)  # the compiler would make an input of it, used or not
    graph.recompile()
    return constants


def _refuse_free_sizes(graph: torch.fx.GraphModule) -> None:
    """Refuse tensors whose size depends on the data, as that of counts above zero: code has fixed sizes."""
    for node in graph.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and any(not isinstance(size, int) for size in value.shape):
            raise CompilationError(BY_ITS_NUMBERS)


def _normal(empty: Tensor, mean: float = 0.0, std: float = 1.0, generator: None = None) -> Tensor:
    """The same draws by `torch.randn`: what a draw in place overwrites would be copied first."""
    return empty.copy_(torch.randn(empty.shape, dtype=empty.dtype, device=empty.device) * std + mean)


def _addmm(bias: Tensor, x: Tensor, weight: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    """On a CPU, a product to which the bias is added by what comes next, as an activation.

    The library's own sum would first write the bias to where the product goes: a pass over it. (The views
    keep the compiler from putting the two together again.)
    """
    if bias.is_cuda or beta != 1 or alpha != 1:
        return NotImplemented
    return ((x @ weight).unsqueeze(0) + bias).squeeze(0)
