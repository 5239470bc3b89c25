"""Baselines: what a score-function estimator takes away to vary less, without changing its mean.

A baseline maps the integrand ``[K, *batch]`` (without gradient) to b of the same shape, where b_k may not
depend on sample k: then ``E b_k grad log q(z_k) = 0``.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from jensen.objectives.bounds import PowerMean, mean

Baseline = Callable[[Tensor], Tensor]
"""``[K, *batch] -> [K, *batch]``."""


def no_baseline(values: Tensor) -> Tensor:
    """b_k = 0."""
    return torch.zeros_like(values)


def leave_one_out(values: Tensor) -> Tensor:
    """b_k = mean_{j != k} f_j, independent of z_k, as f_k is left out (Kool, van Hoof & Welling 2019).

    Raises:
        ValueError: there is one sample, K = 1.
    """
    num_samples = len(values)
    if num_samples < 2:
        raise ValueError(
            "a leave-one-out baseline was asked for with 1 latent sample, and needs 2 or more; "
            "use more samples, or a RunningMean() baseline"
        )
    return (values.sum(0) - values) / (num_samples - 1)


class RunningMean(nn.Module):
    """b = an exponential moving average of the integrand over all earlier calls (Mnih & Gregor 2014).

    ``b <- sum_t decay^(T - t) mean(f_t) / sum_t decay^(T - t)`` over the calls t before the present one T,
    0 at the first. It must not see the present samples: then b would depend on z_k.

    The state is two float64 numbers, ``total`` and ``count``, buffers of this module: each call updates
    them in place (a compiled step knows them by their place in memory), ``state_dict()`` holds them, and one
    object serves one training run.

    Args:
        decay: how much of the past remains at each call, in [0, 1).
    """

    total: Tensor
    count: Tensor

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it must be at least 0 and below 1")
        self.decay = decay
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def forward(self, values: Tensor) -> Tensor:
        """The average of the earlier calls, of the shape of ``values``; then take note of ``values``."""
        self.to(values.device)
        b = (self.total / self.count.clamp(min=1)).to(values.dtype)
        self.total.mul_(self.decay).add_(values.mean(dtype=torch.float64))
        self.count.mul_(self.decay).add_(1)
        return b.expand_as(values)


BASELINES: dict[str, Baseline] = {"none": no_baseline, "leave-one-out": leave_one_out}
"""The baselines without state, by name."""


def find_baseline(baseline: str | Baseline) -> Baseline:
    """The baseline of that name, or the function itself.

    Raises:
        ValueError: no baseline has that name, or it is no function.
    """
    if baseline == "running-mean":
        raise ValueError(
            "baseline is 'running-mean', which remembers earlier calls, and so is an object; make one "
            "RunningMean() and give it to every call"
        )
    if isinstance(baseline, str) and baseline in BASELINES:
        return BASELINES[baseline]
    if isinstance(baseline, str | type) or not callable(baseline):
        names = ", ".join(repr(name) for name in BASELINES)
        raise ValueError(
            f"baseline is {baseline!r}; give {names}, a RunningMean() (an object, not the class) or another "
            "function of the values, such as lambda values: torch.full_like(values, 5.0)"
        )
    return baseline


def advantage(values: Tensor, baseline: Baseline, reduction: Callable[[Tensor], Tensor]) -> Tensor:
    """A_k = R(f) - R(f with b_k in the place of f_k): what sample k adds to the reduced value.

    For the average it is (f_k - b_k) / K; for log-mean-exp with leave-one-out it is VIMCO's learning
    signal (Mnih & Rezende 2016, with the geometric mean). All but the average take K^2 numbers a datum.

    Args:
        values: f, without gradient, ``[K, *batch]``.
        baseline: gives b.
        reduction: R, ``[K, n] -> [n]``.

    Returns:
        A, ``[K, *batch]``.
    """
    f = values.flatten(1) if values.dim() > 1 else values[:, None]
    b = baseline(f)
    if reduction == mean:
        return ((f - b) / len(f)).reshape(values.shape)
    if isinstance(reduction, PowerMean):  # it moves with its values, and near zero they have more digits
        center = f.amax(0)
        f, b = f - center, b - center
    one = torch.eye(len(f), dtype=torch.bool, device=f.device)
    replaced = torch.where(one[:, :, None], b[None, :], f[:, None])  # [j, k, n]: b_k where j = k, else f_j
    without = reduction(replaced.flatten(1)).reshape(f.shape)
    return (reduction(f) - without).reshape(values.shape)
