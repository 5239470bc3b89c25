"""Conditional VAEs: p(x | c), where c is part of each datum and is not modelled."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.given import Given
from jensen.models.vae import VAE

MOST_CONTEXTS = 20_000
"""Contexts that a model remembers at most: 160 kB for each column of c."""


class ConditionalVAE(VAE):
    """``p(x | c) = int p(x | z, c) p(z) dz`` with q(z | x, c) (Sohn, Lee & Yan 2015).

    The bound is that paper's eq. 4, with p(z) for p(z | c): z is what c does not say.

    A datum is a whole row ``[C]``, of which the entries ``given`` are c. So ``trace(x)`` needs nothing
    more than any VAE's, and whatever it leads to is of log p(x | c). A ``context`` ``[B, Cc]`` that is passed
    takes the place of the rows' own.

    Args:
        prior: p(z).
        encoder: q(z | x, c) of whole rows, `RowEncoder` or `PairEncoder`.
        decoder: p(x | z, c) as a distribution of whole rows, such as `RowDecoder`.
        given: the places of c in a row.
    """

    given: Tensor

    def __init__(
        self, prior: nn.Module, encoder: nn.Module, decoder: nn.Module, given: Sequence[int]
    ) -> None:
        super().__init__(prior, encoder, decoder)
        self.register_buffer("given", torch.tensor(given), persistent=False)
        self.contexts = Contexts(len(given))

    def context_of(self, x: Tensor) -> Tensor:
        """The c of whole rows ``[..., C]``, ``[..., Cc]``."""
        return x[..., self.given]

    def sample(self, n: int, *, context: Tensor | None = None, mean: bool = False) -> Tensor:
        """n whole rows: c as in ``context`` ``[n, Cc]``, or drawn from `contexts`; then z and x given c."""
        return super().sample(n, context=self.contexts.draw(n) if context is None else context, mean=mean)


class Contexts(nn.Module):
    """The c of training rows, from which c is drawn where none is asked for; saved with the weights.

    Args:
        width: entries of one c.
    """

    rows: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.empty(0, width, dtype=torch.float64))

    def remember(self, rows: Tensor) -> None:
        """Take the place of what was remembered: contexts ``[R, Cc]``."""
        self.rows = rows.to(self.rows)

    def draw(self, n: int) -> Tensor:
        """n of the remembered contexts, each equally likely at each draw, ``[n, Cc]``.

        Raises:
            ValueError: none is remembered.
        """
        if not len(self.rows):
            raise ValueError("the model remembers no contexts; give context=, one row for each datum")
        return self.rows[torch.randint(len(self.rows), (n,), device=self.rows.device)]

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take as many rows as were saved: their number is not known when a model is built."""
        saved = state_dict.get(f"{prefix}rows", self.rows)
        self.rows = self.rows.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class _OfRows(nn.Module):
    """q(z | x, c) of whole rows, by an encoder that takes what `inputs` makes of them."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder: Any = encoder

    @property
    def family(self) -> Any:
        """The posterior family."""
        return self.encoder.family

    def inputs(self, row: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        """What the encoder takes for rows ``[*batch, C]``, with a ``context`` in the place of their own."""
        raise NotImplementedError

    def raw(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The family's numbers at rows ``[*batch, C]``, ``[*batch, num_outputs]``."""
        raw: Tensor = self.encoder.raw(*self.inputs(x, context))
        return raw

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """q(z | x, c), batch shape ``[*batch]``."""
        q: Distribution = self.encoder(*self.inputs(x, context))
        return q


class RowEncoder(_OfRows):
    """q(z | x, c) by an encoder that reads whole rows.

    Args:
        encoder: a `jensen.families.Conditional` of whole rows ``[*batch, C]``.
        given: the places of c in a row.
    """

    given: Tensor

    def __init__(self, encoder: nn.Module, given: Sequence[int]) -> None:
        super().__init__(encoder)
        self.register_buffer("given", torch.tensor(given), persistent=False)

    def inputs(self, row: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        """The rows."""
        if context is None:
            return (row,)
        row = row.clone()
        row[..., self.given] = context.to(row.dtype)
        return (row,)


class PairEncoder(_OfRows):
    """q(z | x, c) of whole rows, by an encoder that takes x and c apart.

    Args:
        encoder: a `jensen.families.Conditional` of x ``[*batch, *event]`` and a context ``[B, Cc]``.
        event_shape: of x; a row is x made flat, and c behind it.
    """

    def __init__(self, encoder: nn.Module, event_shape: Sequence[int]) -> None:
        super().__init__(encoder)
        self.event_shape = tuple(event_shape)

    def inputs(self, row: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        """x and c."""
        size = math.prod(self.event_shape)
        x = row[..., :size].unflatten(-1, self.event_shape)
        return x, row[..., size:] if context is None else context


class RowDecoder(nn.Module):
    """p(x | z, c) as a distribution of whole rows.

    Args:
        decoder: ``forward(z, context) -> Distribution`` over the modelled entries, in their order, of any
            event shape.
        given: the places of c in a row.
        size: C, entries of a row.
    """

    given: Tensor
    modelled: Tensor

    def __init__(self, decoder: nn.Module, given: Sequence[int], size: int) -> None:
        super().__init__()
        self.decoder = decoder
        modelled = [place for place in range(size) if place not in given]
        self.register_buffer("given", torch.tensor(given), persistent=False)
        self.register_buffer("modelled", torch.tensor(modelled), persistent=False)

    @property
    def family(self) -> Any:
        """The family of the modelled entries."""
        return self.decoder.family

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """p(x | z, c) at latents ``[*batch, M]`` and contexts ``[B, Cc]``, B the last of ``batch``."""
        if context is None:
            raise ValueError("a conditional decoder needs context=, one row for each datum")
        return Given(self.decoder(z, context), context, self.modelled, self.given)
