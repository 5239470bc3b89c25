"""The gradient of an expectation whose distribution moves: ``grad_w E_{z ~ q_w} F(z)``, for any F and q_w.

No variational autoencoder needed. The estimators of a bound are made of the same two ideas.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from jensen.checks import check_count
from jensen.mode import learning
from jensen.objectives.baselines import Baseline, advantage, find_baseline, no_baseline
from jensen.objectives.bounds import mean, reduced
from jensen.trace import anonymous


@learning
def score_function_gradient(
    F: Callable[[Tensor], Tensor],
    q: Distribution,
    num_samples: int,
    baseline: str | Baseline = "none",
    parameters: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """ImpSampling, the score-function (REINFORCE) estimator (Williams 1992).

    ``grad_w E_q F ~ mean_k (F(z_k) - b_k) grad_w log q_w(z_k)``, ``z_k ~ q_w``

    Unbiased for every q with a log-density whose support does not depend on w, discrete ones included, and
    every F: F itself is not differentiated by z. If F depends on the parameters other than through z,
    ``mean_k grad_w F`` is added.

    Args:
        F: samples ``[K, *batch, *event]`` -> values ``[K, *batch]``.
        q: a distribution whose parameters require gradients.
        num_samples: K.
        baseline: b: "none", "leave-one-out" (K >= 2), or a function such as a `RunningMean()`.
        parameters: w; if left out, `leaf_parameters(q)`: for a q made of tensors, these tensors, in q's
            order (a normal's mean first, then its scale).

    Returns:
        One gradient for each parameter, of its shape. Where q has a batch shape it is the gradient of the
        sum over the batch.

    Raises:
        ValueError: q has no density or no parameters, K is below 1, F's values are of the wrong shape, ...
    """
    _check(q, num_samples)
    z = anonymous(q.sample((num_samples,)))
    values = _values(F, z, q)
    try:
        log_q = q.log_prob(z)
    except NotImplementedError:
        raise ValueError(
            f"the score function needs log q, and {type(q).__name__} has no log_prob; use pathwise_gradient"
        ) from None
    return _gradient(score_surrogate(values, log_q, baseline=find_baseline(baseline)), q, parameters)


@learning
def pathwise_gradient(
    F: Callable[[Tensor], Tensor],
    q: Distribution,
    num_samples: int,
    parameters: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """ReparamTrick, the pathwise estimator (Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014).

    ``grad_w E_q F ~ mean_k grad_z F(z_k) grad_w f_w(eps_k)``, ``z_k = f_w(eps_k)``, ``eps_k ~ q_0``

    Unbiased for every F that is differentiable by z (a kink is no harm, a jump is), except for a q whose
    ``rsample`` says itself that it is biased, as a straight-through one's is.

    Args:
        F: samples ``[K, *batch, *event]`` -> values ``[K, *batch]``.
        q: a distribution with ``rsample`` (that is f_w) whose parameters require gradients.
        num_samples: K.
        parameters: w, as in `score_function_gradient`.

    Returns:
        One gradient for each parameter, as in `score_function_gradient`.

    Raises:
        ValueError: q has no pathwise sampler or no parameters, K is below 1, F is not differentiable, ...
    """
    _check(q, num_samples)
    if not q.has_rsample:
        raise ValueError(f"{type(q).__name__} has no pathwise sampler (rsample); use score_function_gradient")
    z = q.rsample((num_samples,))
    values = _values(F, z, q)
    if z.requires_grad and not values.requires_grad:
        raise ValueError("F(z) carries no gradient, as if F had steps only; use score_function_gradient")
    return _gradient(values.mean(0), q, parameters)


def score_surrogate(
    values: Tensor,
    log_q: Tensor,
    reduction: Callable[[Tensor], Tensor] = mean,
    baseline: Baseline = no_baseline,
) -> Tensor:
    """R(f), with the gradient of E R(f) as the score function estimates it.

    ``grad E R(f) = E [grad R(f) at fixed z + sum_k A_k grad log q(z_k)]``, A_k being the `advantage`:
    R(f) less R with b_k in the place of f_k. Any part of A_k that does not depend on z_k has mean zero
    against the score, hence the choice of b.

    Args:
        values: f_k, ``[K, *batch]``, with whatever gradient it has at fixed z.
        log_q: log q(z_k) at samples that carry no gradient, ``[K, *batch]``.
        reduction: R.
        baseline: b, `no_baseline`, `leave_one_out` or a `RunningMean`.

    Returns:
        R(f), ``[*batch]``.

    Raises:
        ValueError: R gives another shape.
    """
    value = reduced(reduction, values)
    credit = advantage(values.detach(), baseline, reduction)
    return value + (credit * (log_q - log_q.detach())).sum(0)


def leaf_parameters(q: Distribution) -> tuple[Tensor, ...]:
    """The tensors that q was made of and that an optimizer could move: leaves that require gradients.

    In the order of q's own parameters; where one is computed (``scale = log_scale.exp()``, or by a
    network), the leaves that it was computed from.
    """
    found: dict[int, Tensor] = {}
    for tensor in _tensors(q, set()):
        for leaf in _leaves(tensor):
            found.setdefault(id(leaf), leaf)
    return tuple(found.values())


def _tensors(part: Any, seen: set[int]) -> Iterable[Tensor]:
    """Every tensor inside a distribution, whatever it is nested in, but for the ids ``seen``."""
    if id(part) in seen:  # a transform and its inverse hold one another
        return
    seen.add(id(part))
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, nn.Module):
        yield from part.parameters()
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _tensors(item, seen)
    elif isinstance(part, Distribution | Transform):
        named = part.arg_constraints if isinstance(part, Distribution) else ()
        inside = vars(part)
        # The declared order first: MultivariateNormal, for one, stores its scale before its mean.
        for name in [*(n for n in named if n in inside), *inside]:
            yield from _tensors(inside[name], seen)


def _leaves(tensor: Tensor) -> Iterable[Tensor]:
    """The leaves of the autograd graph behind ``tensor``, first used first."""
    if tensor.requires_grad and tensor.is_leaf:
        yield tensor
    pending, seen = [tensor.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # AccumulateGrad, where a graph ends in a leaf
            yield node.variable
        pending.extend(parent for parent, _ in reversed(node.next_functions))


def _check(q: Any, num_samples: Any) -> None:
    """Refuse what is no distribution, or no number of draws."""
    if not isinstance(q, Distribution):
        raise ValueError(
            f"q is a {type(q).__name__}; give a distribution, such as torch.distributions.Normal(w, 1.0)"
        )
    check_count("num_samples", num_samples)


def _values(F: Callable[[Tensor], Tensor], z: Tensor, q: Distribution) -> Tensor:
    """F(z), of the shape ``[K, *batch]`` that no broadcasting can spoil, in floating-point numbers."""
    values = _tensor(F(z), z)
    expected = (len(z), *q.batch_shape)
    if values.shape != expected:
        raise ValueError(
            f"F(z) has shape {tuple(values.shape)} for z of shape {tuple(z.shape)}; "
            f"return one value for each sample and batch element, {expected}"
        )
    if values.is_floating_point():
        return values
    return values.to(z.dtype if z.is_floating_point() else torch.get_default_dtype())


def _tensor(values: Any, z: Tensor) -> Tensor:
    """What F returned, where it may be an array or a list of numbers: for the score function alone."""
    if isinstance(values, Tensor):
        return values
    kind = type(values).__name__
    if z.requires_grad:
        raise ValueError(
            f"F(z) is a {kind}, through which no gradient passes; compute it from z with torch, or use "
            "score_function_gradient"
        )
    try:
        return torch.as_tensor(values, device=z.device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"F(z) is a {kind}; it must be a tensor: one number a sample") from None


def _gradient(
    expectation: Tensor, q: Distribution, parameters: Sequence[Tensor] | None
) -> tuple[Tensor, ...]:
    """The derivative of ``expectation.sum()`` with respect to each parameter; 0 where there is none."""
    if isinstance(parameters, Tensor):
        raise ValueError("parameters is a tensor, and must be a sequence of tensors; give parameters=[it]")
    parameters = leaf_parameters(q) if parameters is None else tuple(parameters)
    if not parameters:
        raise ValueError(
            f"{type(q).__name__} holds no tensor that requires a gradient; make its parameters with "
            "requires_grad=True, or name others by parameters=..."
        )
    if not expectation.requires_grad:
        return tuple(map(torch.zeros_like, parameters))
    # The graph behind q's own parameters is kept: the same q can be used again.
    return torch.autograd.grad(expectation.sum(), parameters, retain_graph=True, materialize_grads=True)
