"""Conditions on the columns of a table, as a user writes them: ``education = Masters and age > 40``."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from jensen.data.tables.comparisons import Comparison, comparisons, parse_values, unquoted
from jensen.data.tables.schema import Column, Schema, as_known
from jensen.data.tables.values import code_of, written
from jensen.data.words import few
from jensen.errors import UserError, did_you_mean

Spans = tuple[tuple[float, float], ...]
_MIRRORED = {"=": "=", "==": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Allowed:
    """What one column may be.

    Attributes:
        place: which column of the codes.
        levels: the numbers of the levels allowed; None for numeric columns.
        spans: of a numeric column, the intervals in which its code may lie, with their ends; ascending, and
            apart.
    """

    place: int
    levels: tuple[int, ...] | None = None
    spans: Spans = ((-math.inf, math.inf),)


def parse_where(text: str, schema: Schema) -> list[Allowed]:
    """The columns that a condition constrains, each with what it allows: all must hold.

    Comparisons are joined by ``and``, in brackets or not; operators are ``= != < <= > >=`` and ``in (A, B)``.
    Names and values may be quoted. Ordinal levels compare in their order. Of numbers, ``in`` is
    for those on a grid alone: without one, a single value has no probability.

    Raises:
        UserError: it cannot be read, names an unknown column or level, asks for what its column cannot have,
            or contradicts itself.
    """
    found: dict[int, Allowed] = {}
    for comparison in comparisons(text, [column.name for column in schema.columns]):
        allowed = _allowed(comparison, schema)
        found[allowed.place] = _both(found.get(allowed.place), allowed)
    for allowed in found.values():
        if not allowed.spans or allowed.levels == ():
            name = schema.modelled[allowed.place].name
            raise UserError(f"--where {text!r} leaves no value to {name!r}; change one of its comparisons")
    return list(found.values())


def _allowed(found: Comparison, schema: Schema) -> Allowed:
    operator, value = found.operator, found.value
    [name] = as_known([found.name], schema)
    columns = [column.name for column in schema.modelled]
    if name not in columns:
        raise UserError(f"--where: {_no_column(name, operator, value, schema)}")
    place = columns.index(name)
    column = schema.modelled[place]
    values = parse_values(value) if operator == "in" else [unquoted(value)]
    if not column.numeric:
        return _levels(column, place, operator, values)
    spans = _spans(column, operator, [code_of(column, text) for text in values])
    return Allowed(place, None, _possible(column, spans, found))


def _no_column(name: str, operator: str, value: str, schema: Schema) -> str:
    """Why there is no modelled column of a name, and the mend."""
    columns = [column.name for column in schema.modelled]
    for column in schema.columns:
        if column.name == name:
            why = "a label" if column.type == "label" else "left out of the model"
            always = "" if column.constant is None else f" (it was always {column.constant!r})"
            mend = (
                "rows cannot be asked for by it" if always else "train again with a type for it in --schema"
            )
            return f"column {name!r} is {why}{always}; {mend}"
    if unquoted(value) in columns and operator in _MIRRORED:
        return f"the column stands first: write {value} {_MIRRORED[operator]} {name}"
    near = did_you_mean(name, [column.name for column in schema.columns])
    return f"there is no column {name!r}{near}; there are {few(columns)}"


def _possible(column: Column, spans: Spans, asked: Comparison) -> Spans:
    """The intervals in which a column of type count or positive can be.

    Raises:
        UserError: what is asked for cannot be.
    """
    lowest = {"count": 0.0, "positive": column.step or math.ulp(0.0)}.get(column.type, -math.inf)
    possible = tuple(span for span in spans if span[1] >= lowest)
    if not possible or (asked.operator != "!=" and len(possible) < len(spans)):
        least = "0 or more" if column.type == "count" else "above 0"
        raise UserError(
            f"--where: {asked} is impossible: {column.name!r} is of type {column.type}, {least}; ask for that"
        )
    return possible


def _levels(column: Column, place: int, operator: str, values: list[str]) -> Allowed:
    names = [str(level).lower() if isinstance(level, bool) else str(level) for level in column.levels]
    codes = []
    for value in values:
        alike = (name for name in names if name.strip().lower() == value.strip().lower())
        exact = value if value in names else next(alike, None)
        if exact is None:
            near = did_you_mean(value, names)
            raise UserError(f"--where: {column.name!r} has no level {value!r}{near}; it has {few(names)}")
        codes.append(names.index(exact))
    everything = range(len(names))
    if operator in ("=", "==", "in"):
        return Allowed(place, tuple(sorted(set(codes))))
    if operator == "!=":
        return Allowed(place, tuple(i for i in everything if i != codes[0]))
    if column.type != "ordinal":
        raise UserError(
            f"--where: the levels of {column.name!r} have no order for {operator}; use = or in, or make its "
            "type ordinal with --schema"
        )
    start, stop = {
        "<": (0, codes[0]),
        "<=": (0, codes[0] + 1),
        ">": (codes[0] + 1, len(names)),
        ">=": (codes[0], len(names)),
    }[operator]
    return Allowed(place, tuple(range(start, stop)))


def _spans(column: Column, operator: str, values: list[float]) -> Spans:
    """The intervals of codes that a comparison of a numeric column allows."""
    step = column.step or 0.0
    if operator == "in" and not step:
        raise UserError(
            f"--where: in is for categories and numbers with steps, such as whole ones, and {column.name!r} "
            "has others; use < and >"
        )
    if operator in ("=", "==", "!=", "in"):
        for value in values:
            _check_step(column, value, step)
    if operator in ("=", "==", "in"):
        return tuple((value, value) for value in sorted(set(values)))
    [value] = values
    below, above = _highest(value, step, operator != "<="), -_highest(-value, step, operator != ">=")
    return {
        "<": ((-math.inf, below),),
        "<=": ((-math.inf, below),),
        ">": ((above, math.inf),),
        ">=": ((above, math.inf),),
        "!=": ((-math.inf, below), (above, math.inf)),
    }[operator]


def _check_step(column: Column, value: float, step: float) -> None:
    """Refuse a number that is on no grid of its column."""
    if step and abs(value / step - round(value / step, 0)) > 1e-6:
        low = _highest(value, step, strict=True)
        seconds = " seconds" if column.type == "date" else ""
        raise UserError(
            f"--where: {column.name!r} has steps of {step:g}{seconds}, and is never "
            f"{written(column, value)}; the nearest values are {written(column, low)} and "
            f"{written(column, low + step)}"
        )


def _highest(value: float, step: float, strict: bool) -> float:
    """The largest number, of a grid if there is a step, that is at most ``value``, or below it."""
    if not step:
        return math.nextafter(value, -math.inf) if strict else value
    place = round(value / step, 6)
    return float((np.ceil(place) - 1 if strict else np.floor(place)) * step)


def _both(first: Allowed | None, second: Allowed) -> Allowed:
    """What two conditions on one column allow together."""
    if first is None:
        return second
    if first.levels is not None and second.levels is not None:
        return replace(first, levels=tuple(i for i in first.levels if i in second.levels))
    both = ((max(a, c), min(b, d)) for (a, b), (c, d) in itertools.product(first.spans, second.spans))
    return replace(first, spans=tuple((low, high) for low, high in both if low <= high))
