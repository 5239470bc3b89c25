"""The figures of a run: what `jensen evaluate` prints and the report shows."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.config.evaluation import EvaluationSettings
from jensen.data import Dataset
from jensen.data.seeds import derive_seed, seeded
from jensen.evaluation import encode, estimate, evaluate
from jensen.evaluation.aggregate import aggregate
from jensen.evaluation.ais import annealed_importance_sampling
from jensen.evaluation.bdmc import bidirectional
from jensen.evaluation.compiled import compiled
from jensen.models import VAE
from jensen.run import Run
from jensen.training.device import choose_device
from jensen.training.two_tier import compute_log_likelihood

REFINED_ROWS = 256
"""Rows that are refined unless more are asked for: a refined row costs about 2,300 decoder passes."""
ANNEALED_ROWS = 100
"""Rows that are annealed, and data simulated, unless a limit is given: a row costs 20,000 gradients."""
AGGREGATE_ROWS = 2000
"""Rows of which the aggregate posterior is made: its cost grows with their number times the draws'."""


@dataclass(frozen=True)
class _Subject:
    """What is measured: a run's model, its rows, and what is to be known of them."""

    run: Run
    model: VAE
    dataset: Dataset
    settings: EvaluationSettings

    def blocks(self, limit: int | None) -> Iterator[Tensor]:
        """The first ``limit`` rows (and no more than the settings allow), prepared, where the model is."""
        where = next(self.model.parameters()).device
        limits = [n for n in (limit, self.settings.limit) if n is not None]
        rows = self.run.blocks(self.dataset, self.settings.split, min(limits) if limits else None)
        return (x.to(where) for x in rows)


def evaluate_run(
    run: Run,
    dataset: Dataset,
    settings: EvaluationSettings | None = None,
    *,
    device: str = "auto",
    aggregate_too: bool = True,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """Every figure of a run on one split, ready for JSON; nats per datum of the data as given.

    Args:
        run: an opened run.
        dataset: its data, from ``run.dataset()``.
        settings: what to measure; `EvaluationSettings()` when left out.
        device: "auto", "cpu", "cuda", ...
        aggregate_too: compare the aggregate posterior with the prior.
        on_rows: told how many rows each finished block of the bounds had.

    Returns:
        ``{"unit", "split", "n", "elbo": {"value", "standard_error"}, "distortion", "rate", "iwae", ...}``,
        and, where they were measured, "refined", "ais", "amortization_gap", "approximation_gap", "bdmc",
        "aggregate"; "not_measured" says why others were not.
    """
    settings = settings or EvaluationSettings()
    model = compiled(run.model(choose_device(device)).requires_grad_(False))  # only latents need gradients
    it = _Subject(run, model, dataset, settings)
    with seeded(derive_seed(settings.seed, "posterior samples")):
        values = evaluate(
            it.model, it.blocks(None), settings.num_samples, log_det=run.log_det, on_block=on_rows
        )
        figures = _bounds(it, values) | _latents(it)
        skipped: dict[str, str] = {}
        if math.isnan(figures["elbo"]["value"]):
            figures["not_measured"] = {
                "bounds": "a point posterior has no density: no KL, no bound on log p(x)"
            }
            return figures
        figures |= _gaps(it, values, skipped)
        if settings.bdmc:
            figures |= _attempt("bdmc", skipped, lambda: {"bdmc": _sandwich(it)})
        if aggregate_too:
            figures |= _attempt("aggregate", skipped, lambda: {"aggregate": _aggregate(it)})
    figures["not_measured"] = skipped
    return figures


def _bounds(it: _Subject, values: dict[str, Tensor]) -> dict[str, Any]:
    """ELBO, distortion, rate, IWAE and, for dequantized data, bits per dimension."""
    run, settings = it.run, it.settings
    figures: dict[str, Any] = {"unit": "nats", "split": settings.split, "n": len(values["elbo"])}
    for name in ("elbo", "distortion", "rate", "iwae"):
        figures[name] = estimate(values[name]).to_dict()
    trace = it.model.trace(next(it.blocks(1)))
    figures["rate"]["exact"] = trace.has_density and all(trace.kl_is_exact)
    figures["iwae"]["num_samples"] = settings.num_samples
    figures["iwae"]["effective_sample_size"] = values["effective_sample_size"].mean().item()
    preparation = run.preparation
    if preparation.dequantize or (preparation.discrete and preparation.value_range == (0.0, 255.0)):
        # Only then is the figure a bound on the probability of 8-bit values.
        per_bit = -math.prod(run.event_shape) * math.log(2)
        figures["bits_per_dimension"] = estimate(values["iwae"] / per_bit).to_dict()
    figures["binarize"] = preparation.binarize
    figures["dequantize"] = preparation.dequantize
    figures["log_det"] = run.log_det
    if run.settings.condition:
        figures["condition"] = list(run.settings.condition)
    return figures


def _latents(it: _Subject) -> dict[str, Any]:
    """Active dimensions and the rate of each."""
    latents = encode(it.model, it.blocks(None))
    active = int(latents.active.sum())
    rates = None if latents.rate is None else latents.rate.mean(0).tolist()
    collapsed = latents.mean.shape[1] - active
    return {"latents": {"active": active, "collapsed": collapsed, "rate_per_dimension": rates}}


def _gaps(it: _Subject, values: dict[str, Tensor], skipped: dict[str, str]) -> dict[str, Any]:
    """The refined ELBO, annealing, and the two gaps, each difference over the same rows.

    ``amortization gap = refined ELBO - ELBO``, ``approximation gap = best estimate of log p(x) - refined
    ELBO`` (Cremer, Li & Duvenaud 2018, section 3.1), both 0 or more in expectation.
    """
    settings, figures = it.settings, dict[str, Any]()
    refined, best = None, _Best("IWAE", values["iwae"])
    if settings.refine_steps:
        if it.run.settings.inference == "amortized":
            refined = _attempt("refined", skipped, lambda: {"refined": _refined(it)}).get("refined")
        else:
            skipped["refined"] = f"{it.run.settings.inference} inference refines every posterior already"
    if settings.ais:
        annealed = _attempt("ais", skipped, lambda: {"ais": _annealed(it)}).get("ais")
        if annealed is not None:
            figures["ais"] = _estimate(annealed["log_px"]) | {
                "temperatures": settings.temperatures,
                "chains": settings.chains,
                "effective_sample_size": annealed["effective_sample_size"].mean().item(),
                "acceptance": annealed["acceptance"].mean().item(),
            }
            best = best.or_better("AIS", annealed["log_px"])
    if refined is not None:
        # So that the approximation gap is never below zero.
        best = best.or_better("IWAE of the refined posteriors", refined.iwae)
        figures["refined"] = _estimate(refined.values) | {"steps": settings.refine_steps}
        figures["amortization_gap"] = _estimate(refined.values - refined.start)
        rows = min(len(best.log_px), len(refined.values))
        gap = _estimate(best.log_px[:rows] - refined.values[:rows])
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


def _refined(it: _Subject) -> Any:
    blocks = it.blocks(None if it.settings.refine else REFINED_ROWS)
    return compute_log_likelihood(
        it.model, blocks, it.settings.refine_steps, log_det=it.run.log_det, seed=it.settings.seed
    )


def _annealed(it: _Subject) -> dict[str, Tensor]:
    """log p(x), effective sample size and acceptance of each annealed row."""
    parts: dict[str, list[Tensor]] = {"log_px": [], "effective_sample_size": [], "acceptance": []}
    for number, block in enumerate(it.blocks(it.settings.limit or ANNEALED_ROWS)):
        result = annealed_importance_sampling(
            it.model,
            block,
            num_temperatures=it.settings.temperatures,
            num_chains=it.settings.chains,
            seed=derive_seed(it.settings.seed, "annealed block", number),
        )
        for name, found in parts.items():
            found.append(getattr(result, name).cpu())
    figures = {name: torch.cat(found) for name, found in parts.items()}
    figures["log_px"] = figures["log_px"] + it.run.log_det
    return figures


def _sandwich(it: _Subject) -> dict[str, Any]:
    """Both sides of bidirectional Monte Carlo on data simulated from the model."""
    settings, n = it.settings, it.settings.limit or ANNEALED_ROWS
    result = bidirectional(
        it.model,
        n,
        num_temperatures=settings.temperatures,
        num_chains=settings.chains,
        seed=settings.seed,
    )
    sides = {"lower": result.lower, "upper": result.upper}
    figures = {name: _estimate(side + it.run.log_det) for name, side in sides.items()}
    return {"n": n, **figures, "gap": result.gap.to_dict()}


def _aggregate(it: _Subject) -> dict[str, Any]:
    return aggregate(it.model, it.blocks(AGGREGATE_ROWS), num_samples=1000, seed=it.settings.seed).to_dict()


def _estimate(values: Tensor) -> dict[str, Any]:
    return estimate(values).to_dict() | {"n": len(values)}


def _attempt(name: str, skipped: dict[str, str], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``measure`` gives; where the model does not allow it, note the reason and give nothing."""
    try:
        return measure()
    except (ValueError, NotImplementedError) as error:
        skipped[name] = " ".join(str(error).split())
        return {}
