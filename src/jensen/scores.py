"""The scores of a run's rows, and those of its training rows, beside which they are judged."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from jensen.data import Dataset, generator
from jensen.data.seeds import ONE_DRAW
from jensen.data.shares import draw_distinct
from jensen.errors import UserError
from jensen.evaluation.compiled import compiled
from jensen.evaluation.score import Scores, score_blocks
from jensen.models import VAE
from jensen.progress import Begin, told_of, unseen
from jensen.run import Run
from jensen.tensors import load_tensors, save_tensors

REFERENCE_ROWS = 2000
"""Training rows, drawn by the seed, among which percentiles are told: to 1 in 2,000."""
BY_HEART = 0.7
"""Of pairs of a training row and one held out, the share in which the former may score higher. It is 1/2 of a
model that has not learned its rows."""


class NoReferenceError(UserError):
    """The scores of the training rows are not there, and neither are the rows to score."""


def score_rows(
    run: Run, model: VAE, blocks: Iterator[Tensor], *, num_samples: int, seed: int, per_column: bool = False
) -> Iterator[Scores]:
    """The scores of prepared rows, block after block, in nats of the data as given.

    Raises:
        UserError: shares of the columns were asked for, and the likelihood does not split.
    """
    where = next(model.parameters()).device
    return score_blocks(
        model if per_column else compiled(model.requires_grad_(False)),
        (x.to(where) for x in blocks),
        num_samples,
        log_det=run.preparation.log_det_by_entry(run.event_shape),
        per_column=per_column,
        seed=seed,
    )


def column_names(run: Run) -> list[str]:
    """The names of the columns of a datum that the model has a likelihood of, as in `Run.names`."""
    given = () if run.schema is None else run.settings.condition
    return [name for name in run.names if name not in given]


def reference_scores(run: Run, model: VAE, *, num_samples: int, seed: int, begin: Begin = unseen) -> Tensor:
    """log p(x) of training rows, ``[N]``: computed once for each K and seed, and kept in the run's folder.

    Where they cannot be kept, or what was kept is damaged, they are computed anew; ``begin`` is told of that.

    Raises:
        NoReferenceError: they are not there yet, and the training data are missing or others.
    """
    key = json.dumps([run.identity, num_samples, seed, REFERENCE_ROWS, "alike", ONE_DRAW])
    digest = hashlib.sha256(key.encode()).hexdigest()
    path = run.path / "reference.safetensors"
    with suppress(UserError):
        kept, metadata = load_tensors(path)
        if metadata.get("key") == digest:
            return kept["log_px"]
    try:
        dataset = run.dataset()
    except UserError as error:
        raise NoReferenceError(str(error)) from None
    train = dataset.numbers("train")
    some = train[draw_distinct(len(train), REFERENCE_ROWS, generator(seed, "reference"))]
    rows = run.blocks(replace(dataset, splits={"train": some}), "train", alike=True)
    rows = told_of(rows, begin("scoring training rows", len(some)))
    parts = score_rows(run, model, rows, num_samples=num_samples, seed=seed)
    found = torch.cat([part.log_px for part in parts])
    with suppress(UserError):
        save_tensors(path, {"log_px": found}, {"key": digest})
    return found


def learned_by_heart(run: Run, dataset: Dataset, log_px: Tensor) -> float | None:
    """How often a training row scores higher than one held out, where that is too often; else None.

    The share of pairs, P(s > s') of a training score s and a held-out one s' (Mann & Whitney 1947; the area
    under a ROC curve), is 1/2 for a model that has not learned its rows by heart, and few outliers hardly
    move it. Too often is more than `BY_HEART`, and three standard errors above 1/2.

    Args:
        run: whose rows these may be.
        dataset: the rows that were scored; unless they are those of the run, all of them, nothing is known.
        log_px: their scores, ``[N]``.
    """
    if len(log_px) != run.recorded["data"]["shape"][0]:
        return None
    try:
        known = run.dataset()
    except UserError:  # moved, or others
        return None
    if known.digest != dataset.digest:
        return None
    trained, held_out = (
        torch.cat([log_px[known.numbers(split)[:]] for split in splits])
        for splits in (("train",), ("validation", "test"))
    )
    n, m = len(trained), len(held_out)
    ordered = held_out.sort().values
    below, not_above = (torch.searchsorted(ordered, trained, right=right) for right in (False, True))
    share = float((below + not_above).sum()) / (2 * n * m)  # half of a pair whose scores are equal
    error = math.sqrt((n + m + 1) / (12 * n * m))
    return share if share > max(BY_HEART, 0.5 + 3 * error) else None
