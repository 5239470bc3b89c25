"""A model, its objective and its estimator from resolved settings."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from jensen import families, objectives
from jensen.config.linear_start import FACTOR_ROWS, expert_encoder, start_at_factors, with_linear_part
from jensen.config.names import BOUNDS, ESTIMATORS, INPUTS, LIKELIHOODS, POSTERIORS, PRIORS, Shape
from jensen.config.networks import decoder_network, encoder_network
from jensen.config.rules import DISPERSED
from jensen.config.settings import Settings
from jensen.config.tables import context_inputs, places_given
from jensen.data import Preparation
from jensen.families import Conditional
from jensen.models import VAE, ConditionalVAE
from jensen.models.conditional import PairEncoder, RowDecoder, RowEncoder
from jensen.models.local import Maximise, semi_amortized, two_tier
from jensen.networks import Beside, NormalizedLog1p
from jensen.networks.pictures import FromPlanes, ToPlanes
from jensen.objectives import Bound
from jensen.training import two_tier as inner
from jensen.training.incomplete import reads_incomplete
from jensen.training.step import Estimator

EXPONENTIAL = ("poisson", *DISPERSED)
"""Likelihoods whose means are exponentials of what the decoder says, unless totals are given."""
MARGINAL = ("bernoulli", "continuous-bernoulli", "categorical", *EXPONENTIAL)
"""Likelihoods of which a decoder starts at what the training rows are like without latents."""
MARGINAL_ROWS = 1024
"""Training rows whose shares (and totals, of counts with an exposure) are where a decoder starts."""


def build_bound(settings: Settings) -> Bound:
    """The bound that resolved settings name."""
    return BOUNDS[settings.bound](settings)


def build_memory(settings: Settings) -> nn.Module:
    """What the gradient estimator remembers from step to step; an empty module for most."""
    remembers = settings.estimator == "score-function" and settings.baseline == "running-mean"
    return objectives.RunningMean() if remembers else nn.Module()


def build_estimator(settings: Settings, memory: nn.Module) -> Estimator:
    """The gradient estimator of resolved settings, with its ``memory`` from `build_memory`."""
    estimator = ESTIMATORS[settings.estimator]
    if settings.estimator == "score-function":
        remembers = isinstance(memory, objectives.RunningMean)
        estimator = functools.partial(estimator, baseline=memory if remembers else settings.baseline)
    if settings.backward_samples is not None:
        estimator = functools.partial(estimator, backward_samples=settings.backward_samples)
    if settings.likelihood == "columns" and settings.inference == "amortized" and settings.hide:
        estimator = reads_incomplete(estimator, settings.hide)
    if settings.inference == "semi-amortized":
        estimator = inner.semi_amortized_estimator(estimator)
    return estimator


def rows_needed(settings: Settings, available: int) -> int:
    """How many training rows `build_model` looks at: pseudo-inputs, totals, shares, factors."""
    if settings.posterior == "experts":
        return max(settings.components, min(FACTOR_ROWS, available))
    return max(settings.components, MARGINAL_ROWS if settings.likelihood in MARGINAL else 0)


def _start_at_marginal(network: nn.Module, likelihood: nn.Module, rows: Tensor) -> None:
    """Let a decoder start at what the data are like without latents, where its family can say that.

    A dense one starts at the rates of each entry, a convolutional one at those of each channel.
    """
    marginal: Callable[[Tensor], Tensor] | None = getattr(likelihood, "marginal", None)
    if marginal is None or not isinstance(network, nn.Sequential):
        return
    last = network[-1]
    if isinstance(last, nn.Linear):
        raw = marginal(rows)
        last.bias.data[: len(raw)] = raw
    elif isinstance(last, FromPlanes):
        each = last.picture.channels, -1
        pixels = ToPlanes(last.picture)(rows).movedim(1, -1).flatten(0, -2)
        raw, bias = marginal(pixels).unflatten(0, each), cast(Tensor, network[-2].bias)
        bias.data.unflatten(0, each)[:, : raw.shape[1]] = raw


def _start_near_prior(encoder: nn.Sequential, rows: Tensor) -> None:
    """Let an encoder's raw outputs be no larger than 1 at the start, root mean square over the rows.

    Counts have no scale of their own, and large raw outputs are posteriors with standard deviations of any
    size, of which a decoder makes means far beyond all data.
    """
    last = list(encoder.modules())[-1]
    if isinstance(last, nn.Linear):
        with torch.no_grad():
            last.weight.div_(encoder(rows).square().mean().sqrt().clamp_min(1.0))


def build_model(
    settings: Settings, event_shape: Shape, preparation: Preparation, rows: Tensor | None = None
) -> VAE:
    """The model that resolved settings name, with fresh weights from torch's global generator.

    Args:
        settings: with every `auto` resolved (see `jensen.config.resolve`).
        event_shape: the shape of one datum.
        preparation: how the data reach the model; discretized likelihoods take their grid from it.
        rows: prepared training rows, so many as `rows_needed` says, to start from; None for weights to load.
    """
    if rows is not None and preparation.labels is not None:
        rows, _ = preparation.labels.split(rows)
    family = POSTERIORS[settings.posterior](settings, settings.latent_dim)
    decoder = _decoder(settings, math.prod(family.event_shape), event_shape, preparation, rows)
    given = places_given(settings.condition, preparation)
    if settings.inference == "two-tier":
        prior = PRIORS[settings.prior](settings, None, torch.empty(0))
        event_dim = 1 if given else len(event_shape)
        return _given(given, two_tier(prior, family, decoder, _inner_loop(settings), event_dim=event_dim))
    encoder: nn.Module = _encoder(settings, family, event_shape, preparation, rows)
    if settings.posterior == "experts" and rows is not None:
        start_at_factors(encoder, decoder, given, rows)
    start = torch.zeros(settings.components, *event_shape) if rows is None else rows[: settings.components]
    prior = PRIORS[settings.prior](settings, encoder, start)
    if given:
        labelled = preparation.labels is not None
        encoder = PairEncoder(encoder, event_shape) if labelled else RowEncoder(encoder, given)
    if settings.inference == "semi-amortized":
        return _given(given, semi_amortized(prior, encoder, decoder, _inner_loop(settings)))
    return _given(given, VAE(prior, encoder, decoder))


def _inner_loop(settings: Settings) -> Maximise:
    """The inner maximisation of resolved settings."""
    assert settings.inner_steps is not None
    assert settings.inner_lr is not None
    return inner.inner_loop(settings.inner_steps, settings.inner_lr)


def _encoder(
    settings: Settings, family: Any, event_shape: Shape, preparation: Preparation, rows: Tensor | None
) -> Conditional:
    """q(z | x), or q(z | x, labels): what stands before the network, the network, the family."""
    read, shape = INPUTS.get(preparation.support), event_shape
    transform: nn.Module | None = None
    if read is not None:
        transform, shape = read(preparation, event_shape)
    if settings.exposure == "total":
        transform = NormalizedLog1p(rows)
    if settings.posterior == "experts":
        return Conditional(expert_encoder(settings, transform, shape), family)
    label = preparation.labels is not None  # else what is given is among the columns that the network reads
    reads, more = context_inputs(settings.condition, preparation) if label else (None, 0)
    network = encoder_network(settings, event_shape, shape, family.num_outputs, more)
    if transform is not None and isinstance(network, Beside):
        network = Beside(network.network, transform, *network.trunk)
    elif transform is not None:
        network = nn.Sequential(transform, network)
        if rows is not None and settings.likelihood in EXPONENTIAL and settings.exposure == "none":
            _start_near_prior(network, rows)
    return Conditional(network, family, event_dim=len(event_shape), reads=reads)


def _decoder(
    settings: Settings, latents: int, event_shape: Shape, preparation: Preparation, rows: Tensor | None
) -> nn.Module:
    """p(x | z), or p(x | z, c) as a distribution of whole rows."""
    likelihood = LIKELIHOODS[settings.likelihood](settings, event_shape, preparation)
    reads, more = context_inputs(settings.condition, preparation)
    network = decoder_network(settings, event_shape, latents + more, likelihood)
    if settings.posterior == "experts":
        network = with_linear_part(network, latents + more, likelihood.num_outputs)
    if settings.exposure == "total":
        likelihood = families.Exposed(likelihood, rows)
    if rows is not None:
        _start_at_marginal(network, likelihood, rows)
    if reads is None:
        return Conditional(network, likelihood)
    decoder = Conditional(Beside(network), likelihood, reads=reads)
    given = places_given(settings.condition, preparation)
    size = math.prod(event_shape) + (0 if preparation.labels is None else len(given))
    return RowDecoder(decoder, given, size)


def _given(places: Sequence[int], model: VAE) -> VAE:
    """The model, told which places of a row are given."""
    return ConditionalVAE(model.prior, model.encoder, model.decoder, places) if places else model
