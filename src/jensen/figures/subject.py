"""What figures are measured of, and how the parts of the work are told apart."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jensen.config.evaluation import EvaluationSettings
from jensen.data import Dataset
from jensen.evaluation import estimate
from jensen.models import VAE
from jensen.progress import Advance, Begin
from jensen.run import Run

BOUNDS, LATENTS, REFINED, AIS, BDMC, AGGREGATE = (
    "bounds", "latents", "refined ELBO", "AIS", "BDMC", "aggregate posterior",
)  # fmt: skip
"""The parts of the work, in their order."""
ANNEALED_ROWS = 100
"""Rows that are annealed, and data simulated, unless a limit is given: a row costs 20,000 gradients."""


@dataclass(frozen=True)
class Subject:
    """What is measured: a run's model, its rows, and what is to be known of them."""

    run: Run
    model: VAE
    dataset: Dataset
    settings: EvaluationSettings
    refined_rows: int
    parts: list[str]
    """What is measured, in this order."""
    shown: Begin

    def begin(self, part: str, total: int) -> Advance:
        """Show that a part begins; what is told of its progress, in as many pieces as ``total``."""
        number = self.parts.index(part) + 1
        return self.shown(f"{part} ({number} of {len(self.parts)})", total)

    def rows(self, limit: int | None = None) -> int:
        """How many rows `blocks` has."""
        limits = [n for n in (limit, self.settings.limit) if n is not None]
        return min([len(self.dataset.numbers(self.settings.split)), *limits])

    def blocks(self, limit: int | None = None) -> Iterator[Tensor]:
        """The first ``limit`` rows (and no more than the settings allow), prepared, where the model is."""
        where = next(self.model.parameters()).device
        rows = self.run.blocks(self.dataset, self.settings.split, self.rows(limit))
        return (x.to(where) for x in rows)


def planned(run: Run, settings: EvaluationSettings, *, aggregate_too: bool) -> list[str]:
    """The parts that there are to measure, in their order; some may turn out not to suit the model."""
    if run.settings.posterior == "point":
        return [BOUNDS, LATENTS]
    amortized = run.settings.inference == "amortized"
    wanted = {
        REFINED: settings.refine_steps > 0 and amortized,
        AIS: settings.ais,
        BDMC: settings.bdmc,
        AGGREGATE: aggregate_too,
    }
    return [BOUNDS, LATENTS, *(part for part, is_wanted in wanted.items() if is_wanted)]


def with_rows(values: Tensor) -> dict[str, Any]:
    """Mean and standard error of a figure, and on how many rows it rests."""
    return estimate(values).to_dict() | {"n": len(values)}


def attempt(name: str, skipped: dict[str, str], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``measure`` gives; where the model does not allow it, note the reason and give nothing."""
    try:
        return measure()
    except (ValueError, NotImplementedError) as error:
        skipped[name] = " ".join(str(error).split())
        return {}
