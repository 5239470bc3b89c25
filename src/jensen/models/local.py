"""The two-tier model: each datum's posterior is found by an inner maximisation, not by a network.

To the rest of jensen such a model is a VAE like any other, with an encoder that takes longer:
``posterior(x)`` runs the inner loop. Nothing is kept between calls; each datum starts afresh.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.models.vae import VAE


class Maximised(Protocol):
    """What an inner maximisation hands back."""

    @property
    def raw(self) -> Tensor:
        """The parameters found: raw outputs of the posterior family, ``[B, num_outputs]``, detached."""
        ...


class Maximise(Protocol):
    """An inner maximisation, as ``functools.partial(jensen.training.two_tier.refine, steps=50, lr=0.4)``.

    That step size is for `two_tier`, where each search starts at the prior; 0.1 suits an encoder's start
    (`semi_amortized`). `jensen.training.two_tier.inner_loop` makes either.
    """

    def __call__(self, model: VAE, x: Tensor, *, context: Tensor | None = None) -> Maximised:
        """Maximise each datum's ELBO over the raw outputs of ``model.encoder.family``, from its start."""
        ...


class Neutral(nn.Module):
    """An encoder that looks at nothing: ``family(0)`` for every datum, a place to start from.

    For jensen's Gaussian families with a learned scale that is the prior N(0, I).

    Args:
        family: raw outputs ``[*batch, num_outputs] -> Distribution`` (see `jensen.families`).
        event_dim: how many trailing dimensions make one datum.
    """

    def __init__(self, family: nn.Module, event_dim: int = 1) -> None:
        super().__init__()
        self.family: Any = family
        self.event_dim = event_dim
        # Of the type that the weights have: the codes of a table are float64 beside float32 weights.
        self.like = nn.Buffer(torch.zeros(0), persistent=False)

    def raw(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Zeros, ``[*batch, num_outputs]``."""
        batch = x.shape[: x.dim() - self.event_dim]
        return self.like.new_zeros(*batch, self.family.num_outputs, device=x.device)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        q: Distribution = self.family(self.raw(x, context))
        return q


class Unamortized(nn.Module):
    """The posterior by optimisation: ``q(z | x_j) = family(w_j)``, ``w_j = argmax_w ELBO(w, theta | x_j)``.

    The inner loop of Compute_LL. ``w_j`` is a constant to autograd, so that a trace's gradient with respect
    to decoder and prior is taken with w held fixed. At the maximum this is the whole gradient, by the
    envelope theorem:
    ``d/dtheta max_w ELBO(w, theta) = (partial/partial theta) ELBO(w*, theta)``, as ELBO is flat in w there.
    An inner loop that stops short leaves a valid bound and a gradient that lacks a term of that order.

    Args:
        start: where the search begins: `Neutral`, or an amortized encoder (a `Conditional`, or any module
            with ``family`` and ``raw(x, context)``).
        prior: the prior of the model that this encoder is for.
        decoder: its decoder.
        maximise: the inner maximisation.
    """

    def __init__(self, start: nn.Module, prior: nn.Module, decoder: nn.Module, maximise: Maximise) -> None:
        super().__init__()
        self.start: Any = start
        self.maximise = maximise
        # In a tuple, which nn.Module does not look into: these weights are the model's, not the encoder's.
        self._model = (VAE(prior, start, decoder),)

    @property
    def family(self) -> Any:
        """The posterior family. Its own weights, if it has any, are outer parameters like the decoder's."""
        return self.start.family

    def raw(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Where the search starts, ``[B, num_outputs]``; differentiable in the weights of ``start``."""
        raw: Tensor = self.start.raw(x, context)
        return raw

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """q(z | x) at the maximum found, batch shape ``[B]``."""
        q: Distribution = self.family(self.maximise(self._model[0], x, context=context).raw)
        return q


def two_tier(
    prior: nn.Module, family: nn.Module, decoder: nn.Module, maximise: Maximise, event_dim: int = 1
) -> VAE:
    """A model without an encoder network: every posterior is maximised from the neutral start.

    Trained with any estimator, it follows ``max_theta mean_j max_w ELBO(w, theta | x_j)``.

    Args:
        prior: ``forward() -> Distribution`` over z.
        family: the posterior family, one set of raw outputs a datum.
        decoder: ``forward(z, context) -> Distribution`` over x.
        maximise: the inner maximisation.
        event_dim: how many trailing dimensions of x make one datum.
    """
    return VAE(prior, Unamortized(Neutral(family, event_dim), prior, decoder, maximise), decoder)


def semi_amortized(prior: nn.Module, encoder: nn.Module, decoder: nn.Module, maximise: Maximise) -> VAE:
    """A model whose encoder starts the inner maximisation, which finishes it.

    The scheme of Krishnan, Liang & Hoffman 2018, which Kim et al. 2018 call VAE+SVI; their own SA-VAE
    differentiates through the inner steps, and this does not.

    Its posterior is the refined one. Train it with `jensen.training.two_tier.semi_amortized_estimator`, which
    also gives the encoder a gradient; any other estimator leaves the encoder as it is.

    Args:
        prior: ``forward() -> Distribution`` over z.
        encoder: a `Conditional`, or any module with ``family`` and ``raw(x, context)``.
        decoder: ``forward(z, context) -> Distribution`` over x.
        maximise: the inner maximisation, for example with 10 steps.
    """
    return VAE(prior, Unamortized(encoder, prior, decoder, maximise), decoder)
