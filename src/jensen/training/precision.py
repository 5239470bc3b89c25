"""The precision of a training step's products: float32, or bfloat16 with everything else in float32."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from jensen.errors import UserError
from jensen.training.device import choose_device

PROVEN = frozenset({"bernoulli"})
"""Likelihoods for which `auto` takes bfloat16 where it is fast: those for which benchmarks/precision.py has
shown the final bound to be the same within its standard error over the test rows."""

PRODUCTS: set[Callable[..., Any]] = {
    functional.linear,
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
}
"""What linear and convolution layers call: nearly all of a network's arithmetic."""
ARGUMENTS = ("input", "weight", "bias")
"""The first of each of them."""


class Bf16Products(TorchFunctionMode):
    """While it is entered, linear and convolution layers take their products in bfloat16.

    Inputs and weights are rounded to 8 significant bits, products are added up in float32, and the sum is
    rounded likewise; so are the gradients on their way back. The weights themselves, biases, activation
    functions, distributions and KL terms stay in float32: a likelihood is a difference of large sums.
    (autocast would take the products inside the distributions too, and hand bfloat16 numbers to them.)

    A rounded bias would be off by the same amount in every row and pixel, and in its gradient, a sum over
    them, errors that are alike add up.

    On a processor without bfloat16 instructions the rounded numbers are multiplied in float32: the same
    results, but for the order of summation, at float32's speed.
    """

    def __init__(self, native: bool) -> None:
        super().__init__()
        self.native = native

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in PRODUCTS:
            return func(*args, **kwargs)
        given = dict(zip(ARGUMENTS, args, strict=False)) | dict(kwargs)
        x, weight, bias = (given.pop(name, None) for name in ARGUMENTS)
        if x.dtype != torch.float32:
            return func(*args, **kwargs)
        weight = self._lower(weight)
        product = func(self._lower(x), weight, None, *args[len(ARGUMENTS) :], **given)
        product = product.float() if self.native else product.bfloat16().float()
        return product if bias is None else product + _over_planes(bias, weight)

    def _lower(self, value: Tensor) -> Tensor:
        if value.dtype != torch.float32:
            return value
        return value.bfloat16() if self.native else value.bfloat16().float()


def _over_planes(bias: Tensor, weight: Tensor) -> Tensor:
    """A layer's bias ``[C]`` in the shape that broadcasts over its outputs ``[..., C, *places]``."""
    return bias.reshape(-1, *[1] * (weight.dim() - 2)) if weight.dim() > 2 else bias


def products(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a step of this precision runs its networks."""
    return Bf16Products(is_fast(device)) if precision == "bf16" else nullcontext()


def is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 numbers faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return any(_cpu_has(name) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _cpu_has(query: str) -> bool:
    """What torch says of the processor; False where it cannot be asked."""
    return bool(getattr(torch.cpu, query, lambda: False)())


def choose_precision(precision: str, likelihood: str, device: str) -> tuple[str, str]:
    """`float32` or `bf16`, as a run records it, and a sentence about it if there is something to say.

    `auto` takes bf16 where it is fast and was shown to leave the final bound as it is (`PROVEN`). A density
    with a learned scale is a harder case than zeros and ones: at sigma = 0.01 a mean that is rounded to 8
    bits is off by as much.

    Args:
        precision: the setting: auto, float32 or bf16.
        likelihood: the decoder's family, by name.
        device: by name, see `choose_device`.

    Raises:
        UserError: bf16 on a GPU that is too old for it, or no such device.
    """
    where = torch.device(choose_device(device))
    if precision == "auto":
        if likelihood in PROVEN and is_fast(where):
            return "bf16", "products in bfloat16, all else in float32; --precision float32 for all of it"
        return "float32", ""
    if precision == "float32" or is_fast(where):
        return precision, ""
    if where.type == "cuda":
        has = ".".join(map(str, torch.cuda.get_device_capability(where)))
        raise UserError(
            f"--precision bf16 needs a GPU of compute capability 8.0 or newer, and {where} has {has}; "
            "use --precision float32"
        )
    return precision, (
        "this processor has no bfloat16 instructions: --precision bf16 rounds as they would, and is no "
        "faster than float32"
    )
