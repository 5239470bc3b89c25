"""Which figures of a run there are: their order, names, units and estimators, for the screen and the page."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from jensen.config import Settings

TOTAL = "total"
"""What the total of a row of counts is called where it is given (``--exposure total``)."""

LOW_SAMPLE_SIZE = 10
"""Below this effective sample size a few weights decide the importance-weighted bound."""
MANY_RISING = 0.1
"""The share of refined rows that may still rise at the last step without a word."""

Figures = dict[str, Any]
"""As `jensen.figures.evaluate_run` gives them."""


@dataclass(frozen=True)
class Kind:
    """A figure that a run can have.

    Attributes:
        name: what it is called; braces as in ``how``.
        how: estimator, in plain letters; names in braces stand for what `_filled` has.
        better: in which direction; neither of a part that is traded for another.
        unit: bits have three decimals, nats two.
        part: of the figure above it.
    """

    name: str
    how: str
    better: Literal["larger", "smaller", ""]
    unit: Literal["nats", "bits"] = "nats"
    part: bool = False


KINDS = {
    "elbo": Kind("ELBO", "-(distortion + rate), a lower bound on log p(x)", "larger"),
    "distortion": Kind("distortion", "{distortion}", "smaller", part=True),
    "rate": Kind("rate", "KL(q(z|x) || p(z)), {kl}", "", part=True),
    "refined": Kind(
        "refined ELBO", "the ELBO with each row's own best q, {steps} steps from the encoder's", "larger"
    ),
    "iwae": Kind(
        "IWAE, K = {k}", "log of the mean of K weights p(x, z)/q(z|x), a lower bound on log p(x)", "larger"
    ),
    "ais": Kind("AIS", "log p(x) by annealing: {chains} chains of {temperatures} temperatures", "larger"),
    "bits_per_dimension": Kind("bits/dim", "-IWAE / (D log 2)", "smaller", unit="bits"),
    "amortization_gap": Kind(
        "amortization gap",
        "refined ELBO - ELBO, same rows and draws: what one encoder for all loses",
        "smaller",
    ),
    "approximation_gap": Kind(
        "approximation gap", "{best} - {refined}, same rows: the family loses at least this", "smaller"
    ),
}
"""By their keys, in the order in which they are shown."""


@dataclass(frozen=True)
class Line:
    """A figure that was measured, as it is shown."""

    key: str
    kind: Kind
    name: str
    value: float
    standard_error: float
    how: str
    rows: int | None
    """On how many it rests, where these are not all rows of the others."""

    @property
    def digits(self) -> int:
        """Decimals of its value."""
        return 3 if self.kind.unit == "bits" else 2


def lines(figures: Figures) -> list[Line]:
    """All figures that were measured, in their order."""
    filled = _filled(figures)
    return [
        Line(
            key,
            kind,
            kind.name.format(**filled),
            figures[key]["value"],
            figures[key]["standard_error"],
            kind.how.format(**filled),
            figures[key].get("n") if figures[key].get("n") != figures["n"] else None,
        )
        for key, kind in KINDS.items()
        if measured(figures, key)
    ]


def measured(figures: Figures, key: str) -> bool:
    """Whether a figure is there, and a number: a point posterior, without density, has a distortion alone."""
    return key in figures and not math.isnan(figures[key]["value"])


def _filled(figures: Figures) -> dict[str, Any]:
    """What stands in the braces of names and estimators."""
    k = f"{figures['iwae']['num_samples']:,}"
    annealed = figures.get("ais", {})
    below = ": no KL is below 0, its estimate is by chance" if figures["rate"]["value"] < 0 else ""
    drawn = measured(figures, "elbo")
    return {
        "k": k,
        "distortion": f"-E_q log p(x|z), K = {k}" if drawn else "-log p(x|z) at the one z of each row",
        "kl": "in closed form" if figures["rate"]["exact"] else f"by Monte Carlo, K = {k}{below}",
        "steps": figures.get("refined", {}).get("steps"),
        "chains": annealed.get("chains"),
        "temperatures": annealed.get("temperatures"),
        "refined": "refined ELBO" if "refined" in figures else "ELBO, which inner steps maximised",
        "best": figures.get("approximation_gap", {}).get("best"),
    }


def conditions(settings: Settings) -> list[str]:
    """What p(x) is conditional on in all figures of a run: what it is given, and the total of counts."""
    return [*settings.condition, *([TOTAL] if settings.exposure == "total" else [])]


def stands_for(figures: Figures) -> str:
    """``p(x | c)``, for which p(x) stands in the figures; "" where it stands for itself."""
    return f"p(x | {', '.join(figures['condition'])})" if "condition" in figures else ""


def low_sample_size(size: float, num_samples: int) -> str:
    """A caution where the effective sample size of K samples, their mean over rows, is low; else nothing."""
    if not size < min(LOW_SAMPLE_SIZE, num_samples / 2):
        return ""
    return (
        f"an effective sample size of {size:.1f} (mean over rows) says that few samples decide the "
        "importance-weighted figure: log p(x) is probably higher still. A larger --num-samples tightens it"
    )


def cautions(figures: Figures) -> list[str]:
    """What sampling, annealing and refining did not reach, as far as they can tell, a sentence each."""
    sampled = figures["iwae"]
    said = [low_sample_size(sampled["effective_sample_size"], sampled["num_samples"])]
    if annealed := figures.get("ais"):
        size, chains = annealed["effective_sample_size"], annealed["chains"]
        if low_sample_size(size, chains):
            said.append(
                f"an effective sample size of {size:.1f} of {chains} chains (mean over rows) says that few "
                "decide the AIS figure: log p(x) is probably higher still. More --temperatures tighten it"
            )
    refined = figures.get("refined", {})
    if refined.get("rising", 0) > MANY_RISING * refined.get("n", 0):
        said.append(
            f"{refined['rising']:,} of {refined['n']:,} refined rows still gained at the last of "
            f"{refined['steps']} steps: the refined ELBO and the amortization gap are probably larger, the "
            "approximation gap smaller. A larger --refine-steps refines further"
        )
    return [sentence for sentence in said if sentence]
