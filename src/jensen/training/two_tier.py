"""The two-tier loop: the log-likelihood by an inner maximisation for each datum, and training on it.

Three ways to find the posterior, one loop (`jensen.training.loop.train`):

- *amortized*: ``max_w,theta mean_j ELBO(w, theta | x_j)``, one encoder for all data. Any `VAE`.
- *two-tier*: ``max_theta mean_j max_w ELBO(w, theta | x_j)``: the likelihood itself where the family holds
  the posterior, and the inner steps reach it. A model made by `jensen.models.local.two_tier`; any
  estimator, as the posterior is a constant to it. The inner loop maximises the ELBO whatever the bound,
  and so without the KL's weight during warm-up.
- *semi-amortized*: an encoder starts, a few inner steps finish. A model made by
  `jensen.models.local.semi_amortized`, and an estimator by `semi_amortized_estimator` below.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import check_count
from jensen.data.seeds import derive_seed
from jensen.mode import NO_BLOCKS, measuring, with_contexts
from jensen.objectives import Bound, pathwise
from jensen.objectives.bounds import log_mean_exp
from jensen.trace import Model, Trace
from jensen.training.inner import Refined, log_weights, refine

__all__ = [
    "LogLikelihood",
    "Refined",
    "compute_log_likelihood",
    "inner_loop",
    "refine",
    "semi_amortized_estimator",
]


def inner_loop(steps: int = 50, lr: float = 0.4, *, num_samples: int = 4) -> Callable[..., Refined]:
    """The inner maximisation of a training step, for `jensen.models.local`: `refine`, measured at its end.

    The defaults are for *two-tier* models, which start every search at the prior. A *semi-amortized* search
    starts near its end: 10 steps of 0.1.

    Cost: a gradient step takes K T + 16 + 16 + 1 decoder passes a datum forward and K T + 1 back, where
    amortized training takes one and one: about K T times as many, 217 times with the defaults.

    Args:
        steps: T (``--inner-steps``).
        lr: the step size at the start (``--inner-lr``), see `refine`.
        num_samples: K of an inner step.
    """
    return partial(refine, steps=steps, lr=lr, num_samples=num_samples, every=steps, measure_samples=16)


@dataclass(frozen=True)
class LogLikelihood:
    """The two-tier log-likelihood of a data set, nats per datum: a lower bound on mean log p(x)."""

    values: Tensor
    """The maximised ELBO of each datum, ``[N]``, float64 on the CPU."""
    start: Tensor
    """The ELBO of each datum where its maximisation began, ``[N]``, with the same noise. From the
    encoder's start, ``values - start`` is the amortization gap of each datum."""
    steps: Tensor
    """Inner steps taken for each datum, ``[N]``."""
    iwae: Tensor
    """The importance-weighted bound of each datum through its maximised posterior, by the samples of
    ``values``, ``[N]``: never below them."""
    rising: Tensor
    """Whether the last steps still raised the datum's ELBO significantly, ``[N]``: more would raise it."""

    @property
    def value(self) -> float:
        """The mean over data of the maximised ELBO."""
        return self.values.mean().item()

    @property
    def standard_error(self) -> float:
        """Of that mean: sd / sqrt(N); NaN of one datum."""
        n = len(self.values)
        return self.values.std().item() / math.sqrt(n) if n > 1 else math.nan


def compute_log_likelihood(
    model: Model,
    blocks: Iterable[Tensor],
    steps: int = 200,
    *,
    num_samples: int = 256,
    log_det: float = 0.0,
    seed: int = 0,
    contexts: Iterable[Tensor | None] | None = None,
    on_block: Callable[[int], None] = lambda rows: None,
    **options: Any,
) -> LogLikelihood:
    """Compute_LL: ``log p(data) / N >= mean_j max_w ELBO(w, theta | x_j)``, T inner steps a datum.

    The two are equal where the family holds every posterior, and the steps reach it. The maximised ELBO is
    measured anew, with noise that the maximisation has not seen, so that the figure is an unbiased estimate
    of a lower bound on mean log p(x).

    Args:
        model: anything with ``trace``.
        blocks: prepared rows, block after block; a block is maximised in parallel.
        steps: T.
        num_samples: K of the last measurement.
        log_det: added to every value, for nats of the data as given (see `jensen.data.Preparation`).
        seed: of all noise; block b draws from a stream of its own.
        contexts: for conditional models, what is given in each block, ``[B, ...]``.
        on_block: told the number of rows of each finished block.
        options: of `refine`: ``lr``, ``family``, ...

    Raises:
        ValueError: K or the blocks are not such, or `refine` cannot refine the posterior.
    """
    check_count("num_samples", num_samples)
    parts: list[LogLikelihood] = []
    for number, (x, context) in enumerate(with_contexts(blocks, contexts)):
        block_seed = derive_seed(seed, "block", number)
        refined = refine(model, x, steps, seed=block_seed, context=context, **options)
        noise = derive_seed(seed, "figure", number)  # the same for both, which are compared
        log_w_start, log_w = (
            log_weights(model, x, q, num_samples, context=context, seed=noise)
            for q in (refined.start, refined.posterior)
        )
        values, start, iwae = (
            nats.cpu() + log_det for nats in (log_w.mean(0), log_w_start.mean(0), log_mean_exp(log_w))
        )
        parts.append(LogLikelihood(values, start, refined.steps.cpu(), iwae, refined.rising.cpu()))
        on_block(len(x))
    if not parts:
        raise ValueError(NO_BLOCKS)
    names = [field.name for field in fields(LogLikelihood)]
    return LogLikelihood(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class _At:
    """What an estimator asks of a model, with a given posterior in the place of the model's."""

    model: Model
    given: tuple[Distribution, ...]

    def trace(self, x: Tensor, num_samples: int = 1, **options: Any) -> Trace:
        return self.model.trace(x, num_samples, **{"posterior": self.given, **options})

    def log_joint(self, x: Tensor, z: tuple[Tensor, ...], **options: Any) -> Tensor:
        return self.model.log_joint(x, z, **options)


def semi_amortized_estimator(estimator: Callable[..., Tensor] = pathwise) -> Callable[..., Tensor]:
    """An estimator ``(bound, model, x, K) -> [B]`` for models of `jensen.models.local.semi_amortized`.

    With ``w_0 = encoder(x)`` and ``w_T`` after T inner steps, the value is ``bound(w_T, theta)``; its
    gradient is ``d/dtheta bound(w_T, theta)`` at w_T held fixed, and ``d/dphi bound(encoder_phi(x), theta)``
    for the encoder, as if it had to do without the inner steps. That is the scheme of Krishnan, Liang &
    Hoffman 2018 (there the two updates alternate, here they are one step), which Kim et al. 2018 call
    VAE+SVI; their own method, SA-VAE, differentiates through the inner steps, and this one does not.

    Args:
        estimator: gives both gradients, each at its own posterior.

    Raises:
        ValueError: (when called) the model's encoder is not one that starts an inner maximisation.
    """

    def estimate(
        bound: Bound, model: Any, x: Tensor, num_samples: int = 1, *, context: Tensor | None = None
    ) -> Tensor:
        encoder = model.encoder
        if not hasattr(encoder, "maximise"):
            raise ValueError(
                f"semi-amortized training needs an encoder that starts an inner maximisation, not a "
                f"{type(encoder).__name__}; make the model with jensen.models.local.semi_amortized"
            )
        raw: Tensor = encoder.raw(x, context)
        leaf = raw.detach().requires_grad_()
        start = _At(model, (encoder.family(leaf),))
        with measuring(model), torch.enable_grad():  # as the inner steps are taken; only w_T trains the rest
            amortized = estimator(bound, start, x, num_samples, context=context)
        # Only as far as w_0: this term must not reach the decoder, whose gradient is the refined bound's.
        (slope,) = torch.autograd.grad(amortized.sum(), leaf)
        surrogate = (raw * slope).sum(-1)
        value: Tensor = estimator(bound, model, x, num_samples, context=context)
        return value + (surrogate - surrogate.detach())

    return estimate
