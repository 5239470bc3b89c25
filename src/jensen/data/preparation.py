"""From rows as given to what a model sees, and back, with the change of density accounted for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jensen.data.domains import BINARIZE, SUPPORTS
from jensen.data.labels import Labels
from jensen.data.tables.marginals import Marginal
from jensen.errors import UserError, one_line

COMPONENTS = "near-normal"
"""What the numbers of a table are mixtures of (`jensen.distributions.near_normal`), kept with its scales: the
weights of an earlier jensen's run belong to logistic components."""

# Dequantization noise keeps this far from whole numbers, so that rounding in float32 cannot carry a
# value over one. It moves a draw with probability 2^-12, by less than 2^-13: no effect on a mean.
_MARGIN = 2.0**-13

# Dtypes that float32 holds exactly, and with room for a fraction where they are dequantized.
_NARROW = (torch.uint8, torch.int8, torch.float16, torch.float32)


@dataclass(frozen=True, eq=False)
class Preparation:
    """``x = (stored + u - shift) / scale``, or zeros and ones; and the way back.

    Attributes:
        binarize: "none", "dynamic" (1 with the probability that the grey value stands for, drawn anew
            at every call) or "static" (drawn beforehand: the rows are already 0 or 1).
        dequantize: add u ~ U[0, 1) to whole numbers, so that a density on x bounds the probability of
            the stored value: ``log P(stored) >= E_u log p(stored + u)`` (Theis, van den Oord & Bethge 2016).
        shift: float64, ``()`` or of the event's shape; in the units of the data as given.
        scale: float64, positive, of the same shape as ``shift``.
        value_range: what is black and white in the stored rows.
        pictured: of images of any numbers, such as of -1 to 1, the smallest and the largest: black and white
            of pictures of them. Nothing of the model depends on it.
        stored_dtype: the dtype of the stored rows, to which ``invert`` leads back.
        support: the likelihood's domain, one of ``SUPPORTS``.
        marginals: for tables, what was fitted to each column. Their codes reach the model as they are, in
            float64 and with NaN where a cell is missing: what is done to them is part of the model, whose
            density counts it.
        labels: where rows end in the number of their label, how: it passes through as it is.
        alike: every row gets the same draw, so that a figure of a row depends on the row alone. Not recorded.
    """

    binarize: str
    dequantize: bool
    shift: Tensor
    scale: Tensor
    value_range: tuple[float, float]
    stored_dtype: torch.dtype
    support: str = "real"
    marginals: tuple[Marginal, ...] | None = None
    labels: Labels | None = None
    alike: bool = False
    pictured: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.support not in SUPPORTS:
            raise UserError(f"support is {self.support!r}; give one of {', '.join(SUPPORTS)}")
        if self.binarize not in BINARIZE:
            raise UserError(f"binarize is {self.binarize!r}; give one of {', '.join(BINARIZE)}")
        if self.shift.shape != self.scale.shape:
            shapes = f"{tuple(self.shift.shape)} and {tuple(self.scale.shape)}"
            raise UserError(f"shift and scale have the shapes {shapes}; give equal shapes")
        if not bool((torch.isfinite(self.shift) & torch.isfinite(self.scale) & (self.scale > 0)).all()):
            raise UserError("shift and scale must be finite and scale positive; fit the preparation again")
        for low, high in (self.value_range, self.pictured or self.value_range):
            if not low < high:
                raise UserError(f"value_range is {(low, high)}; give (low, high) with low < high")

    def __call__(
        self, stored: Tensor, generator: torch.Generator | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Stored rows ``[B, *event]`` -> what the model sees, of the same shape (labels go with them).

        Args:
            stored: rows as stored.
            generator: the source of the draw, where there is one (dynamic binarization, dequantization).
            dtype: floating-point type of the result; ``torch.get_default_dtype()`` if not given.
        """
        if self.labels is not None:
            x, numbers = self.labels.split(stored)
            return self.labels.join(self._prepared(x, generator, dtype), numbers)
        return self._prepared(stored, generator, dtype)

    def _prepared(
        self, stored: Tensor, generator: torch.Generator | None, dtype: torch.dtype | None
    ) -> Tensor:
        if self.marginals is not None:
            return stored.to(torch.float64)
        dtype = dtype or torch.get_default_dtype()
        if self.binarize == "dynamic":
            low, high = self.value_range
            probability = (stored.to(torch.float32) - low) / (high - low)
            return (self._uniform(stored, generator) < probability).to(dtype)
        if self.binary:
            return stored.to(dtype)
        x = stored.to(self._exact(dtype))
        if self.dequantize:
            x = x + self._uniform(stored, generator).clamp(_MARGIN, 1 - _MARGIN)
        shift, scale = self._affine(x)
        return ((x - shift) / scale).to(dtype)

    def _uniform(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """U[0, 1) in float32 and ``like``'s shape, drawn where the generator lives: alike on every device."""
        device = like.device if generator is None else generator.device
        shape = (1, *like.shape[1:]) if self.alike else like.shape
        drawn = torch.rand(shape, generator=generator, device=device, dtype=torch.float32)
        return drawn.to(like.device).expand(like.shape)

    def invert(self, x: Tensor, *, mean: bool = False) -> Tensor:
        """What the model sees -> the units of the data as given, without the labels.

        Binary data become 0/1 of uint8; dequantized data the stored whole number; the rest are floats.

        Args:
            x: data or draws ``[..., *event]`` in the model's domain.
            mean: x is an expectation, not a datum: it stays a float, neither rounded nor clipped
                (for binary data the probability of a 1).
        """
        if self.marginals is not None:
            return x
        if self.labels is not None:
            x, _ = self.labels.split(x)
        floating = self.stored_dtype if self.stored_dtype.is_floating_point else torch.float32
        if self.binary:
            return x.to(floating) if mean else (x >= 0.5).to(torch.uint8)
        if self.discrete and not mean:
            return self._nearest_level(x)
        x = x.to(self._exact(x.dtype))
        shift, scale = self._affine(x)
        given = x * scale + shift
        if not self.dequantize:
            return given.to(floating)
        if mean:
            return (given - 0.5).to(floating)  # the mean of u
        return given.floor().clamp(*self.value_range).to(self.stored_dtype)

    def log_det(self, event_shape: Sequence[int]) -> float:
        """``log |d model's domain / d given|`` per datum, in nats: ``-sum_i log scale_i``.

        ``log p(given) = log p(prepared) + log_det``. For dequantized data, that of ``given + u``.
        Probabilities have none: 0 where the likelihood is discrete.
        """
        if self.discrete:
            return 0.0
        if self.scale.ndim == 0:
            return -math.prod(event_shape) * float(self.scale.log())
        return -float(self.scale.log().sum())

    def log_det_by_entry(self, event_shape: Sequence[int]) -> float | Tensor:
        """``-log scale_i``, ``[D]``, which add up to `log_det`; of one scale for all, `log_det` itself."""
        if self.discrete or self.scale.ndim == 0:
            return self.log_det(event_shape)
        return -self.scale.log().flatten()

    @property
    def binary(self) -> bool:
        """Whether the model's domain is {0, 1}."""
        return self.support == "binary"

    @property
    def discrete(self) -> bool:
        """Whether the likelihood gives probabilities of stored values, not densities."""
        return self.support in ("binary", "grid", "count", "categories")

    @property
    def shown_range(self) -> tuple[float, float]:
        """Black and white of what ``invert`` returns: 0 and 1 for binary data, whatever was stored."""
        return (0.0, 1.0) if self.binary else self.pictured or self.value_range

    def to(self, device: torch.device | str) -> "Preparation":
        """The same with event-shaped tensors on ``device``, which saves a transfer at every call."""
        return replace(self, shift=self.shift.to(device), scale=self.scale.to(device))

    def to_dict(self) -> dict[str, Any]:
        """A record for JSON or YAML, exact to the last bit."""
        record = {
            "binarize": self.binarize,
            "dequantize": self.dequantize,
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
            "value_range": list(self.value_range),
            "stored_dtype": str(self.stored_dtype).removeprefix("torch."),
            "support": self.support,
        }
        if self.marginals is not None:
            record["components"] = COMPONENTS
            record["marginals"] = [marginal.to_dict() for marginal in self.marginals]
        if self.labels is not None:
            record["labels"] = self.labels.to_dict()
        if self.pictured is not None:
            record["pictured"] = list(self.pictured)
        return record

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> "Preparation":
        """The inverse of ``to_dict``.

        Raises:
            UserError: an entry is missing or has an impossible value.
        """
        try:
            found, labels, pictured = (record.get(key) for key in ("marginals", "labels", "pictured"))
            if found is not None and record.get("components") != COMPONENTS:
                raise UserError("the numbers of an earlier jensen's tables had another law; train anew")
            return Preparation(
                binarize=record["binarize"],
                dequantize=bool(record["dequantize"]),
                shift=torch.tensor(record["shift"], dtype=torch.float64),
                scale=torch.tensor(record["scale"], dtype=torch.float64),
                value_range=_ends(record["value_range"]),
                stored_dtype=getattr(torch, record["stored_dtype"]),
                support=record["support"],
                marginals=None if found is None else tuple(Marginal.from_dict(each) for each in found),
                labels=None if labels is None else Labels.from_dict(labels),
                pictured=None if pictured is None else _ends(pictured),
            )
        except UserError:
            raise
        except KeyError as error:
            raise UserError(
                f"the record of the data's preparation lacks {error}; restore it, or train anew"
            ) from None
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(
                f"the record of the data's preparation is damaged ({one_line(error)}); restore it, or train "
                "anew"
            ) from None

    def _nearest_level(self, x: Tensor) -> Tensor:
        """Levels in the model's domain -> the stored whole numbers; int64 where a count drawn needs it."""
        shift, scale = self._affine(x)
        levels = (x * scale + shift).round()
        floating = self.stored_dtype.is_floating_point
        room = math.inf if floating or not x.numel() else torch.iinfo(self.stored_dtype).max
        return levels.to(self.stored_dtype if floating or levels.amax() <= room else torch.int64)

    def _exact(self, dtype: torch.dtype) -> torch.dtype:
        """The type to compute in: at least float32, and float64 where float32 would lose stored digits."""
        return torch.promote_types(dtype, torch.float32 if self.stored_dtype in _NARROW else torch.float64)

    def _affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # In x's own type: two float64 scalars would not, but event-shaped ones would promote x to float64.
        return self.shift.to(x.device, x.dtype), self.scale.to(x.device, x.dtype)


def _ends(record: Sequence[float]) -> tuple[float, float]:
    low, high = record
    return float(low), float(high)
