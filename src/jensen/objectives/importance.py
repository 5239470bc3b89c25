"""The gradient of importance-weighted bounds."""

from dataclasses import replace

import torch
from torch import Tensor

from jensen.checks import check_count
from jensen.objectives.bounds import Bound, PowerMean, log_weight
from jensen.objectives.passes import PathDensity, check_bound, integrand, pathwise_trace
from jensen.objectives.resampling import systematic
from jensen.trace import Model, Trace, anonymous


def doubly_reparameterized(
    bound: Bound,
    model: Model,
    x: Tensor,
    num_samples: int = 1,
    *,
    context: Tensor | None = None,
    backward_samples: int | None = None,
) -> Tensor:
    """DReG, for importance-weighted bounds (Tucker, Lawson, Gu & Maddison 2019, section 3).

    ``sum_k v_k grad_theta log r_k``, but by z ``sum_k u_k grad_z log r_k grad_w f_w(eps_k)``, with
    ``v_k = r_k^s / sum_j r_j^s`` and ``u_k = v_k - s v_k (1 - v_k)``; s = 1, IWAE, has u_k = v_k^2.

    The score term ``-sum_k v_k grad_w log q_w(z_k)`` is reparameterized a second time: its expectation is
    ``-sum_k dv_k/dz_k grad_w f_w``, and dv_k/dlog r_k = s v_k (1 - v_k). Once K is large enough for the
    weights to be shared by many samples, its signal-to-noise ratio by w rises with K, where that of
    `pathwise` falls as 1 / sqrt(K) (Rainforth et al. 2018); while a few samples hold the weight, both
    change little. A q much narrower than the posterior is an exception: there `pathwise` may vary less.

    ``backward_samples`` = m has the backward pass follow m of the K draws, see `_picked`: about a third of
    the products, where m is small, for a gradient that varies a little more. The decoder is called twice, for
    all draws and for those followed; one that draws by itself (dropout) would not be the same in both.

    Args:
        bound: a power mean of importance weights, as `jensen.objectives.iwae`.
        model: anything with ``trace``; with ``backward_samples``, also with ``log_joint``.
        x: data ``[B, *event]``.
        num_samples: K.
        context: for conditional models, ``[B, ...]``.
        backward_samples: m; left out, or K and more: all.

    Returns:
        The bound of each datum by all K draws, ``[B]``, nats; its gradient is DReG's. The model's ``trace.z``
        must be the very tensors that its likelihood was computed from.

    Raises:
        ValueError: the bound is no power mean of importance weights, or the ELBO; a group's posterior
            depends on another group; some posterior has no pathwise sampler, or no density;
            ``backward_samples`` is no whole number of 1 or more.
    """
    check_bound(bound)
    if backward_samples is not None:
        check_count("backward_samples", backward_samples)
    reduction = bound.reduction
    if bound.integrand is not log_weight or not isinstance(reduction, PowerMean) or reduction.order == 0:
        raise ValueError(
            f"doubly_reparameterized was given {bound.name}; it is for power means of importance weights: "
            "the integrand must be jensen.objectives.log_weight, the reduction a PowerMean of an order other "
            "than 0 (renyi with alpha = 1 has order 0, and is the ELBO); use sticking_the_landing for elbo, "
            "where it is the same idea, and pathwise for others"
        )
    trace = pathwise_trace("doubly_reparameterized", model, x, num_samples, context)
    if len(trace.z) > 1 and any(len(q.batch_shape) > 1 for q in trace.posterior):
        raise ValueError(
            "doubly_reparameterized would be biased: the posterior of one latent group depends on another "
            "group's samples; use pathwise, or a model whose groups are independent given x"
        )
    if backward_samples is not None and backward_samples < num_samples:
        return _picked(bound, reduction, model, trace, backward_samples)
    # log q by way of z, where the hook is: a flow knows its own draw again, and would not look at z.
    seen = replace(trace, z=tuple(map(anonymous, trace.z)))
    log_w = integrand(bound, seen, score=False)
    _lower_gradient(trace.z, reduction, reduction.weights(log_w.detach()))
    return reduction(log_w)


def _picked(bound: Bound, reduction: PowerMean, model: Model, trace: Trace, m: int) -> Tensor:
    """`doubly_reparameterized`, with its sum over K draws estimated by m of them.

    ``sum_k v_k g_k = E (1/m) sum_i g_{k_i}``, where draw k is picked m v_k times on average: the backward
    pass follows m draws, and the forward pass alone sees all. Burda et al. 2016, section 3, have this for
    IWAE with m = 1. Systematic picks come as often as v_k says, to within one, so that few suffice.

    Returns:
        The bound of each datum by all K draws, ``[B]``, nats.
    """
    with torch.no_grad():
        log_w = integrand(bound, trace)
        v = reduction.weights(log_w)
        picks = systematic(v, torch.rand_like(v[0]), m)
    at = picks.reshape(*picks.shape, *[1] * (trace.z[0].dim() - 2))
    z = tuple(z.gather(0, at.expand(-1, -1, *z.shape[2:])) for z in trace.z)
    log_q = [PathDensity(q).log_prob(anonymous(part)) for q, part in zip(trace.posterior, z, strict=True)]
    followed = (model.log_joint(trace.x, z, context=trace.context) - torch.stack(log_q).sum(0)).mean(0)
    _lower_gradient(z, reduction, v.gather(0, picks))
    return reduction(log_w) + (followed - followed.detach())


def _lower_gradient(z: tuple[Tensor, ...], reduction: PowerMean, v: Tensor) -> None:
    """Multiply the gradient that reaches each z ``[K, B, *event]`` by DReG's u / v, ``[K, B]``."""
    factor = 1 - reduction.order * (1 - v)
    for part in z:
        if part.requires_grad:
            own = factor.reshape(factor.shape + (1,) * (part.dim() - factor.dim()))
            part.register_hook(lambda gradient, own=own: gradient * own)
