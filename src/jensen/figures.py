"""The figures of a run: what `jensen evaluate` prints and the report shows."""

import math
from collections.abc import Callable
from typing import Any

import torch

from jensen.data import Dataset
from jensen.data.seeds import derive_seed
from jensen.evaluation import encode, estimate, evaluate
from jensen.run import Run, choose_device


def evaluate_run(
    run: Run,
    dataset: Dataset,
    *,
    split: str = "test",
    num_samples: int = 1000,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    on_rows: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """Every figure of a run on one split, ready for JSON; nats per datum of the data as given.

    Args:
        run: an opened run.
        dataset: its data, from ``run.dataset()``.
        split: "train", "validation" or "test".
        num_samples: K of the importance-weighted bound.
        limit: only the first so many rows.
        seed: seed of the posterior samples.
        device: "auto", "cpu", "cuda", ...
        on_rows: told how many rows each finished block had.

    Returns:
        ``{"unit", "split", "n", "elbo": {"value", "standard_error"}, "distortion", "rate", "iwae", ...}``.
    """
    model = run.model(choose_device(device))
    where = next(model.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "posterior samples"))
        blocks = (x.to(where) for x in run.blocks(dataset, split, limit))
        values = evaluate(model, blocks, num_samples, log_det=run.log_det, on_block=on_rows)
        latents = encode(model, (x.to(where) for x in run.blocks(dataset, split, limit)))
        first = next(run.blocks(dataset, split, 1))
        exact = all(model.trace(first.to(where)).kl_is_exact)
    figures: dict[str, Any] = {"unit": "nats", "split": split, "n": len(values["elbo"])}
    for name in ("elbo", "distortion", "rate", "iwae"):
        figures[name] = estimate(values[name]).to_dict()
    figures["rate"]["exact"] = exact
    figures["iwae"]["num_samples"] = num_samples
    figures["iwae"]["effective_sample_size"] = values["effective_sample_size"].mean().item()
    preparation = run.preparation
    if preparation.dequantize:  # only then is the density a bound on the probability of 8-bit values
        per_bit = -math.prod(run.event_shape) * math.log(2)
        figures["bits_per_dimension"] = estimate(values["iwae"] / per_bit).to_dict()
    active = int(latents.active.sum())
    figures["latents"] = {
        "active": active,
        "collapsed": latents.mean.shape[1] - active,
        "rate_per_dimension": None if latents.rate is None else latents.rate.mean(0).tolist(),
    }
    figures["binarize"] = preparation.binarize
    figures["dequantize"] = preparation.dequantize
    figures["log_det"] = run.log_det
    return figures
