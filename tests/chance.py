"""Statistical tests with one stated false-alarm rate.

Every test in the suite that compares a mean of draws with its exact value does it here. Seeds are fixed,
so a test that passes keeps passing; the rate says how unlikely a correct program was to fail at the
first try.
"""

import math

from scipy.stats import norm
from torch import Tensor

FALSE_ALARM = 1e-6
"""The probability that one comparison of correct code fails."""


def within_chance(draws: Tensor, exact: float | Tensor, *, tests: int = 1) -> bool:
    """Whether independent ``draws`` ``[N, ...]`` have the mean ``exact``, by a two-sided z-test.

    Several components are tested together, with Bonferroni's correction for their number (and for
    ``tests`` such calls).
    """
    n = draws.shape[0]
    mean, error = draws.mean(0), draws.std(0) / math.sqrt(n)
    critical = norm.isf(FALSE_ALARM / (2 * mean.numel() * tests))
    return bool(((mean - exact).abs() <= critical * error + 1e-12).all())
