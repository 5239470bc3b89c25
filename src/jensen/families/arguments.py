"""Checks of what a family is made of: a ValueError says what was given and what was meant."""

from collections.abc import Iterable, Sequence
from typing import Any

from jensen.families.scales import OptimalScale, Scale


def checked_shape(event_shape: Sequence[int], family: str) -> tuple[int, ...]:
    """The event's shape.

    Raises:
        ValueError: it is a number.
    """
    if not isinstance(event_shape, Iterable):
        raise ValueError(
            f"the event shape of {family} is {event_shape!r}; give a sequence: [{event_shape}] for vectors"
        )
    return tuple(event_shape)


def shapes(family: Any) -> str:
    """A family's ``extra_repr``: the shape of its events, and the raw numbers a datum that it takes."""
    return f"event_shape={list(family.event_shape)}, num_outputs={family.num_outputs}"


def checked_scale(scale: Scale, family: str, *, optimal: bool = False) -> Scale:
    """The scale of a family; ``optimal`` says that its best scale has a formula, as `OptimalScale` needs.

    Raises:
        ValueError: it is no `Scale`, or it is an `OptimalScale` and there is no such formula.
    """
    if not isinstance(scale, Scale):
        raise ValueError(
            f"the scale of {family} is {scale!r}; give an object of jensen.families: SharedScale() for one "
            "learned number, FixedScale(1.0) for a given one, NetworkScale(D) for an encoder's"
        )
    if isinstance(scale, OptimalScale) and not optimal:
        raise ValueError(
            f"the optimal scale of {family} has no closed form; use SharedScale, PerDimensionScale or "
            "NetworkScale, or the normal or Laplace family"
        )
    return scale
