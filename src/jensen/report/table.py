"""The table of bounds and gaps."""

import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from jensen.figures.lines import lines
from jensen.report.style import plain

PAD = "\u2007"  # as wide as a digit: numbers with fewer decimals still align on the point
SIGNS = {" - ": " − ", "||": "‖", "'": "’"}
"""As typed, and as set."""
LETTERS = re.compile(r"\b[pqxz]\b")
"""Names of densities and variables in a formula, which stand in italics."""


@dataclass(frozen=True)
class Row:
    """A line of the table of bounds."""

    name: str
    value: str
    error: str
    estimator: Markup
    better: str
    inner: bool
    """A part of the line above."""


def bounds(figures: dict[str, Any]) -> list[Row]:
    """Every bound and gap that was measured, with its standard error and its estimator."""
    found = lines(figures)
    most = max(line.digits for line in found)
    rows = []
    for line in found:
        pad = PAD * (most - line.digits)
        value, error = (plain(number, line.digits) + pad for number in (line.value, line.standard_error))
        how = typeset(line.how)
        if line.key == "iwae":
            how += f"; effective sample size {plain(figures['iwae']['effective_sample_size'], 1)}"
        if line.rows is not None:
            how += f" ({line.rows:,} rows)"
        rows.append(Row(line.name, value, error, how, line.kind.better or "–", line.kind.part))
    return rows


def typeset(formula: str) -> Markup:
    """A formula in plain letters as it is set in print: ``-E_q log p(x|z)`` with its minus and italics."""
    for typed, printed in SIGNS.items():
        formula = formula.replace(typed, printed)
    formula = str(escape(re.sub(r"^-", "−", formula)))
    return Markup(LETTERS.sub(r"<i>\g<0></i>", formula.replace("E_q", "E<sub>q</sub>")))


def numbers(figure: dict[str, float]) -> tuple[str, str]:
    """Value and standard error, for reading."""
    return plain(figure["value"]), plain(figure["standard_error"])
