"""Decoding and log p(x | z) as one compiled function, where that pays."""

import copy
import math
import time
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions import center
from jensen.mode import unvalidated

PAYS_AFTER = 180.0
"""Seconds of eager work of one shape after which it is compiled. Compiling costs up to 30 seconds and saves
a tenth to a quarter (benchmarks/evaluation_speed.py), so that work which ends soon after loses little."""

AnyModel = TypeVar("AnyModel", bound=nn.Module)
Kind = tuple[torch.Size, bool]
Measure = Callable[[Tensor, Tensor], Tensor]


def compiled(model: AnyModel, *, after: float = PAYS_AFTER) -> AnyModel:
    """The same model, whose ``log p(x | z)`` is compiled once that is worth it; its weights are shared.

    The values are those of the model to rounding. Only the decoder is replaced: the model is a shallow
    copy, for evaluation. A model without a decoder is returned as it is.

    Args:
        model: with a ``decoder``, ``forward(z, context) -> Distribution``, as `jensen.models.VAE`.
        after: seconds of eager decoding after which to compile.
    """
    decoder = getattr(model, "decoder", None)
    if not isinstance(decoder, nn.Module) or isinstance(decoder, _Decoder):
        return model
    other = copy.copy(model)
    other._modules = {**model._modules, "decoder": _Decoder(decoder, after)}
    return other


class _Decoder(nn.Module):
    """A decoder whose likelihood decodes when it is asked for log p(x | z), in one function with it.

    A function is compiled for a shape (and with gradient or without) that has cost so much that it pays; the
    odd chunk or block at the end is not worth one. The first likelihood is decoded at once, and tells the
    shape of a datum: no later one is decoded for the shapes that a trace checks.
    """

    def __init__(self, decoder: nn.Module, after: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.after = after
        self.event_shape: torch.Size | None = None
        self.spent: dict[Kind, float] = {}
        self.functions: dict[Kind, Measure] = {}

    @property
    def family(self) -> Any:
        """The likelihood's family, where the decoder has one."""
        return getattr(self.decoder, "family", None)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        if context is None and self.event_shape is not None:
            return cast(Distribution, _Likelihood(self, z, self.event_shape))
        likelihood: Distribution = self.decoder(z, context)
        self.event_shape = getattr(likelihood, "event_shape", None)
        return likelihood

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x | z), ``[K, B]``."""
        kind = (z.shape, z.requires_grad)
        if kind in self.functions:
            try:
                return self.functions[kind](z, x)
            except Exception as error:  # no compiler, or one that fails: the work goes on without
                warnings.warn(f"going on without torch.compile: {type(error).__name__}", stacklevel=2)
                self.functions, self.after = {}, math.inf
        began = time.perf_counter()
        value = self._eager(z, x)
        self.spent[kind] = self.spent.get(kind, 0.0) + time.perf_counter() - began
        if self.spent[kind] >= self.after:
            self.functions[kind] = _compiled(self._eager)
        return value

    def _eager(self, z: Tensor, x: Tensor) -> Tensor:
        value: Tensor = self.decoder(z).log_prob(x)
        return value


def _compiled(function: Measure) -> Measure:
    """By torch.compile, whose first use switches off the checks of all distributions: that is undone."""
    with unvalidated():
        return torch.compile(function, dynamic=False)


class _Likelihood:
    """p(x | z), decoded when it is needed: `log_prob` in one function, anything else from the decoder.

    Nothing decoded is kept, which would be as large as the rest of a chunk.
    """

    def __init__(self, decoder: _Decoder, z: Tensor, event_shape: torch.Size) -> None:
        self._decoder, self._z = decoder, z
        self.batch_shape, self.event_shape = z.shape[:-1], event_shape

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x | z), ``[K, B]``."""
        return self._decoder.log_prob(self._z, x)

    @property
    def mean(self) -> Tensor:
        """The decoder's mean; of class indices, which have none, the mode (`center` cannot see them here)."""
        return center(self._decoder.decoder(self._z))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder.decoder(self._z), name)
