"""Conditions on rows, as text: comparisons that must all hold, ``education = Masters and age > 40``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jensen.errors import UserError

_QUOTED = r"\"[^\"]*\"|'[^']*'"
_LISTED = re.compile(rf"(?:^|,)\s*({_QUOTED}(?=\s*(?:,|$))|[^,]+)")
_TERM = re.compile(
    rf"^\s*({_QUOTED}|.+?)\s*(<=|>=|!=|==|<|>|=|\bin\b)\s*(.+?)\s*$", re.IGNORECASE | re.DOTALL
)
_DANGLING = re.compile(r"^(?:(and|or)(?:\s|$)|(not)\s)|\s(and|or)$", re.IGNORECASE)
_AWKWARD = re.compile(r"[()<>=]|\b(?:and|or|not|in)\b", re.IGNORECASE)
OPERATORS = "= != < <= > >= in (A, B)"


@dataclass(frozen=True)
class Comparison:
    """``NAME OPERATOR VALUE``, of which the name is without its quotes."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        """As it may be written."""
        return f"{self.name} {self.operator} {self.value}"


def comparisons(text: str, names: Iterable[str] = ()) -> list[Comparison]:
    """The comparisons that a condition joins by ``and``, in brackets or not.

    Columns of these ``names`` need no quotes, whatever words and signs they hold.

    Raises:
        UserError: it is none, or joins them in another way.
    """
    for name in sorted(filter(_AWKWARD.search, names), key=len, reverse=True):
        text = _with_quotes(text, name)
    return [_comparison(term) for term in _terms(text)]


def _with_quotes(text: str, name: str) -> str:
    """Quotes around a name that holds what else is an operator: ``height in m > 2``, ``R and D = 3``."""
    mark = "'" if '"' in name else '"'
    if mark in name:
        return text
    first, operator = r"^[\s(]*|\(\s*|\s(?i:and)\s+", r"\s*(?:[!<>=]=?|\s(?i:in)\b)"
    pattern = rf"({first}){re.escape(name)}(?={operator})"
    return re.sub(pattern, lambda found: f"{found[1]}{mark}{name}{mark}", text)


def _comparison(term: str) -> Comparison:
    match = _TERM.match(term)
    if match is None:
        raise UserError(
            f"--where: {term.strip()!r} is no comparison; write COLUMN OPERATOR VALUE, with one of "
            f"{OPERATORS}"
        )
    return Comparison(unquoted(match[1]), match[2].lower(), match[3])


def _terms(text: str) -> list[str]:
    """The comparisons that all must hold, without brackets around them.

    Raises:
        UserError: they are joined in another way.
    """
    text = text.strip()
    while _bracketed(text):
        text = text[1:-1].strip()
    parts = _split(text, "and")
    if len(parts) > 1:
        return [term for part in parts for term in _terms(part)]
    if len(_split(text, "or")) > 1:
        raise UserError(f"--where {text!r}: `or` is not known; use `in (A, B)`, or sample once for each case")
    if found := _DANGLING.search(text):
        word = (found[1] or found[2] or found[3]).lower()
        mend = (
            "use != or the opposite comparison"
            if word == "not"
            else "write a comparison on both sides of it, or leave it out"
        )
        known = "is not known" if word == "not" else "stands at an end"
        raise UserError(f"--where: in {text!r} `{word}` {known}; {mend}")
    return [text]


def _bracketed(text: str) -> bool:
    """Whether a bracket that opens at the beginning closes at the end."""
    depth = 0
    for match in re.finditer(rf"{_QUOTED}|[()]", text):
        depth += {"(": 1, ")": -1}.get(match.group(), 0)
        if not depth:
            return text[:1] == "(" and match.end() == len(text)
    return False


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


def parse_values(text: str) -> list[str]:
    """The values of ``(A, "B, C")``.

    Raises:
        UserError: there is none.
    """
    inner = text[1:-1] if text[0] == "(" and text[-1] == ")" else text
    values = [unquoted(part) for part in _LISTED.findall(inner) if part.strip()]
    if not values:
        raise UserError(f"--where: in {text} names no value; write in (A, B)")
    return values


def unquoted(text: str) -> str:
    """A name or a value without blanks and quotes around it."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
