"""Choices that follow from others or from the data are made here, and said."""

from jensen.config.rules import CATEGORICAL, check_combination, check_rows
from jensen.config.settings import Settings
from jensen.data import Dataset
from jensen.training.precision import choose_precision

INNER = {"two-tier": (50, 0.4), "semi-amortized": (10, 0.1)}
"""Steps and step size of the inner loop. From the prior it takes 50 to arrive, from the encoder few."""


def resolve(settings: Settings, dataset: Dataset) -> tuple[Settings, list[str]]:
    """The settings with every `auto` replaced by what it means for these data.

    Returns:
        The settings, and a sentence for each choice that a user might not expect.

    Raises:
        UserError: a combination that cannot be right (see `jensen.config.rules`).
    """
    said: list[str] = []
    s = settings
    if s.likelihood == "auto":
        binary = dataset.is_binary or s.binarize != "none"
        s = s.replace(likelihood="columns" if dataset.schema else "bernoulli" if binary else "normal")
    if s.scaling == "auto":
        scaled = s.likelihood in ("normal", "laplace", "student-t") or s.likelihood.startswith("discretized")
        s = s.replace(scaling=("standard" if dataset.is_image else "per-dimension") if scaled else "none")
    if s.variance == "shared" and s.likelihood.endswith("negative-binomial"):
        s = s.replace(variance="per-dimension")
    if s.prior == "auto":
        s = s.replace(prior="categorical" if s.posterior in CATEGORICAL else "standard")
        if s.prior == "categorical":
            said.append(f"the {s.posterior} posterior brings a uniform categorical prior")
    if s.bound == "auto":
        s = s.replace(bound="reconstruction" if s.posterior == "point" else "elbo")
        if s.bound == "reconstruction":
            said.append("the point posterior brings --bound reconstruction: a vanilla autoencoder, no KL")
    if s.estimator == "auto":
        s = s.replace(estimator="score-function" if s.posterior == "categorical" else "pathwise")
        if s.estimator == "score-function":
            said.append("categorical latents have no pathwise sampler: --estimator score-function")
    if s.baseline == "auto":
        s = s.replace(baseline="leave-one-out" if s.num_samples > 1 else "running-mean")
    if s.inference in INNER:
        steps, lr = INNER[s.inference]
        s = s.replace(inner_steps=s.inner_steps or steps, inner_lr=s.inner_lr or lr)
    precision, note = choose_precision(s.precision, s.likelihood, s.device)
    s = s.replace(precision=precision)
    said += [note] if note else []
    if s.posterior == "straight-through":
        said.append(
            "the straight-through gradient is biased: the bound's value is right, its gradient is not"
        )
    check_combination(s)
    check_rows(s, dataset)
    return s, said
