"""A step as one graph: the record of its operations on tensors that have shapes and no numbers."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from jensen.distributions.recording import recorded

BY_ITS_NUMBERS = (
    "what it does depends on the numbers that it computes, as in inner maximisation, or where a likelihood "
    "of counts looks at those above zero alone"
)
"""Why a step has no graph; versions of torch find this out at different moments."""


Draw = Callable[[], Tensor]
"""Draws from torch's own generator."""


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
        decomposition_table={
            torch.ops.aten.normal_.default: _normal,
            torch.ops.aten.addmm.default: _addmm,
            torch.ops.aten.convolution_backward.default: _convolution_backward,
        },
        tracing_mode="fake",
        _allow_non_fake_inputs=True,
    )
    with recorded():
        graph: torch.fx.GraphModule = tracer(*inputs)
    _refuse_free_sizes(graph)
    return graph


def lift_constants(graph: torch.fx.GraphModule) -> list[Tensor]:
    """Turn the tensors that the graph itself holds into inputs, before all others, and return them."""
    nodes = graph.graph.find_nodes(op="get_attr")
    constants = [cast(Tensor, getattr(graph, node.target)) for node in nodes]
    _make_inputs(graph, nodes, "constant")
    for name in {str(node.target) for node in nodes}:
        delattr(graph, name)  # the compiler would make an input of it, used or not
    return constants


def lift_draws(graph: torch.fx.GraphModule) -> list[Draw]:
    """Turn draws that depend on nothing into inputs, before all others, and return what draws them.

    A compiler may change their order, and with it what each draws. Draws after one that depends on something,
    as a Bernoulli variable's does on its probability, stay where they are.
    """
    lifted, draws = [], list[Draw]()
    for node in graph.graph.nodes:
        if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
            continue
        if node.all_input_nodes:
            break
        lifted.append(node)
        draws.append(functools.partial(node.target, *node.args, **node.kwargs))
    _make_inputs(graph, lifted, "draw")
    return draws


def _make_inputs(graph: torch.fx.GraphModule, nodes: Sequence[torch.fx.Node], kind: str) -> None:
    """Put an input, before all others and in their order, in the place of each node."""
    first = next(iter(graph.graph.nodes))
    for node in nodes:
        with graph.graph.inserting_before(first):
            placeholder = graph.graph.placeholder(f"{kind}_{node.name}")
        placeholder.meta = node.meta
        node.replace_all_uses_with(placeholder)
        graph.graph.erase_node(node)
    graph.recompile()


def _refuse_free_sizes(graph: torch.fx.GraphModule) -> None:
    """Refuse tensors whose size depends on the data, as that of counts above zero: code has fixed sizes."""
    for node in graph.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and any(not isinstance(size, int) for size in value.shape):
            raise CompilationError(BY_ITS_NUMBERS)


def _normal(empty: Tensor, mean: float = 0.0, std: float = 1.0, generator: None = None) -> Tensor:
    """The same draws by `torch.randn`; a draw in place would have what it overwrites copied first."""
    return empty.copy_(torch.randn(empty.shape, dtype=empty.dtype, device=empty.device) * std + mean)


def _addmm(bias: Tensor, x: Tensor, weight: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    """On a CPU, a product whose bias is added by the operation that comes next, such as an activation.

    The library's own sum would first write the bias to where the product goes: a pass over memory. (The views
    keep the compiler from joining the two again.)
    """
    if bias.is_cuda or beta != 1 or alpha != 1:
        return NotImplemented
    return ((x @ weight).unsqueeze(0) + bias).squeeze(0)


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: list[bool],
) -> Any:
    """On a GPU, the gradient by the input of a transposed convolution as the convolution that it is.

    With one channel coming out, as of a grey image, torch lays that gradient out otherwise than it says, and
    compiled code would read it in a wrong order.
    """
    as_x = all(more < step for more, step in zip(output_padding, stride, strict=True))  # of its size
    if not (gradient.is_cuda and transposed and output_mask[0] and as_x):
        return NotImplemented
    aten = torch.ops.aten
    zeros = [0] * len(stride)
    by_input = aten.convolution(gradient, weight, None, stride, padding, dilation, False, zeros, groups)
    how = (bias_sizes, stride, padding, dilation, transposed, output_padding, groups)
    _, *others = aten.convolution_backward(gradient, x, weight, *how, [False, *output_mask[1:]])
    return by_input, *others
