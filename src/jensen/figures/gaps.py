"""What the ELBO loses, and to what: the refined ELBO, annealing, and the two gaps."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.data.seeds import derive_seed
from jensen.evaluation.ais import annealed_importance_sampling, transitions
from jensen.figures.subject import AIS, ANNEALED_ROWS, REFINED, Subject, attempt, with_rows
from jensen.training.two_tier import LogLikelihood, compute_log_likelihood

LAST_STEPS = 34
"""Steps of refining that cost about as much as the measurement after the last one."""


def gaps(it: Subject, values: dict[str, Tensor], skipped: dict[str, str]) -> dict[str, Any]:
    """The refined ELBO, annealing, and the two gaps, each difference over the same rows.

    ``amortization gap = refined ELBO - ELBO``, ``approximation gap = best estimate of log p(x) - refined
    ELBO`` (Cremer, Li & Duvenaud 2018, section 3.1), both 0 or more in expectation. Where inference is not
    amortized, the ELBO is the refined one, and the approximation gap the only one.
    """
    settings, figures = it.settings, dict[str, Any]()
    amortized = it.run.settings.inference == "amortized"
    refined, best = None, _Best("IWAE", values["iwae"])
    settled = None if amortized else values["elbo"]  # other posteriors are refined already
    if settings.refine_steps:
        if amortized:
            refined = attempt("refined", skipped, lambda: {"refined": _refined(it)}).get("refined")
        else:
            skipped["refined"] = f"{it.run.settings.inference} inference refines every posterior already"
    if settings.ais:
        annealed = attempt("ais", skipped, lambda: {"ais": _annealed(it)}).get("ais")
        if annealed is not None:
            figures["ais"] = with_rows(annealed["log_px"]) | {
                "temperatures": settings.temperatures,
                "chains": settings.chains,
                "effective_sample_size": annealed["effective_sample_size"].mean().item(),
                "acceptance": annealed["acceptance"].mean().item(),
            }
            best = best.or_better("AIS", annealed["log_px"])
    if refined is not None:
        # So that the approximation gap is never below zero.
        best = best.or_better("IWAE of the refined posteriors", refined.iwae)
        still = {"steps": settings.refine_steps, "rising": int(refined.rising.sum())}
        figures["refined"] = with_rows(refined.values) | still
        figures["amortization_gap"] = with_rows(refined.values - refined.start)
        settled = refined.values
    if settled is not None:
        rows = min(len(best.log_px), len(settled))
        gap = with_rows(best.log_px[:rows] - settled[:rows])
        figures["approximation_gap"] = gap | {"best": best.name}
    return figures


@dataclass(frozen=True)
class _Best:
    """The best estimate so far of log p(x) of rows, and what it is called."""

    name: str
    log_px: Tensor

    def or_better(self, name: str, log_px: Tensor) -> "_Best":
        """The larger in the mean over the rows of both: for each row, the larger would be biased upwards."""
        rows = min(len(log_px), len(self.log_px))
        return _Best(name, log_px) if log_px[:rows].mean() > self.log_px[:rows].mean() else self


def _refined(it: Subject) -> LogLikelihood:
    limit = None if it.settings.refine else it.refined_rows
    told = it.begin(REFINED, it.rows(limit) * (it.settings.refine_steps + LAST_STEPS))
    return compute_log_likelihood(
        it.model,
        it.blocks(limit),
        it.settings.refine_steps,
        log_det=it.run.log_det,
        seed=it.settings.seed,
        on_step=told,
        on_block=lambda rows: told(rows * LAST_STEPS),
    )


def _annealed(it: Subject) -> dict[str, Tensor]:
    """log p(x), effective sample size and acceptance of each annealed row."""
    settings, limit = it.settings, it.settings.limit or ANNEALED_ROWS
    told = it.begin(AIS, it.rows(limit) * transitions(settings.temperatures))
    parts: dict[str, list[Tensor]] = {"log_px": [], "effective_sample_size": [], "acceptance": []}
    for number, block in enumerate(it.blocks(limit)):
        result = annealed_importance_sampling(
            it.model,
            block,
            num_temperatures=settings.temperatures,
            num_chains=settings.chains,
            seed=derive_seed(settings.seed, "annealed block", number),
            on_move=told,
        )
        for name, found in parts.items():
            found.append(getattr(result, name).cpu())
    figures = {name: torch.cat(found) for name, found in parts.items()}
    figures["log_px"] = figures["log_px"] + it.run.log_det
    return figures
