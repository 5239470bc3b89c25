"""Gradient estimators: ``(bound, model, x, K) -> [B]``.

The value returned is always the bound; its autograd gradient is always the named estimator's. They
are unbiased for the gradient of the expectation of that value, with one exception, for these posteriors and
bounds (w are the parameters of q, theta those of the decoder, and r = p(x, z) / q(z | x) is the trace's
``log_w.exp()``):

| estimator | posterior | bound |
|---|---|---|
| `pathwise` | with ``rsample`` | any, if the decoder is differentiable by z |
| `score_function` | with ``log_prob`` in groups not drawn pathwise | any; `free_bits` if the KL is exact |
| `sticking_the_landing` | with both | averages, linear in the KL: `elbo`, `elbo_monte_carlo`, `beta`, ... |
| `doubly_reparameterized` | with both, groups independent given x | `iwae`, `renyi`, `cubo` |

The exception is a straight-through posterior (`jensen.families.StraightThrough`): its ``rsample`` passes on
the gradient of a relaxation in the place of its draws' own, so that all pathwise gradients by w are biased.
`doubly_reparameterized` is in `jensen.objectives.importance`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.objectives.baselines import Baseline, find_baseline
from jensen.objectives.bounds import Bound, mean
from jensen.objectives.gradients import score_surrogate
from jensen.objectives.passes import check_bound, integrand, no_density, pathwise_trace
from jensen.trace import Model


def pathwise(
    bound: Bound, model: Model, x: Tensor, num_samples: int = 1, *, context: Tensor | None = None
) -> Tensor:
    """The reparameterization estimator (Kingma & Welling 2014; Rezende et al. 2014).

    ``z_k = f_w(eps_k)``, ``grad_w E_q F ~ mean_k grad_z F(z_k) grad_w f_w(eps_k)``: differentiate the
    bound through the samples. Unbiased, except for a straight-through posterior, whose gradient is that of a
    relaxation (Jang, Gu & Poole 2017, section 2.2).

    Args:
        bound: a `Bound`, for example `jensen.objectives.elbo`.
        model: anything with ``trace``.
        x: data ``[B, *event]``.
        num_samples: K.
        context: for conditional models, ``[B, ...]``.

    Returns:
        The bound of each datum, ``[B]``, nats; its gradient is the pathwise one.

    Raises:
        ValueError: ``bound`` is no `Bound`; some posterior has no pathwise sampler, or no density where the
            bound needs one.
    """
    check_bound(bound)
    trace = pathwise_trace("pathwise", model, x, num_samples, context)
    return bound.reduced(integrand(bound, trace))


def score_function(
    bound: Bound,
    model: Model,
    x: Tensor,
    num_samples: int = 1,
    *,
    context: Tensor | None = None,
    baseline: str | Baseline = "none",
    pathwise: bool | Sequence[bool] = False,
) -> Tensor:
    """The score-function estimator of a bound R(f_1, ..., f_K) (Williams 1992; Mnih & Rezende 2016).

    ``grad R(f) at fixed z + sum_k [R(f) - R(f with b_k in the place of f_k)] grad log q(z_k)``

    For an average, as in the ELBO, the bracket is (f_k - b_k) / K. The baseline's b_k is 0 for "none", a
    moving average for `RunningMean` and the mean of the other samples for "leave-one-out", which makes it
    RLOO for the ELBO (Kool, van Hoof & Welling 2019) and VIMCO for the IWAE bound. With "none" a sample of an
    importance-weighted bound is compared with one of weight e^0.

    Mixed use: with ``pathwise=(True, False)`` the first latent group is drawn by reparameterization and
    the second is not. Only groups drawn without gradient get a score term; through the others the gradient
    takes its path, also where a score term's q depends on them. A group without ``rsample`` is never
    pathwise.

    Args:
        bound: a `Bound`.
        model: anything with ``trace``.
        x: data ``[B, *event]``.
        num_samples: K.
        context: for conditional models, ``[B, ...]``.
        baseline: "none", "leave-one-out" (K >= 2), a `RunningMean()`, or another function (`baselines`).
        pathwise: which latent groups to draw by reparameterization: all, none, or one bool for each.

    Returns:
        The bound of each datum, ``[B]``, nats.

    Raises:
        ValueError: leave-one-out with K = 1, a posterior without density, a bound that couples samples.
    """
    check_bound(bound)
    trace = model.trace(x, num_samples, context=context, pathwise=pathwise)
    if not bound.separable and not all(trace.kl_is_exact):
        raise ValueError(
            f"{bound.name} couples its samples where the KL has no closed form, which score terms do not "
            "allow; use the pathwise estimator, or a posterior and prior with a closed-form KL"
        )
    groups = zip(trace.posterior, trace.z, trace.pathwise, strict=True)
    try:
        log_q = [q.log_prob(z) for q, z, by_path in groups if not by_path]
    except NotImplementedError:
        raise ValueError(no_density("the score-function estimator", trace)) from None
    values = integrand(bound, trace)
    if not log_q:
        return bound.reduced(values)
    score = torch.stack([term.expand_as(values) for term in log_q]).sum(0)
    return score_surrogate(values, score, bound.reduction, find_baseline(baseline))


def sticking_the_landing(
    bound: Bound, model: Model, x: Tensor, num_samples: int = 1, *, context: Tensor | None = None
) -> Tensor:
    """The path derivative: pathwise, less a score of mean zero (Roeder, Wu & Duvenaud 2017, section 3).

    ``grad_w log r(f_w(eps)) + [grad_w log q_w(z)] at fixed z = grad_z log r(z) grad_w f_w(eps)``

    At the exact posterior log r is constant in z, and the gradient by w is zero for every sample, not only
    on average. That needs log q(z | x) by sampling: the gradient is that of the Monte Carlo ELBO, even
    where the value has the closed-form KL. In a hierarchy, where one group's q depends on another's z, the
    estimator remains unbiased, but the score removed there belongs to both and some variance remains.

    Args and returns as in `pathwise`.

    Raises:
        ValueError: the bound is not an average (for IWAE the removed score has not mean zero), or not
            linear in the KL; some posterior has no pathwise sampler, or no density.
    """
    check_bound(bound)
    if bound.reduction != mean or not bound.linear:
        raise ValueError(
            f"sticking_the_landing was given {bound.name}; it is unbiased for averages: the reduction "
            "must be PowerMean(0), which is jensen.objectives.mean, and the integrand linear in the KL; "
            "use doubly_reparameterized for iwae and renyi, pathwise for others, or give your own "
            "Bound linear=True if its integrand is, as log_px - c * kl.sum(-1) with a constant c"
        )
    trace = pathwise_trace("sticking_the_landing", model, x, num_samples, context)
    surrogate = bound.reduced(integrand(bound, trace, score=False))
    with torch.no_grad():
        value = bound(trace)
    return value + (surrogate - surrogate.detach())
