"""The inner loop of two-tier inference: the ELBO maximised for each datum by itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.chunks import traces
from jensen.data.seeds import derive_seed, seeded
from jensen.mode import measuring
from jensen.trace import Model, check_data, has_density, named
from jensen.training.start import Family, find_start

BETAS = (0.5, 0.8)
"""Adam's memories of gradient and squared gradient: short, since gradients shrink by orders of magnitude on
the way from the prior, and a step divided by the memory of the large ones goes nowhere. On binarized MNIST
(M = 50), 50 steps from the prior end 0.1 nats below the maximum; with (0.9, 0.99) they end 11 below."""
CUT = 0.3
"""What the step size of a datum without a significant gain is multiplied by."""
GAIN, LOSS = 2.0, 4.0
"""Standard errors that a paired difference needs to count as a gain, or as a loss. A loss must be beyond
doubt: at 2 standard errors a posterior measured with luck would often be preferred to better ones."""


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
    parameters, and every operation on it is elementwise, so that each datum has an Adam (Kingma & Ba 2015)
    of its own. The gradient sticks the landing (`ascent`), and the step size falls to zero along a cosine.

    Every ``every`` steps the ELBO of each datum is measured with noise that never changes, and compared,
    draw by draw, with the last measurement (`_Search.judge`). A datum that lost significantly goes back; one
    that did not gain significantly goes on with a smaller step size, and stops after ``patience`` such
    measurements in a row; when all have stopped, the loop ends. At the end a datum that measures below its
    start gets its start back, so that by this measure none is worse off. The highest measurement is *not*
    what is kept: with S draws and P parameters the luckiest posterior near the best measures about P / 2S
    nats too high, and lies about as far below the best. For a figure, measure with fresh noise
    (`jensen.training.two_tier.compute_log_likelihood`).

    Cost: a step is one decoder pass forward and back for K B latents, a measurement one pass forward for
    ``measure_samples`` B; with the defaults about 200 * 4 * 2 + 11 * 64 = 2,300 decoder passes a datum.
    The model gets no gradient, and torch's generators are left as they were. All of it happens in evaluation
    mode, whatever mode the model is in: no dropout, and nothing that training averages (an `OptimalScale`,
    batch normalization) learns from posteriors on their way.

    Args:
        model: anything with ``trace``, with one latent group.
        x: prepared data, ``[B, *event]``.
        steps: T, at most; 0 only measures.
        lr: Adam's step size at the start, in units of the family's raw outputs.
        num_samples: K, latent samples a step.
        context: for conditional models, ``[B, ...]``.
        family: the posterior family; the encoder's own when left out.
        start: raw outputs ``[B, P]`` to begin from; when left out, the encoder's, or for another family
            those with the encoder's mean and standard deviation (`matching`).
        every: steps between two measurements.
        measure_samples: latent samples of a measurement.
        tolerance: nats; a smaller gain is none, however significant.
        patience: measurements in a row without a gain after which a datum stops.
        seed: of all noise; the same seed and batch give the same result.
        on_step: told of B after each step, for progress; of steps that are left out, too.

    Raises:
        ValueError: there are no rows, no family or start is known, the family has no density, or it has no
            pathwise sampler and K is 1.
    """
    check_data(x)
    if measure_samples < 2:
        raise ValueError(f"measure_samples is {measure_samples}; a comparison needs at least 2, better 64")
    with measuring(model):
        family, raw = find_start(model, x, context, family, start)
        _check_family(family(raw), num_samples)

        def measure(raw: Tensor) -> Tensor:
            noise = derive_seed(seed, "measure")
            return log_weights(model, x, (family(raw),), measure_samples, context=context, seed=noise)

        search = _Search(raw, measure(raw))
        with seeded(derive_seed(seed, "refine")):
            for step in range(steps):
                with torch.enable_grad():
                    leaf = search.raw.clone().requires_grad_()
                    surrogate = ascent(model, x, family, leaf, num_samples, context=context)
                    (slope,) = torch.autograd.grad(surrogate.sum(), leaf)
                search.climb(slope, lr * 0.5 * (1 + math.cos(math.pi * step / steps)))
                if (step + 1) % every == 0 or step + 1 == steps:
                    search.judge(measure(search.raw), tolerance, patience)
                    if not search.active.any():
                        on_step(len(x) * (steps - step))
                        break
                on_step(len(x))
    best, course = search.best()
    return Refined(best, (family(best),), (family(raw),), course[-1], course, search.steps)


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


def ascent(
    model: Model,
    x: Tensor,
    family: Family,
    raw: Tensor,
    num_samples: int,
    *,
    context: Tensor | None = None,
) -> Tensor:
    """A surrogate ``[B]`` whose gradient with respect to ``raw`` is, in expectation, the ELBO's.

    Pathwise where the family allows it, with the score's term left out:
    ``mean_k d/dw [log p(x, z_k) - log q_v(z_k)]`` at v = w, held fixed, with ``z_k = f_w(eps_k)`` (Roeder,
    Wu & Duvenaud 2017, section 3). Elsewhere the score function with leave-one-out baselines,
    ``1/(K-1) sum_k (log w_k - mean_l log w_l) d/dw log q_w(z_k)`` (Kool et al. 2019).
    Either has no variance where q is the exact posterior: log w is the same at every z there.
    """
    trace = model.trace(x, num_samples, context=context, posterior=(family(raw),))
    log_w = replace(trace, posterior=(family(raw.detach()),)).log_w
    if all(trace.pathwise):
        return log_w.mean(0)
    centred = (log_w - log_w.mean(0)).detach()
    return (centred * trace.log_qz.sum(-1)).sum(0) / (num_samples - 1)


def log_weights(
    model: Model,
    x: Tensor,
    posterior: tuple[Distribution, ...],
    num_samples: int,
    *,
    seed: int,
    context: Tensor | None = None,
) -> Tensor:
    """``log w_k = log p(x, z_k) - log q(z_k)``, nats, ``[K, B]`` in float64, in the memory of one chunk.

    Their mean estimates the ELBO. Unlike log p(x | z_k) - KL they do not vary at the exact posterior. The
    same ``seed`` gives the same noise. The model is measured in evaluation mode and left as it was.
    """
    with measuring(model), seeded(seed):
        parts = traces(model, x, num_samples, context=context, posterior=posterior)
        return torch.cat([trace.log_w.double() for trace in parts])


class _Search:
    """How each datum's search stands: Adam's state, where it can safely return to, whether it still moves."""

    def __init__(self, raw: Tensor, log_w: Tensor) -> None:
        self.raw = self.start = self.safe = raw
        self.log_w = log_w
        """Of ``safe``, ``[S, B]``."""
        self.course = [log_w.mean(0)]
        self.slope, self.square = torch.zeros_like(raw), torch.zeros_like(raw)
        self.rate = torch.ones_like(raw[:, :1])
        self.steps = torch.zeros(len(raw), dtype=torch.long, device=raw.device)
        self.failures = torch.zeros_like(self.steps)
        self.active = torch.ones_like(self.steps, dtype=torch.bool)
        self.time = 0

    def climb(self, slope: Tensor, lr: float) -> None:
        """One step of Adam uphill for the data that still move."""
        slope = slope.nan_to_num(0.0, 0.0, 0.0)  # one bad draw must not poison the averages
        self.time += 1
        self.slope = BETAS[0] * self.slope + (1 - BETAS[0]) * slope
        self.square = BETAS[1] * self.square + (1 - BETAS[1]) * slope.square()
        mean = self.slope / (1 - BETAS[0] ** self.time)
        root = (self.square / (1 - BETAS[1] ** self.time)).sqrt()
        moved = self.raw + lr * self.rate * mean / (root + 1e-8)
        self.raw = torch.where(self.active[:, None], moved, self.raw)
        self.steps = self.steps + self.active

    def judge(self, log_w: Tensor, tolerance: float, patience: int) -> None:
        """Compare new log weights ``[S, B]`` with those of ``safe``, draw by draw: the noise cancels."""
        change = log_w - self.log_w
        mean, error = change.mean(0), change.std(0) / math.sqrt(len(change))
        gained = mean > (GAIN * error).clamp(min=tolerance)
        lost = ~(mean >= -LOSS * error)  # written so that NaN is a loss
        self.safe = self.raw = torch.where(lost[:, None], self.safe, self.raw)
        self.log_w = torch.where(lost, self.log_w, log_w)
        self.course.append(self.log_w.mean(0))
        self.slope = torch.where(lost[:, None], 0.0, self.slope)
        self.rate = torch.where(gained[:, None], self.rate, CUT * self.rate)
        self.failures = torch.where(gained, 0, self.failures + 1)
        self.active = self.active & (self.failures < patience)

    def best(self) -> tuple[Tensor, Tensor]:
        """The parameters ``[B, P]``, none worse than its start, and the course ``[R, B]`` that led there."""
        course = torch.stack(self.course)
        worse = course[-1] < course[0]
        course[-1] = torch.where(worse, course[0], course[-1])
        return torch.where(worse[:, None], self.start, self.safe), course
