"""A figure and its standard error."""

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over data and the standard error of that mean."""

    value: float
    standard_error: float

    def to_dict(self) -> dict[str, float]:
        """``{"value": ..., "standard_error": ...}``, for JSON."""
        return {"value": self.value, "standard_error": self.standard_error}

    def __str__(self) -> str:
        return f"{self.value:.2f} +/- {self.standard_error:.2f}"


def effective_sample_size(log_w: Tensor) -> Tensor:
    """``(sum_k w_k)^2 / sum_k w_k^2`` from log weights ``[K, ...]``, between 1 and K, ``[...]``."""
    return (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()


def estimate(values: Tensor) -> Estimate:
    """The mean of per-datum ``values`` ``[N]`` and its standard error sd / sqrt(N) (NaN when N = 1)."""
    values = values.double()
    n = len(values)
    spread = values.std().item() if n > 1 else float("nan")
    return Estimate(values.mean().item(), spread / math.sqrt(n))
