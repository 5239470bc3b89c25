"""The inner loop of two-tier inference: the ELBO maximised for each datum by itself."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import check_data, named
from jensen.chunks import BLOCK, chunk_sizes, numbers_of, traces
from jensen.data.seeds import derive_seed, seeded
from jensen.distributions.shared_noise import share_noise
from jensen.mode import measuring
from jensen.trace import Model, has_density
from jensen.training.ascent import AdamSteps
from jensen.training.natural import NaturalSteps
from jensen.training.start import Family, find_start

GAIN, LOSS = 2.0, 4.0
"""Standard errors that a paired difference needs to count as a gain, or as a loss. A loss on the way must be
beyond doubt: at 2 standard errors a posterior measured with luck would often be preferred to better ones. At
the end, by noise that has decided nothing, 2 are enough."""


@dataclass(frozen=True)
class Refined:
    """What `refine` found for each of B data."""

    raw: Tensor
    """The parameters found for each datum's posterior, raw outputs of the family, ``[B, P]``, detached."""
    posterior: tuple[Distribution, ...]
    """q(z | x) there, as `Model.trace` takes it."""
    start: tuple[Distribution, ...]
    """q(z | x) where the search began."""
    bound: Tensor
    """The ELBO of ``posterior``, nats, ``[B]`` in float64, with the noise of all measurements."""
    course: Tensor
    """The bound of each datum after each measurement, nats, ``[R, B]``; row 0 is the start's."""
    steps: Tensor
    """Steps taken before the datum stopped, ``[B]``."""
    rising: Tensor
    """Whether the last measurement still found a significant gain, ``[B]``: more steps would raise it."""


def refine(
    model: Model,
    x: Tensor,
    steps: int = 200,
    *,
    lr: float = 0.1,
    num_samples: int = 4,
    context: Tensor | None = None,
    family: Family | None = None,
    start: Tensor | None = None,
    every: int = 20,
    measure_samples: int = 64,
    tolerance: float = 1e-4,
    patience: int = 5,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda rows: None,
) -> Refined:
    """``max_w ELBO(w, theta | x_j)`` for each datum: T stochastic gradient steps on its own parameters.

    The inner loop of Compute_LL; stochastic variational inference (Hoffman et al. 2013) started from the
    encoder, as Cremer, Li & Duvenaud (2018) measure the amortization gap. One tensor ``[B, P]`` holds all
    parameters, and each datum climbs by itself: a normal posterior, diagonal or of full covariance, by
    `NaturalSteps`, any other by `AdamSteps`. The gradient sticks the landing: it has no variance where q is
    the exact posterior. The step size falls to zero along a cosine.

    Every ``every`` steps the ELBO of each datum is measured with noise that never changes, and compared,
    draw by draw, with the last measurement (`_Search.judge`). A datum that lost significantly goes back; one
    that did not gain significantly stops after ``patience`` such measurements in a row; when all have
    stopped, the loop ends. At the end a datum that other noise, which has decided nothing before, measures
    significantly below its start gets its start back (after one measurement alone: that this one has below).
    A difference that may be chance is none: log weights vary at a start that is not the best, so that a small
    gain often measures as a loss. The highest measurement is *not* what is kept: with
    S draws and P parameters the luckiest posterior near the best measures about P / 2S nats too high, and
    lies about as far below the best. For a figure, measure with fresh noise
    (`jensen.training.two_tier.compute_log_likelihood`).

    Cost: a step is one decoder pass forward and back for K B latents, a measurement one pass forward for
    ``measure_samples`` B; with the defaults about 200 * 4 * 2 + 13 * 64 = 2,400 decoder passes a datum.
    All data share the noise of steps and measurements (`share_noise`), so that what is found for a datum
    depends on the datum alone, not on its place or neighbours, in blocks of up to `jensen.chunks.BLOCK` rows:
    for a given seed the posterior is a function of x, as an encoder's is. The model gets no gradient, and
    torch's generators are left as they were. All of it happens in evaluation mode, whatever mode the model is
    in: no dropout, and nothing that training averages (an `OptimalScale`, batch normalization) learns from
    posteriors on their way.

    Args:
        model: anything with ``trace``, with one latent group.
        x: prepared data, ``[B, *event]``.
        steps: T, at most; 0 only measures.
        lr: the step size at the start: Adam's, in units of the family's raw outputs; natural steps are whole
            from 0.1 on.
        num_samples: K, latent samples a step.
        context: for conditional models, ``[B, ...]``.
        family: the posterior family; the encoder's own when left out.
        start: raw outputs ``[B, P]`` to begin from; when left out, the encoder's, or for another family
            those with the encoder's mean and standard deviation (`matching`).
        every: steps between two measurements.
        measure_samples: latent samples of a measurement.
        tolerance: nats; a smaller gain is none, however significant.
        patience: measurements in a row without a gain after which a datum stops.
        seed: of all noise; the same seed gives the same result.
        on_step: told of B after each step, for progress; of steps that are left out, too.

    Raises:
        ValueError: there are no rows, the model has several latent groups, no family or start is known, the
            family has no density, or it has no pathwise sampler and K is 1.
    """
    check_data(x)
    if measure_samples < 2:
        raise ValueError(f"measure_samples is {measure_samples}; a comparison needs at least 2, better 64")
    with measuring(model):
        family, raw = find_start(model, x, context, family, start)
        _check_family(family(raw), num_samples)
        numbers = max(BLOCK, len(x)) * numbers_of(model, math.prod(x.shape[1:]))
        chunks = chunk_sizes(measure_samples, numbers, x.device)

        def measure(raw: Tensor, name: str = "measure") -> Tensor:
            q, noise = share_noise(family(raw)), derive_seed(seed, name)
            return log_weights(model, x, (q,), measure_samples, context=context, seed=noise, chunks=chunks)

        natural = NaturalSteps.suit(model, family, raw)
        kind = NaturalSteps if natural else AdamSteps
        search = _Search(raw, measure(raw), kind(model, x, context, family, num_samples))
        with seeded(derive_seed(seed, "refine")):
            for step in range(steps):
                search.climb(lr * 0.5 * (1 + math.cos(math.pi * step / steps)))
                if (step + 1) % every == 0 or step + 1 == steps:
                    search.judge(measure(search.raw), tolerance, patience)
                    if not search.active.any():
                        on_step(len(x) * (steps - step))
                        break
                on_step(len(x))
        worse = search.course[-1] < search.course[0]
        if len(search.course) > 2:  # that noise has decided before: other noise, and beyond chance
            mean, error = _mean_and_error(measure(search.safe, "last") - measure(raw, "last"))
            worse = mean < -GAIN * error
    best, course = search.best(worse)
    rising = search.failures.eq(0) & ~worse if steps else torch.zeros_like(worse)
    return Refined(best, (family(best),), (family(raw),), course[-1], course, search.steps, rising)


def _check_family(q: Distribution, num_samples: int) -> None:
    """Refuse posteriors whose ELBO, or its gradient by so few samples, cannot be had."""
    with seeded(0):
        z = q.rsample() if q.has_rsample else q.sample()
    if not has_density(q, z):
        raise ValueError(
            f"the ELBO cannot be refined: {named(q)} has no density; give refine a family that has one"
        )
    if num_samples < 2 and not q.has_rsample:
        raise ValueError(
            f"num_samples is {num_samples}, and {named(q)} has no pathwise sampler: the score function's "
            "leave-one-out baseline needs at least 2; give num_samples=8 or more"
        )


def log_weights(
    model: Model,
    x: Tensor,
    posterior: tuple[Distribution, ...],
    num_samples: int,
    *,
    seed: int,
    context: Tensor | None = None,
    chunks: Iterable[int] | None = None,
) -> Tensor:
    """``log w_k = log p(x, z_k) - log q(z_k)``, nats, ``[K, B]`` in float64, in the memory of one chunk.

    Their mean estimates the ELBO. Unlike log p(x | z_k) - KL they do not vary at the exact posterior. The
    same ``seed`` gives the same noise. The model is measured in evaluation mode and left as it was.
    """
    with measuring(model), seeded(seed):
        parts = traces(model, x, num_samples, context=context, posterior=posterior, chunks=chunks)
        return torch.cat([trace.log_w.double() for trace in parts])


def _mean_and_error(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over S draws ``[S, B]``, and its standard error."""
    return values.mean(0), values.std(0) / math.sqrt(len(values))


class Steps(Protocol):
    """A way to climb."""

    def step(self, raw: Tensor, lr: float) -> Tensor:
        """The raw outputs ``[B, P]`` one step uphill."""
        ...

    def judged(self, gained: Tensor, lost: Tensor) -> None:
        """Told, after a measurement, which data gained significantly, and which lost and go back, ``[B]``."""
        ...


class _Search:
    """How each datum's search stands: where it is, where it can safely return to, whether it still moves."""

    def __init__(self, raw: Tensor, log_w: Tensor, steps: Steps) -> None:
        self.raw = self.start = self.safe = raw
        self.log_w = log_w
        """Of ``safe``, ``[S, B]``."""
        self.how = steps
        self.course = [log_w.mean(0)]
        self.steps = torch.zeros(len(raw), dtype=torch.long, device=raw.device)
        self.failures = torch.zeros_like(self.steps)
        self.active = torch.ones_like(self.steps, dtype=torch.bool)

    def climb(self, lr: float) -> None:
        """One step uphill for the data that still move."""
        self.raw = torch.where(self.active[:, None], self.how.step(self.raw, lr), self.raw)
        self.steps = self.steps + self.active

    def judge(self, log_w: Tensor, tolerance: float, patience: int) -> None:
        """Compare new log weights ``[S, B]`` with those of ``safe``, draw by draw: the noise cancels."""
        change = log_w - self.log_w
        mean, error = _mean_and_error(change)
        gained = mean > (GAIN * error).clamp(min=tolerance)
        lost = ~(mean >= -LOSS * error)  # written so that NaN is a loss
        self.safe = self.raw = torch.where(lost[:, None], self.safe, self.raw)
        self.log_w = torch.where(lost, self.log_w, log_w)
        self.course.append(self.log_w.mean(0))
        self.how.judged(gained, lost)
        self.failures = torch.where(gained, 0, self.failures + 1)
        self.active = self.active & (self.failures < patience)

    def best(self, worse: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters ``[B, P]``, the start's of data that are ``worse``, and the course to them."""
        course = torch.stack(self.course)
        course[-1] = torch.where(worse, course[0], course[-1])
        return torch.where(worse[:, None], self.start, self.safe), course
