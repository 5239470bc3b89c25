"""Choices that follow from others or from the data are made here, and said."""

import math
import sys

import numpy as np

from jensen.config.data_rules import check_rows
from jensen.config.effect import CATEGORICAL, DEFAULTS
from jensen.config.networks import CONVOLUTIONS, choose_network
from jensen.config.rules import check_combination
from jensen.config.settings import Settings
from jensen.data import Dataset
from jensen.data.arrays import looks_like_counts
from jensen.data.labels import LABEL, listed
from jensen.training.precision import choose_precision

INNER = {"two-tier": (50, 0.4), "semi-amortized": (10, 0.1)}
"""Steps and step size of the inner loop. From the prior it takes 50 to arrive, from the encoder few."""

NORMAL = ("diagonal", "full", "low-rank", "experts")
"""Posteriors that are normal given x."""

LEARNING_RATE = {"adam": 1e-3, "adamw": 1e-3, "muon": 1e-2}
"""Where it is left out, by optimizer; muon's is for batches of 512."""

TABLE_ROWS = 1_500_000
"""Rows that training on a table shows in all, by default. On Adult, 60 passes: see docs/tables.md."""

CLIP_RATIO = 10.0
"""Of convolutions, whose first steps can go far astray: benchmarks/gradient_spikes.py."""

FEW_ROWS = 10_000
"""Training rows, at most, of a table whose missing cells choose its posterior: docs/tables.md tried few."""


def resolve(settings: Settings, dataset: Dataset) -> tuple[Settings, list[str]]:
    """The settings with every `auto` replaced by what it means for these data.

    Returns:
        The settings, and a sentence for each choice that a user might not expect.

    Raises:
        UserError: a combination that cannot be right (see `jensen.config.rules`), or does not suit the data.
    """
    said: list[str] = []
    s = _likelihood(settings, dataset, said)
    s = choose_network(s, dataset.event_shape, said)
    s = _posterior(s, dataset, said)
    s = _objective(s, said)
    precision, note = choose_precision(s.precision, s.likelihood, s.device)
    s = s.replace(precision=precision)
    if s.grad_clip_ratio is None:
        s = s.replace(grad_clip_ratio=CLIP_RATIO if s.network in CONVOLUTIONS else 0.0)
    s = _paced(s, min(len(dataset.numbers("train")), s.epoch_rows or sys.maxsize))
    check_combination(s)
    check_rows(s, dataset)
    return s, [*said, *filter(None, [note]), *_remarks(s, dataset)]


def _likelihood(s: Settings, dataset: Dataset, said: list[str]) -> Settings:
    """The settings with likelihood, scaling and variance chosen."""
    if s.likelihood == "auto":
        binary = dataset.is_binary or s.binarize != "none"
        numbers = "negative-binomial" if dataset.is_count else "normal"
        s = s.replace(likelihood="columns" if dataset.schema else "bernoulli" if binary else numbers)
        if s.likelihood == "negative-binomial":
            said.append("the values are counts: --likelihood negative-binomial")
        elif s.likelihood == "normal" and looks_like_counts(dataset.x):
            said.append(
                "the values are whole numbers from 0, here modelled as real ones (--likelihood normal); if "
                "they are counts, add --likelihood negative-binomial (and see --exposure)"
            )
    if s.scaling == "auto":
        scaled = s.likelihood in ("normal", "laplace", "student-t") or s.likelihood.startswith("discretized")
        s = s.replace(scaling=("standard" if dataset.is_image else "per-dimension") if scaled else "none")
    if s.variance == "shared" and s.likelihood.endswith("negative-binomial"):
        s = s.replace(variance="per-dimension")
    return s


def _posterior(s: Settings, dataset: Dataset, said: list[str]) -> Settings:
    """The settings with the posterior, and what it cannot do without, chosen."""
    if s.posterior == "low-rank" and s.latent_dim == 1 and s.rank == DEFAULTS["rank"]:
        said.append("one latent has no higher rank: --rank 1")
        return s.replace(rank=1)
    if s.posterior != "auto":
        return s
    gaps = s.likelihood == "columns" and s.inference != "two-tier" and _misses_cells(dataset)
    if gaps:
        said.append("a table of few rows with missing cells brings --posterior experts")
    return s.replace(posterior="experts" if gaps else "diagonal")


def _objective(s: Settings, said: list[str]) -> Settings:
    """The settings with prior, bound, estimator, baseline and inner loop chosen."""
    if s.prior == "auto":
        # A learned prior follows the aggregate posterior, so that samples of a table have its shapes.
        trained = s.posterior != "point" and s.bound != "reconstruction"
        learned = s.likelihood == "columns" and trained and s.kl != "closed-form"
        plain = "mixture" if learned else "standard"
        s = s.replace(prior="categorical" if s.posterior in CATEGORICAL else plain)
        if s.prior == "categorical":
            said.append(f"the {s.posterior} posterior brings a uniform categorical prior")
    if s.bound == "auto":
        s = s.replace(bound="reconstruction" if s.posterior == "point" else "elbo")
        if s.bound == "reconstruction":
            said.append("the point posterior brings --bound reconstruction: a vanilla autoencoder, no KL")
    if s.estimator == "auto":
        s = s.replace(estimator=_estimator(s))
        if s.estimator == "score-function":
            said.append("categorical latents have no pathwise sampler: --estimator score-function")
        elif s.estimator == "doubly-reparameterized":
            said.append("the iwae bound brings --estimator doubly-reparameterized")
    if s.baseline == "auto" and s.estimator == "score-function":
        s = s.replace(baseline="leave-one-out" if s.num_samples > 1 else "running-mean")
    if s.inference in INNER:
        steps, lr = INNER[s.inference]
        s = s.replace(inner_steps=s.inner_steps or steps, inner_lr=s.inner_lr or lr)
    return s


def _estimator(s: Settings) -> str:
    """What `auto` means for the chosen bound and posterior."""
    if s.posterior == "categorical":
        return "score-function"
    # After as many epochs it ends at better bounds (benchmarks/estimator_bounds.py, amortized and normal
    # posteriors alone); a flow would have to invert itself for it, draw by draw.
    better = s.bound == "iwae" and s.posterior in NORMAL and s.inference == "amortized"
    return "doubly-reparameterized" if better else "pathwise"


def _remarks(s: Settings, dataset: Dataset) -> list[str]:
    """What the figures of the run mean where that is not plain."""
    said = []
    if s.bound == "beta" and s.beta == 1:
        said.append("--bound beta with --beta 1 is the ELBO; give the KL another weight, such as --beta 4")
    if s.bound in ("iwae", "renyi") and s.num_samples == 1:
        said.append(f"with --num-samples 1 the {s.bound} bound is the ELBO; give 5 or more")
    if s.epochs is not None and s.kl_warmup >= s.epochs:
        said.append(
            f"--kl-warmup {s.kl_warmup} leaves none of the {s.epochs} epochs with the whole KL: training "
            "ends before it maximises the bound"
        )
    if s.exposure == "total":
        said.append("--exposure total: figures are of log p(x | total), comparable with such figures only")
    if s.posterior == "straight-through":
        said.append(
            "the straight-through gradient is biased: the bound's value is right, its gradient is not"
        )
    if s.condition and dataset.given is None:
        given = ", ".join(s.condition)
        said.append(f"conditional on {given}: p(x) stands for p(other columns | {given}) in every figure")
    elif dataset.given is not None:
        given = ", ".join(dataset.given.levels)
        each = [
            f"{'the ' if name == LABEL else ''}{name} ({len(levels)}: {listed(levels, name)})"
            for name, levels in dataset.given.levels.items()
        ]
        said.append(f"conditional on {', '.join(each)}: p(x) stands for p(x | {given}) in every figure")
    return said


def _misses_cells(dataset: Dataset) -> bool:
    """Whether rows for training, few in all, have missing cells."""
    few = len(dataset.numbers("train")) <= FEW_ROWS
    return few and bool(dataset.rows("train").isnan().any())


def _paced(s: Settings, rows: int) -> Settings:
    """How long and in what steps to train on epochs of so many rows, where that was left out.

    A table is trained for about the same number of steps, whatever its length: large batches, few passes and
    a schedule that ends. The learning rate grows with the root of the batch (Malladi et al. 2022).
    """
    table = s.likelihood == "columns"
    epochs = s.epochs or (int(np.clip(round(TABLE_ROWS / rows), 5, 200)) if table else 200)
    batch_size = s.batch_size or (int(np.clip(rows // 50, 16, 512)) if table else 128)
    lr = s.lr or LEARNING_RATE[s.optimizer] * (max(1.0, math.sqrt(batch_size / 128)) if table else 1.0)
    schedule = s.lr_schedule
    if schedule == "auto":
        schedule = "cosine" if table else "plateau"
    return s.replace(epochs=epochs, batch_size=batch_size, lr=lr, lr_schedule=schedule)
