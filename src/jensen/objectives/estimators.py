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
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jensen.objectives.baselines import Baseline, find_baseline
from jensen.objectives.bounds import Bound, PowerMean, log_weight, mean
from jensen.objectives.gradients import score_surrogate
from jensen.objectives.path_density import PathDensity
from jensen.trace import Model, Trace, anonymous, has_density


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
    _check_bound(bound)
    trace = _pathwise_trace("pathwise", model, x, num_samples, context)
    return bound.reduced(_integrand(bound, trace))


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
    _check_bound(bound)
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
        raise ValueError(_no_density("the score-function estimator", trace)) from None
    values = _integrand(bound, trace)
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
    _check_bound(bound)
    if bound.reduction != mean or not bound.linear:
        raise ValueError(
            f"sticking_the_landing was given {bound.name}; it is unbiased for averages: the reduction "
            "must be PowerMean(0), which is jensen.objectives.mean, and the integrand linear in the KL; "
            "use doubly_reparameterized for iwae and renyi, pathwise for others, or give your own "
            "Bound linear=True if its integrand is, as log_px - c * kl.sum(-1) with a constant c"
        )
    trace = _pathwise_trace("sticking_the_landing", model, x, num_samples, context)
    surrogate = bound.reduced(_integrand(bound, trace, score=False))
    with torch.no_grad():
        value = bound(trace)
    return value + (surrogate - surrogate.detach())


def doubly_reparameterized(
    bound: Bound, model: Model, x: Tensor, num_samples: int = 1, *, context: Tensor | None = None
) -> Tensor:
    """DReG, for importance-weighted bounds (Tucker, Lawson, Gu & Maddison 2019, section 3).

    ``sum_k v_k grad_theta log r_k``, but by z ``sum_k u_k grad_z log r_k grad_w f_w(eps_k)``, with
    ``v_k = r_k^s / sum_j r_j^s`` and ``u_k = v_k - s v_k (1 - v_k)``; s = 1, IWAE, has u_k = v_k^2.

    The score term ``-sum_k v_k grad_w log q_w(z_k)`` is reparameterized a second time: its expectation is
    ``-sum_k dv_k/dz_k grad_w f_w``, and dv_k/dlog r_k = s v_k (1 - v_k). Once K is large enough for the
    weights to be shared by many samples, its signal-to-noise ratio by w rises with K, where that of
    `pathwise` falls as 1 / sqrt(K) (Rainforth et al. 2018); while a few samples hold the weight, both
    change little. A q much narrower than the posterior is an exception: there `pathwise` may vary less.

    Args and returns as in `pathwise`. The model's ``trace.z`` must be the very tensors that its likelihood
    was computed from.

    Raises:
        ValueError: the bound is no power mean of importance weights, or the ELBO; a group's posterior
            depends on another group; some posterior has no pathwise sampler, or no density.
    """
    _check_bound(bound)
    reduction = bound.reduction
    if bound.integrand is not log_weight or not isinstance(reduction, PowerMean) or reduction.order == 0:
        raise ValueError(
            f"doubly_reparameterized was given {bound.name}; it is for power means of importance weights: "
            "the integrand must be jensen.objectives.log_weight, the reduction a PowerMean of an order other "
            "than 0 (renyi with alpha = 1 has order 0, and is the ELBO); use sticking_the_landing for elbo, "
            "where it is the same idea, and pathwise for others"
        )
    trace = _pathwise_trace("doubly_reparameterized", model, x, num_samples, context)
    if len(trace.z) > 1 and any(len(q.batch_shape) > 1 for q in trace.posterior):
        raise ValueError(
            "doubly_reparameterized would be biased: the posterior of one latent group depends on another "
            "group's samples; use pathwise, or a model whose groups are independent given x"
        )
    # log q by way of z, where the hook is: a flow knows its own draw again, and would not look at z.
    seen = replace(trace, z=tuple(map(anonymous, trace.z)))
    log_w = _integrand(bound, seen, score=False)
    v = reduction.weights(log_w.detach())
    for z in trace.z:
        if z.requires_grad:
            _scale_gradient(z, 1 - reduction.order * (1 - v))
    return reduction(log_w)


def _check_bound(bound: Any) -> None:
    """ValueError unless ``bound`` is one, which a name and a function of the trace are not."""
    if not isinstance(bound, Bound):
        given = repr(bound) if isinstance(bound, str) else f"a {type(bound).__name__}"
        raise ValueError(
            f"the bound is {given}; give a Bound, such as jensen.objectives.iwae, or one of your own: "
            'Bound("mine", integrand, jensen.objectives.mean)'
        )


def _pathwise_trace(name: str, model: Model, x: Tensor, num_samples: int, context: Tensor | None) -> Trace:
    """A trace all of whose groups were drawn by reparameterization, or a ValueError."""
    trace = model.trace(x, num_samples, context=context)
    if not all(trace.pathwise):
        groups = zip(trace.posterior, trace.pathwise, strict=True)
        names = ", ".join(type(q).__name__ for q, by_path in groups if not by_path)
        raise ValueError(
            f"the {name} estimator needs reparameterized samples, and the posterior ({names}) has none; "
            "use the score_function estimator, or a posterior with rsample"
        )
    return trace


def _integrand(bound: Bound, trace: Trace, score: bool = True) -> Tensor:
    """``bound.values(trace)``, ``[K, B]``, or a ValueError if that needs a density which q has not.

    Without ``score``, log q(z | x) in it has its gradient through z alone.
    """
    posterior = trace.posterior if score else tuple(PathDensity(q) for q in trace.posterior)
    try:
        return bound.values(replace(trace, posterior=posterior))
    except NotImplementedError as error:
        if trace.has_density:
            raise
        raise ValueError(_no_density(bound.name, trace)) from error


def _no_density(what: str, trace: Trace) -> str:
    pairs = zip(trace.posterior, trace.z, strict=True)
    names = ", ".join(type(q).__name__ for q, z in pairs if not has_density(q, z))
    return (
        f"{what} needs the density of the posterior, and {names} has none; "
        "use the bound reconstruction with the pathwise estimator, or a posterior with a density"
    )


def _scale_gradient(z: Tensor, factor: Tensor) -> None:
    """Multiply the gradient that reaches ``z`` ``[K, B, *event]`` by ``factor`` ``[K, B]``."""
    factor = factor.reshape(factor.shape + (1,) * (z.dim() - factor.dim()))
    z.register_hook(lambda gradient: gradient * factor)
