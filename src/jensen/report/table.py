"""The table of bounds and gaps."""

import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from jensen.report.style import plain

PAD = "\u2007"  # as wide as a digit: numbers with fewer decimals still align on the point

LINES = {
    "elbo": ("ELBO", "larger"),
    "distortion": ("distortion", "smaller"),
    "rate": ("rate", "–"),
    "refined": ("refined ELBO", "larger"),
    "iwae": ("IWAE, K = {k:,}", "larger"),
    "ais": ("AIS", "larger"),
    "bits_per_dimension": ("bits/dim", "smaller"),
    "amortization_gap": ("amortization gap", "smaller"),
    "approximation_gap": ("approximation gap", "smaller"),
}
"""Key in the figures: name, and in which direction it is better."""
PARTS = ("distortion", "rate")
"""Lines that are parts of the ELBO above them."""


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
    pad = PAD if "bits_per_dimension" in figures else ""  # bits have three decimals
    rows = []
    for key, (name, better) in LINES.items():
        if not measured(figures, key):
            continue
        value, error = numbers(figures[key], 3 if key == "bits_per_dimension" else 2)
        if key != "bits_per_dimension":
            value, error = value + pad, error + pad
        estimator = _estimator(key, figures)
        if figures[key].get("n", figures["n"]) != figures["n"]:
            estimator += f" ({figures[key]['n']:,} rows)"
        name = name.format(k=figures["iwae"]["num_samples"])
        rows.append(Row(name, value, error, estimator, better, key in PARTS))
    return rows


def measured(figures: dict[str, Any], key: str) -> bool:
    """Whether a figure is there and is a number: a point posterior has a distortion alone."""
    return key in figures and not math.isnan(figures[key]["value"])


def numbers(figure: dict[str, float], digits: int = 2) -> tuple[str, str]:
    """Value and standard error, for reading."""
    return plain(figure["value"], digits), plain(figure["standard_error"], digits)


def _estimator(key: str, figures: dict[str, Any]) -> Markup:
    k = figures["iwae"]["num_samples"]
    samples = "1 sample" if k == 1 else f"{k:,} samples"
    kl = "in closed form" if figures["rate"]["exact"] else f"by Monte Carlo, {samples} a row"
    annealed, refined = figures.get("ais", {}), figures.get("refined", {})
    words = {
        "elbo": "−(distortion + rate), a lower bound on log <i>p</i>(<i>x</i>)",
        "distortion": "−E<sub><i>q</i></sub> log <i>p</i>(<i>x</i>|<i>z</i>), {samples} of <i>z</i> a row"
        if measured(figures, "elbo")
        else "−log <i>p</i>(<i>x</i>|<i>z</i>) at the one <i>z</i> of each row",
        "rate": "KL(<i>q</i>(<i>z</i>|<i>x</i>) ‖ <i>p</i>(<i>z</i>)), {kl}",
        "refined": "the ELBO with each row’s own best <i>q</i>, {steps} steps from the encoder’s",
        "iwae": "log of the mean of K weights <i>p</i>(<i>x</i>, <i>z</i>)/<i>q</i>(<i>z</i>|<i>x</i>), a "
        "tighter bound; effective sample size {size}",
        "ais": "annealed importance sampling, {chains} chains of {temperatures} temperatures",
        "bits_per_dimension": "−IWAE / (D log 2), bits for each dimension",
        "amortization_gap": "refined ELBO − ELBO: what one encoder for all rows loses",
        "approximation_gap": "{best} − refined ELBO: what the posterior’s family loses, or more",
    }
    return Markup(words[key]).format(
        samples=samples,
        kl=kl,
        steps=refined.get("steps"),
        size=plain(figures["iwae"]["effective_sample_size"], 1),
        chains=annealed.get("chains"),
        temperatures=annealed.get("temperatures"),
        best=figures.get("approximation_gap", {}).get("best"),
    )
