"""The choices that make a run: data, model, objective. The attribute docstrings are the help texts."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

EMPTY = "[]"
"""An empty list, as a config.yaml says it."""


def _parse_widths(arguments: list[str]) -> tuple[int, ...] | None:
    text = arguments[0].strip()
    if text == EMPTY:
        return ()
    if text == "None":  # as a config.yaml without widths says it
        return None
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"{text!r} is no list of whole numbers such as 200,200") from None


def _parse_names(arguments: list[str]) -> tuple[str, ...]:
    if arguments[0] == EMPTY:
        return ()
    found = next(csv.reader([arguments[0]], skipinitialspace=True), [])
    names = tuple(name for part in found if (name := part.strip()))
    if not names:
        raise ValueError(f"{arguments[0]!r} names no column; give one, or leave the option out")
    return names


def write_names(names: Iterable[str]) -> str:
    """Names as `_parse_names` reads them: those that hold a comma in quotes."""
    names = list(names)
    if not names:
        return EMPTY
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


Widths = Annotated[
    tuple[int, ...] | None,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT,INT,...",
        instance_from_str=_parse_widths,
        is_instance=lambda value: (
            value is None or (isinstance(value, tuple) and all(isinstance(v, int) for v in value))
        ),
        str_from_instance=lambda value: ["None" if value is None else ",".join(map(str, value))],
    ),
]
"""Layer widths, written ``200,200``; None where they are left out."""


Names = Annotated[
    tuple[str, ...],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="COLUMN,COLUMN,...",
        instance_from_str=_parse_names,
        is_instance=lambda value: isinstance(value, tuple) and all(isinstance(v, str) for v in value),
        str_from_instance=lambda value: [write_names(value)],
    ),
]
"""Names of columns, written ``sex,education``; a name that holds a comma in double quotes."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What to train on."""

    section: ClassVar[str] = "data"

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")] = ""
    """A table (.csv, .tsv, .parquet, .arrow) or a folder of tables; a folder of images; .npy, .npz,
    FILE.npz:KEY; .h5ad, FILE.h5ad:LAYER; hf:NAME of Hugging Face; or digits, mnist, fashion-mnist,
    binarized-mnist or omniglot."""
    data_dir: Path | None = None
    """Folder of the named data sets; else $JENSEN_DATA, else a user cache, else they are downloaded."""
    binarize: Literal["none", "dynamic", "static"] = "none"
    """How grey images become zeros and ones for a Bernoulli decoder. dynamic: drawn anew each time a
    training image is used; static: drawn once. Figures of the two are not comparable."""
    schema: Path | None = None
    """For a table, a file that gives the types of its columns (an edited schema.yaml of a run); left out:
    they are inferred."""
    condition: Names = ()
    """For a table, the columns c that are given and not modelled: the model is p(x | c) of the others,
    samples are drawn for any c that is asked for, and every figure is of log p(x | c). A name that holds a
    comma needs double quotes. For images and arrays: label, the name of an image's folder or the y of an .npz
    file; for .h5ad also columns of obs, such as batch."""
    size: str | None = None
    """For images: the size to bring them to, a width or WIDTHxHEIGHT, such as 32 or 32x48: each is scaled
    until it covers that size, and its middle cut out. Needed where they have different sizes."""
    grey: bool = False
    """For images: make them grey. Left out: they are grey where all are, else in colour."""
    skip_bad: bool = False
    """For images: leave out those that cannot be read, and name them; else they are refused."""
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

    section: ClassVar[str] = "model"

    latent_dim: int = 8
    """Latent dimensions, M; with categorical latents, the number of variables."""
    network: Literal["auto", "mlp", "linear", "conv", "resnet"] = "auto"
    """Encoder and decoder network. conv: convolutions, for images; resnet: the same with residual blocks;
    linear: affine maps, which make the model probabilistic PCA. auto: conv for images from 8x8 to 256x256 of
    more than 1,024 numbers, else mlp."""
    hidden: Widths = None
    """Widths of the encoder's hidden layers; the decoder mirrors them. For conv and resnet: planes of each
    stage, which halves the image. Left out: 200,200, or for images 32,64,128,... down to 4x4."""
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
    exposure: Literal["none", "total"] = "none"
    """For counts. total: a datum's counts are shares of its own total (library size, sequencing depth), which
    is taken as given: latents then say which counts are large, not how many there are. Figures are of
    log p(x | total), and comparable with such figures only."""
    posterior: Literal[
        "auto",
        "diagonal",
        "full",
        "experts",
        "low-rank",
        "flow",
        "point",
        "categorical",
        "gumbel-softmax",
        "straight-through",
    ] = "auto"
    """Encoder family. auto: experts for tables of up to 10,000 training rows that miss cells, else diagonal.
    experts, for tables: full, the product of the prior and of a normal factor for each numeric cell that is
    there, with a decoder that has a linear part; both start at factor analysis. point: a vanilla autoencoder;
    gumbel-softmax and straight-through: categorical latents trained through their relaxation."""
    rank: int = 2
    """Rank of the low-rank posterior; left out with one latent: 1."""
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

    section: ClassVar[str] = "objective"

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
    """How the gradient of the bound is estimated. auto: pathwise, but doubly-reparameterized for iwae with a
    normal posterior, and score-function for categorical."""
    backward_samples: int | None = None
    """For doubly-reparameterized: of the --num-samples draws of a datum, how many the backward pass follows,
    picked by their weights. 5 of 50 take half the time. Left out: all."""
    baseline: Literal["auto", "none", "running-mean", "leave-one-out"] = "auto"
    """Baseline of the score function. auto: leave-one-out from two samples on, running-mean with one."""
    hide: float = 0.5
    """For tables: the share of each batch that the encoder sees a second time with cells hidden at random, so
    that it learns to read incomplete rows, as imputation needs; the decoder learns from whole rows alone.
    0 leaves the second showing out, and training is faster."""
    inference: Literal["amortized", "two-tier", "semi-amortized"] = "amortized"
    """amortized: one encoder; two-tier: no encoder, each datum's posterior by an inner maximisation;
    semi-amortized: the encoder starts, a few inner steps finish."""
    inner_steps: int | None = None
    """Inner steps for each batch; left out: 50 for two-tier, 10 for semi-amortized. With fewer than about
    50, two-tier posteriors stop short and bias the decoder."""
    inner_lr: float | None = None
    """Step size of the inner maximisation; left out: 0.4 for two-tier, 0.1 for semi-amortized. Diagonal
    and full posteriors take natural steps, a whole one while it is 0.1 or more."""
