"""MMD: the estimate against its definition, the p-value uniform without a difference and small with one."""

import pytest
import torch
from scipy.stats import kstest

from jensen.data.seeds import generator
from jensen.evaluation.mmd import BANDWIDTHS, mmd_test
from tests.chance import FALSE_ALARM, within_chance


def draws(n: int, M: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, M, generator=generator(seed), dtype=torch.float64) + shift


def test_the_estimate_is_the_definition() -> None:
    a, b = draws(7, 3, 0), draws(9, 3, 1, 0.5)
    both = torch.cat([a, b])
    distances = torch.cdist(both, both).square()
    median = distances[torch.triu_indices(16, 16, 1).unbind()].median()

    def k(u: torch.Tensor, v: torch.Tensor) -> float:
        square = (u - v).square().sum()
        return sum((-square / (c * median)).exp().item() for c in BANDWIDTHS) / len(BANDWIDTHS)

    within_a = sum(k(u, v) for i, u in enumerate(a) for j, v in enumerate(a) if i != j) / (7 * 6)
    within_b = sum(k(u, v) for i, u in enumerate(b) for j, v in enumerate(b) if i != j) / (9 * 8)
    between = sum(k(u, v) for u in a for v in b) / (7 * 9)
    found = mmd_test(a, b, num_permutations=5, generator=generator(0))
    assert found.mmd2 == pytest.approx(within_a + within_b - 2 * between, abs=1e-12)


def test_without_a_difference_the_estimate_is_zero_on_average_and_the_p_value_uniform() -> None:
    found = [
        mmd_test(draws(60, 3, 2 * s), draws(50, 3, 2 * s + 1), num_permutations=99, generator=generator(s))
        for s in range(300)
    ]
    assert within_chance(torch.tensor([f.mmd2 for f in found]), 0.0)
    # The p-value is uniform on 1/100, ..., 1: spread over the steps, uniform on [0, 1].
    p = torch.tensor([f.p_value for f in found]) - torch.rand(300, generator=generator(7)) / 100
    assert kstest(p.numpy(), "uniform").pvalue > FALSE_ALARM
    assert 0.02 <= sum(f.p_value <= 0.05 for f in found) / 300 <= 0.09


@pytest.mark.parametrize("M", [1, 10, 50])
def test_a_shift_is_found(M: int) -> None:
    found = mmd_test(draws(400, M, 0), draws(400, M, 1, 0.3), num_permutations=500, generator=generator(0))
    assert found.mmd2 > 0
    assert found.p_value == 1 / 501  # the smallest there is: never 0


def test_a_spread_is_found() -> None:
    found = mmd_test(draws(500, 5, 0), 1.3 * draws(500, 5, 1), num_permutations=500, generator=generator(0))
    assert found.p_value < 0.01


def test_points_that_are_all_the_same() -> None:
    same = torch.zeros(20, 2)
    assert mmd_test(same, same, num_permutations=50, generator=generator(0)).p_value == 1
    apart = mmd_test(same, same + 1, num_permutations=200, generator=generator(0))
    assert apart.p_value == 1 / 201


def test_one_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        mmd_test(torch.zeros(1, 2), torch.zeros(5, 2), generator=generator(0))
