"""Measuring the figures of a run: what `jensen evaluate` prints and the report shows."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from jensen.config.evaluation import EvaluationSettings
from jensen.data import Dataset
from jensen.data.seeds import derive_seed, seeded
from jensen.evaluation import encode, estimate, evaluate
from jensen.evaluation.aggregate import PASSES, aggregate
from jensen.evaluation.ais import transitions
from jensen.evaluation.bdmc import bidirectional
from jensen.evaluation.compiled import compiled
from jensen.figures.gaps import gaps
from jensen.figures.lines import conditions
from jensen.figures.subject import (
    AGGREGATE,
    ANNEALED_ROWS,
    BDMC,
    BOUNDS,
    LATENTS,
    Subject,
    attempt,
    planned,
    with_rows,
)
from jensen.progress import Begin, told_of, unseen
from jensen.run import Run
from jensen.training.device import choose_device

REFINED_ROWS = 256
"""Rows that are refined unless more are asked for: a refined row costs about 2,300 decoder passes."""
AGGREGATE_ROWS = 2000
"""Rows of which the aggregate posterior is made: its cost grows with their number times the draws'."""


def evaluate_run(
    run: Run,
    dataset: Dataset,
    settings: EvaluationSettings | None = None,
    *,
    device: str = "auto",
    aggregate_too: bool = True,
    refined_rows: int = REFINED_ROWS,
    begin: Begin = unseen,
    on_rows: Callable[[dict[str, Tensor]], None] = lambda values: None,
) -> dict[str, Any]:
    """Every figure of a run on one split, ready for JSON; nats per datum of the data as given.

    Args:
        run: an opened run.
        dataset: its data, from ``run.dataset()``.
        settings: what to measure; `EvaluationSettings()` when left out.
        device: "auto", "cpu", "cuda", ...
        aggregate_too: compare the aggregate posterior with the prior.
        refined_rows: rows that are refined, where the settings do not ask for all.
        begin: told of each part that is begun, for progress (see `jensen.progress.parts`).
        on_rows: given the figures of each row, ``{"elbo", "distortion", "rate", "iwae", ...}`` ``[n]``.

    Returns:
        ``{"unit", "split", "n", "elbo": {"value", "standard_error"}, "distortion", "rate", "iwae", ...}``;
        "condition", where p(x) stands for p(x | c); where they were measured, "refined", "ais",
        "amortization_gap", "approximation_gap", "bdmc", "aggregate"; "not_measured" says why others were not.
    """
    settings = settings or EvaluationSettings()
    model = compiled(run.model(choose_device(device)).requires_grad_(False))  # only latents need gradients
    parts = planned(run, settings, aggregate_too=aggregate_too)
    it = Subject(run, model, dataset, settings, refined_rows, parts, begin)
    with seeded(derive_seed(settings.seed, "posterior samples")):
        told = it.begin(BOUNDS, it.rows() * settings.num_samples)
        values = evaluate(it.model, it.blocks(), settings.num_samples, log_det=run.log_det, on_draws=told)
        on_rows(values)
        figures = _bounds(it, values) | _latents(it)
        skipped: dict[str, str] = {}
        if math.isnan(figures["elbo"]["value"]):
            figures["not_measured"] = {
                "bounds": "a point posterior has no density: no KL, no bound on log p(x)"
            }
            return figures
        figures |= gaps(it, values, skipped)
        if settings.bdmc:
            figures |= attempt("bdmc", skipped, lambda: {"bdmc": _sandwich(it)})
        if aggregate_too:
            figures |= attempt("aggregate", skipped, lambda: {"aggregate": _aggregate(it)})
    figures["not_measured"] = skipped
    return figures


def _bounds(it: Subject, values: dict[str, Tensor]) -> dict[str, Any]:
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
    if conditions(run.settings):
        figures["condition"] = conditions(run.settings)
    return figures


def _latents(it: Subject) -> dict[str, Any]:
    """Active dimensions and the rate of each."""
    latents = encode(it.model, told_of(it.blocks(), it.begin(LATENTS, it.rows())))
    active = int(latents.active.sum())
    rates = None if latents.rate is None else latents.rate.mean(0).tolist()
    collapsed = latents.mean.shape[1] - active
    return {"latents": {"active": active, "collapsed": collapsed, "rate_per_dimension": rates}}


def _sandwich(it: Subject) -> dict[str, Any]:
    """Both sides of bidirectional Monte Carlo on data simulated from the model.

    Raises:
        ValueError: the model simulates data of which it does not know the posterior.
    """
    settings, n = it.settings, it.settings.limit or ANNEALED_ROWS
    if it.run.settings.exposure == "total" and it.run.settings.likelihood != "poisson":
        # Counts drawn at a total N' add up to another N, and p(z | x, N) is not p(z | x, N'), from which z
        # is a draw. Of a Poisson the two are the same: its shares are multinomial at any total.
        raise ValueError(
            "simulated counts have other totals than they were drawn at (--exposure total), so that their "
            "latents are no exact draws of the posterior, which the upper bound needs"
        )
    result = bidirectional(
        it.model,
        n,
        num_temperatures=settings.temperatures,
        num_chains=settings.chains,
        seed=settings.seed,
        on_move=it.begin(BDMC, n * transitions(settings.temperatures, sweeps=2)),
    )
    sides = {"lower": result.lower, "upper": result.upper}
    figures = {name: with_rows(side + it.run.log_det) for name, side in sides.items()}
    return {"n": n, **figures, "gap": result.gap.to_dict()}


def _aggregate(it: Subject) -> dict[str, Any]:
    told = it.begin(AGGREGATE, PASSES * it.rows(AGGREGATE_ROWS))
    blocks = it.blocks(AGGREGATE_ROWS)
    return aggregate(it.model, blocks, num_samples=1000, seed=it.settings.seed, on_rows=told).to_dict()
