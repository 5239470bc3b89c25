"""All that the page shows of a run, computed once."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.chunks import numbers_decoded
from jensen.config.evaluation import EvaluationSettings
from jensen.data import Dataset, Preparation, image_layout
from jensen.data.seeds import generator, seeded
from jensen.distributions.moments import diagonal_normal
from jensen.evaluation import Latents, encode, reconstruct, sample
from jensen.evaluation.associations import Agreement, agreement
from jensen.evaluation.samples import traversal
from jensen.families import Exposed
from jensen.figures import REFINED_ROWS, evaluate_run
from jensen.models import VAE
from jensen.progress import Begin, unseen
from jensen.run import Run
from jensen.training.device import choose_device
from jensen.training.history import Record

SEED = 0
"""The report's draws are always the same ones."""
PICTURED = 64
"""Rows kept for pictures of single rows."""
ROW_DRAWS = 1000
"""Draws of the model for what is seen of columns; pictures need at most `PICTURED`."""
FEW_ROWS = 50
"""Test rows that say too little of a column's distribution."""
ASSOCIATED = 100
"""Columns whose associations are measured, at most."""
TRAVERSED = 8
"""Latent dimensions traversed, at most."""
STEPS = 13
"""Places along a traversal, from -`REACH` to `REACH`."""
REACH = 3.0
"""Prior standard deviations to either side in a traversal."""


MOST_REFINED = 1 << 18
"""Numbers that a decoder makes of the refined rows, together. Each is made 2,300 times: of 200 rows of 5,000
counts that took nine tenths of the time of the page."""
FEWEST_REFINED = 16
"""Rows that are refined all the same: a gap of fewer says little."""


@dataclass(frozen=True)
class Look:
    """What was seen of a run; tensors of data are in the model's domain unless said otherwise."""

    run: Run
    dataset: Dataset
    preparation: Preparation
    history: list[Record]
    figures: dict[str, Any]
    """As `jensen.figures.evaluate_run` gives them, for the test split."""
    x: Tensor
    """Test rows, ``[N, *event]``, at most `ROW_DRAWS`."""
    compared: Tensor
    """Rows to compare draws with, ``[N, *event]``, at most `ROW_DRAWS`: the test rows or, where the data have
    fewer of these than `FEW_ROWS`, those of all splits."""
    labels: Tensor | None
    """Labels of all rows looked at, ``[N]`` int64."""
    latents: Latents
    """Of all rows looked at."""
    reconstructions: Tensor
    """E[x | z] at z = E[z | x] of the first `PICTURED` rows."""
    samples: Tensor
    """True draws of p(x); of a conditional model, and no image, for what is given of the test rows."""
    means: Tensor
    """E[x | z] at the latents of the first samples."""
    agreement: Agreement | None
    """Of associations between columns among the samples; None where they are not measured."""
    dimensions: list[int]
    """The latent dimensions that say most, most first."""
    walk: Tensor | None
    """E[x | z], ``[dimensions, STEPS, *event]``: one latent moves, the others stay at the prior's centre.
    None where latents cannot move freely (categories)."""
    standard_prior: bool
    """Whether the prior is N(0, I)."""
    total: float | None
    """Of counts given their total, that which E[x | z] is at, the median; None for all other data."""

    @property
    def is_image(self) -> bool:
        """Whether one datum can be shown as an image."""
        return self.dataset.is_image

    @property
    def layout(self) -> str | None:
        """``HW``, ``CHW`` or ``HWC`` of an image."""
        return image_layout(self.run.event_shape)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, counted from 1."""
        bounds = [line["validation_bound"] for line in self.history]
        return 1 + bounds.index(max(bounds))

    def given(self, x: Tensor, *, mean: bool = False) -> Tensor:
        """Model's domain -> the units of the data as given."""
        return self.preparation.invert(x, mean=mean)


@torch.no_grad()
def look(
    run: Run,
    *,
    num_samples: int,
    limit: int,
    data_dir: Path | None,
    device: str,
    begin: Begin = unseen,
) -> Look:
    """Evaluate a run on its test split, and draw all that the page shows.

    Raises:
        UserError: a file of the run is missing or damaged, the data are missing or others.
    """
    device = choose_device(device)
    dataset, history, model = run.dataset(data_dir), run.history(), run.model(device)
    with seeded(SEED):  # and the caller's generator is as it was
        settings = EvaluationSettings(num_samples=num_samples, limit=limit, seed=SEED)
        affordable = MOST_REFINED // max(math.prod(run.event_shape), numbers_decoded(model))
        refined_rows = min(REFINED_ROWS, max(FEWEST_REFINED, affordable))
        figures = evaluate_run(run, dataset, settings, device=device, refined_rows=refined_rows, begin=begin)
        latents = encode(model, (x.to(device) for x in run.blocks(dataset, "test", limit)))
        labels = None if dataset.labels is None else dataset.labels[dataset.splits["test"][:limit]]
        dimensions = by_content(latents)[:TRAVERSED]
        x = torch.cat(list(run.blocks(dataset, "test", min(limit, ROW_DRAWS))))
        compared = x
        if len(dataset.numbers("test")) < FEW_ROWS:
            of_all = replace(dataset, splits={"all": torch.arange(len(dataset.x))})
            compared = torch.cat(list(run.blocks(of_all, "all", ROW_DRAWS)))
        given = model.context_of(x.to(device))
        samples = _samples(model, given, is_image=dataset.is_image)
        return Look(
            run=run,
            dataset=dataset,
            preparation=run.preparation,
            history=history,
            figures=figures,
            x=x,
            compared=compared,
            labels=None if labels is None or len(labels.unique()) == 1 else labels,
            latents=latents,
            reconstructions=reconstruct(
                model.decoder,
                latents.mean[:PICTURED].to(device),
                context=None if given is None else given[:PICTURED],
            ),
            samples=samples,
            means=sample(model, PICTURED, mean=True, seed=SEED),
            agreement=_agreement(run, dataset, x, samples),
            dimensions=dimensions,
            walk=_walk(model, dimensions, device, None if given is None else given[0]),
            standard_prior=_is_standard(model.prior()),
            total=_total(model),
        )


def _samples(model: VAE, given: Tensor | None, *, is_image: bool) -> Tensor:
    """True draws of p(x): of images as many as are shown, of rows for each test row's condition in turn."""
    if is_image or given is None:
        return sample(model, PICTURED if is_image else ROW_DRAWS, seed=SEED)
    return sample(model, ROW_DRAWS, context=given[torch.arange(ROW_DRAWS) % len(given)], seed=SEED)


def _agreement(run: Run, dataset: Dataset, x: Tensor, samples: Tensor) -> Agreement | None:
    """Of associations among draws and test rows, beside as many training rows, evenly taken.

    Of a table's columns, the first `ASSOCIATED`; an array of more is a signal, or a picture.
    """
    schema, numbers = run.schema, dataset.splits["train"]
    if dataset.is_image or (schema is None and math.prod(run.event_shape) > ASSOCIATED):
        return None
    count = min(len(numbers), len(samples))
    some = numbers[torch.arange(count) * len(numbers) // count]
    training = run.preparation(dataset.source[some], generator(SEED, "report"))
    rows = [run.preparation.invert(r).double().flatten(1).numpy() for r in (x, samples[:count], training)]
    test, drawn, trained = (r[:, :ASSOCIATED] for r in rows)
    nominal = np.full(test.shape[1], run.preparation.support == "categories")
    if schema is not None:
        nominal = np.array([c.type == "categorical" for c in schema.modelled[:ASSOCIATED]])
    return agreement(test, drawn, trained, nominal, run.places_given)


def _total(model: VAE) -> float | None:
    """The median total, at which `jensen.distributions.exposure.Exposed` has its mean."""
    for module in model.modules():
        if isinstance(module, Exposed):
            return float(module.totals[len(module.totals) // 2])
    return None


def _walk(model: VAE, dimensions: list[int], device: str, given: Tensor | None) -> Tensor | None:
    prior = model.prior()
    if not _moves_freely(prior):
        return None
    try:
        centre, spread = prior.mean.cpu(), prior.stddev.cpu()
    except NotImplementedError:  # no closed form
        draws = prior.sample((ROW_DRAWS,))
        centre, spread = draws.mean(0).cpu(), draws.std(0).cpu()
    # In prior standard deviations: the same walk for every dimension and any prior.
    steps = traversal(torch.zeros_like(centre), dimensions, torch.linspace(-REACH, REACH, STEPS))
    z = (centre + spread * steps).flatten(0, 1).to(device)
    context = None if given is None else given.expand(len(z), -1)  # one and the same for the whole walk
    means = reconstruct(model.decoder, z, context=context)
    walk: Tensor = means.unflatten(0, steps.shape[:2])
    return walk


def latent_name(dimension: int) -> str:
    """What a latent dimension is called: as in the columns of ``jensen encode``."""
    return f"z{dimension}"


def _moves_freely(prior: Distribution) -> bool:
    """Whether z may take any real value, and not only categories or points of a simplex."""
    draws = prior.sample((PICTURED,))
    return bool(((draws < 0) | (draws > 1)).any())


def _is_standard(prior: Distribution) -> bool:
    normal = diagonal_normal(prior)
    return normal is not None and bool((normal.loc == 0).all() and (normal.scale == 1).all())


def by_content(latents: Latents) -> list[int]:
    """Latent dimensions by their mean rate, the highest first; by the spread of their means without one."""
    content = latents.mean.var(0, correction=0) if latents.rate is None else latents.rate.mean(0)
    order: list[int] = content.argsort(descending=True).tolist()
    return order
