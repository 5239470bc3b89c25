"""The choices that make a run: data, model, objective. The attribute docstrings are the help texts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


def _parse_widths(arguments: list[str]) -> tuple[int, ...]:
    text = arguments[0].strip()
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"{text!r} is no list of whole numbers such as 200,200") from None


Widths = Annotated[
    tuple[int, ...],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT,INT,...",
        instance_from_str=_parse_widths,
        is_instance=lambda value: isinstance(value, tuple) and all(isinstance(v, int) for v in value),
        str_from_instance=lambda value: [",".join(str(width) for width in value)],
    ),
]
"""Layer widths, written ``200,200``."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What to train on."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")] = ""
    """digits, mnist, fashion-mnist, binarized-mnist, omniglot, or a file: .npy, .npz, FILE.npz:KEY."""
    data_dir: Path | None = None
    """Folder of the named data sets; else $JENSEN_DATA, else a user cache, else they are downloaded."""
    binarize: Literal["none", "dynamic", "static"] = "none"
    """How grey images become zeros and ones for a Bernoulli decoder. dynamic: drawn anew each time a
    training image is used; static: drawn once. Figures of the two are not comparable."""
    schema: Path | None = None
    """For a table, a file that gives the types of its columns (an edited schema.yaml of a run); left out:
    they are inferred."""
    scaling: Literal["auto", "none", "standard", "per-dimension"] = "auto"
    """standard: one mean and scale for all; per-dimension: one for each. auto: standard for images,
    per-dimension for rows, none where the likelihood's domain is fixed. Figures are always in nats of the
    data as given."""
    validation_fraction: float = 0.1
    """Share of the rows held out for early stopping, where the data come without a validation split."""
    test_fraction: float = 0.1
    """Share of the rows held out for evaluation, where the data come without a test split."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The model: prior, encoder, decoder."""

    latent_dim: int = 8
    """Latent dimensions, M; with categorical latents, the number of variables."""
    network: Literal["mlp", "linear"] = "mlp"
    """Encoder and decoder network; linear: affine maps, which make the model probabilistic PCA."""
    hidden: Widths = (200, 200)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""
    activation: Literal["tanh", "relu", "leaky-relu", "elu", "gelu", "silu", "softplus"] = "silu"
    """Activation function of the hidden layers."""
    likelihood: Literal[
        "auto",
        "normal",
        "laplace",
        "student-t",
        "bernoulli",
        "continuous-bernoulli",
        "categorical",
        "discretized-logistic",
        "discretized-logistic-mixture",
        "poisson",
        "negative-binomial",
        "zero-inflated-negative-binomial",
        "columns",
    ] = "auto"
    """Decoder family. auto: columns for tables (a distribution for each column, by its type), bernoulli for
    zeros and ones (after binarization), else normal."""
    variance: Literal["shared", "unit", "fixed", "per-dimension", "network", "optimal"] = "shared"
    """Spread of a decoder that has one, in units of the scaled data. shared: one, learned; unit: 1;
    fixed: sigma; per-dimension: learned; network: of each datum; optimal: in closed form, batch by batch."""
    sigma: float = 1.0
    """The standard deviation for --variance fixed."""
    posterior: Literal[
        "diagonal", "full", "low-rank", "flow", "point", "categorical", "gumbel-softmax", "straight-through"
    ] = "diagonal"
    """Encoder family. point: a vanilla autoencoder; gumbel-softmax and straight-through: categorical
    latents trained through their relaxation."""
    rank: int = 2
    """Rank of the low-rank posterior."""
    categories: int = 10
    """Classes of each categorical latent variable."""
    temperature: float = 0.667
    """Temperature of the gumbel-softmax and straight-through posteriors."""
    prior: Literal["auto", "standard", "mixture", "vamp", "flow", "categorical"] = "auto"
    """Prior over the latents. auto: mixture for tables, categorical for such latents, else standard."""
    components: int = 20
    """Components of a mixture prior, pseudo-inputs of a vamp prior, or components of a mixture likelihood."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
    """What to maximise, and how its gradient is estimated."""

    bound: Literal["auto", "elbo", "beta", "free-bits", "iwae", "renyi", "reconstruction"] = "auto"
    """What training maximises. auto: elbo, or reconstruction (no KL) for a point posterior."""
    beta: float = 1.0
    """Weight of the KL for --bound beta: nats against nats, so it means the same at every image size."""
    free_bits: float = 0.5
    """Nats that each latent group is given free, for --bound free-bits."""
    alpha: float = 0.5
    """Order of the renyi bound; 0: iwae, 1: elbo."""
    kl: Literal["auto", "closed-form", "monte-carlo"] = "auto"
    """How the ELBO's KL is computed. auto: in closed form where there is one."""
    estimator: Literal[
        "auto", "pathwise", "score-function", "sticking-the-landing", "doubly-reparameterized"
    ] = "auto"
    """How the gradient of the bound is estimated. auto: pathwise, or score-function for categorical."""
    baseline: Literal["auto", "none", "running-mean", "leave-one-out"] = "auto"
    """Baseline of the score function. auto: leave-one-out from two samples on, running-mean with one."""
    hide: float = 0.5
    """For tables: the share of each batch that the encoder sees a second time with cells hidden at random, so
    that it learns to read incomplete rows, as imputation needs; the decoder learns from whole rows alone."""
    inference: Literal["amortized", "two-tier", "semi-amortized"] = "amortized"
    """amortized: one encoder; two-tier: no encoder, each datum's posterior by an inner maximisation;
    semi-amortized: the encoder starts, a few inner steps finish."""
    inner_steps: int | None = None
    """Inner steps for each batch; left out: 50 for two-tier, 10 for semi-amortized. With fewer than about
    50, two-tier posteriors stop short and bias the decoder."""
    inner_lr: float | None = None
    """Step size of the inner maximisation; left out: 0.4 for two-tier, 0.1 for semi-amortized."""
