"""Conditions on the columns of a table, as a user writes them: ``education = Masters and age > 40``."""

import difflib
import math
import re
from dataclasses import dataclass, replace

import numpy as np

from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.values import code_of, written
from jensen.errors import UserError

_QUOTED = r"\"[^\"]*\"|'[^']*'"
_LISTED = re.compile(rf"(?:^|,)\s*({_QUOTED}(?=\s*(?:,|$))|[^,]+)")
_TERM = re.compile(
    rf"^\s*({_QUOTED}|.+?)\s*(<=|>=|!=|==|<|>|=|\bin\b)\s*(.+?)\s*$", re.IGNORECASE | re.DOTALL
)
OPERATORS = "= != < <= > >= in (A, B)"


@dataclass(frozen=True)
class Allowed:
    """What one column may be.

    Attributes:
        place: which column of the codes.
        levels: the numbers of the levels allowed; None for numeric columns.
        low: the smallest code allowed.
        high: the largest.
        values: the only codes allowed between them; None for all.
    """

    place: int
    levels: tuple[int, ...] | None = None
    low: float = -math.inf
    high: float = math.inf
    values: tuple[float, ...] | None = None


def parse_where(text: str, schema: Schema) -> list[Allowed]:
    """The columns that a condition constrains, each with what it allows: all must hold.

    Comparisons are joined by ``and``; operators are ``= != < <= > >=`` and ``in (A, B)``. Names and values
    with blanks may be quoted. Ordinal levels compare in their order. Of numbers, ``!=`` is not known, and
    ``in`` of those on a grid alone: without one, a single value has no probability.

    Raises:
        UserError: it cannot be read, names an unknown column or level, or contradicts itself.
    """
    found: dict[int, Allowed] = {}
    for term in _split(text, "and"):
        if len(_split(term, "or")) > 1:
            raise UserError(
                f"--where {text!r}: `or` is not known; use `in (A, B)`, or sample once for each case"
            )
        allowed = _term(term, schema)
        found[allowed.place] = _both(found.get(allowed.place), allowed)
    for allowed in found.values():
        if allowed.low > allowed.high or allowed.levels == ():
            name = schema.modelled[allowed.place].name
            raise UserError(f"--where {text!r} leaves no value to {name!r}; change one of its comparisons")
    return list(found.values())


def _split(text: str, word: str) -> list[str]:
    """The parts between a word, where it stands outside quotes and brackets."""
    parts, depth, start = [], 0, 0
    pattern = re.compile(rf"{_QUOTED}|[()]|\b{word}\b", re.IGNORECASE)
    for match in pattern.finditer(text):
        token = match.group()
        if token in "()":
            depth += 1 if token == "(" else -1
        elif token.lower() == word and not depth and _alone(text, match):
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _alone(text: str, match: "re.Match[str]") -> bool:
    """Whether blanks stand on both sides: `rock-and-roll` is one word."""
    before, after = text[: match.start()][-1:], text[match.end() :][:1]
    return before.isspace() and after.isspace()


def _term(term: str, schema: Schema) -> Allowed:
    match = _TERM.match(term)
    if match is None:
        raise UserError(
            f"--where: {term.strip()!r} is no comparison; write COLUMN OPERATOR VALUE, with one of "
            f"{OPERATORS}"
        )
    name, operator, value = _unquoted(match[1]), match[2].lower(), match[3]
    columns = [column.name for column in schema.modelled]
    if name not in columns:
        near = difflib.get_close_matches(name, columns, 1, 0.0)[0]
        raise UserError(f"--where: there is no column {name!r} (did you mean {near}?)")
    place = columns.index(name)
    column = schema.modelled[place]
    values = _listed(value) if operator == "in" else [_unquoted(value)]
    if column.numeric:
        return _interval(column, place, operator, [code_of(column, text) for text in values])
    return _levels(column, place, operator, values)


def _listed(text: str) -> list[str]:
    """The values of ``(A, "B, C")``.

    Raises:
        UserError: there is none.
    """
    inner = text[1:-1] if text[0] == "(" and text[-1] == ")" else text
    values = [_unquoted(part) for part in _LISTED.findall(inner) if part.strip()]
    if not values:
        raise UserError(f"--where: in {text} names no value; write in (A, B)")
    return values


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _levels(column: Column, place: int, operator: str, values: list[str]) -> Allowed:
    names = [str(level).lower() if isinstance(level, bool) else str(level) for level in column.levels]
    codes = []
    for value in values:
        exact = value if value in names else next((n for n in names if n.lower() == value.lower()), None)
        if exact is None:
            near = difflib.get_close_matches(value, names, 1, 0.0)[0]
            raise UserError(f"--where: {column.name!r} has no level {value!r} (did you mean {near}?)")
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


def _interval(column: Column, place: int, operator: str, values: list[float]) -> Allowed:
    step = column.step or 0.0
    if operator == "!=" or (operator == "in" and not step):
        kinds = "categories" if operator == "!=" else "categories and numbers with steps, such as whole ones"
        raise UserError(f"--where: {operator} is for {kinds}, and {column.name!r} has others; use < and >")
    if operator in ("=", "==", "in"):
        for value in values:
            _check_step(column, value, step)
        only = tuple(sorted(set(values)))
        return Allowed(place, None, only[0], only[-1], only if len(only) > 1 else None)
    [value] = values
    strict = operator in ("<", ">")
    if operator in ("<", "<="):
        return Allowed(place, None, high=_highest(value, step, strict))
    return Allowed(place, None, low=-_highest(-value, step, strict))


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
    low, high = max(first.low, second.low), min(first.high, second.high)
    some = [allowed.values for allowed in (first, second) if allowed.values is not None]
    if not some:
        return replace(first, low=low, high=high)
    kept = tuple(v for v in some[0] if low <= v <= high and all(v in other for other in some))
    low, high = (kept[0], kept[-1]) if kept else (math.inf, -math.inf)
    return replace(first, low=low, high=high, values=kept)
