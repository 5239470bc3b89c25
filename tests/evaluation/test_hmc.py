"""HMC leaves its target invariant, whatever the step size, and tuning brings the acceptance to its target."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal

from jensen.evaluation.hmc import TARGET_ACCEPTANCE, state_at, transition, tuned
from tests.chance import within_chance

ONE = torch.ones(1, dtype=torch.float64)


def correlated(M: int = 3) -> MultivariateNormal:
    root = torch.eye(M, dtype=torch.float64) + 0.5 * torch.ones(M, M, dtype=torch.float64).tril(-1)
    return MultivariateNormal(torch.arange(M, dtype=torch.float64), scale_tril=root)


def run(densities, weights: Tensor, z: Tensor, step: float, transitions: int, num_leapfrog: int):
    state = state_at(densities, z)
    scale, step_size = torch.ones_like(z[0]), torch.full((z.shape[1],), step).double()
    accepted = []
    for _ in range(transitions):
        state, probability = transition(densities, weights, state, step_size, scale, num_leapfrog)
        accepted.append(probability.mean())
    return state.z, torch.stack(accepted).mean().item()


@pytest.mark.parametrize(("step", "num_leapfrog"), [(0.1, 3), (0.5, 5), (0.9, 1), (1.2, 4)])
def test_a_normal_is_left_invariant(step: float, num_leapfrog: int) -> None:
    torch.manual_seed(0)
    target = correlated()
    z, acceptance = run([target.log_prob], ONE, target.sample((4000, 2)), step, 8, num_leapfrog)
    assert step < 0.5 or acceptance < 0.98  # else the accept step was not put to the test
    u = torch.linalg.solve_triangular(target.scale_tril, (z - target.loc).unsqueeze(-1), upper=False)[..., 0]
    chains = u.reshape(-1, 3)
    products = (chains.unsqueeze(-1) * chains.unsqueeze(-2)).flatten(1)
    assert within_chance(chains, 0.0)
    assert within_chance(products, torch.eye(3).double().flatten())
    assert within_chance(chains.pow(4), 3.0)


def test_a_target_that_is_no_normal_is_left_invariant() -> None:
    torch.manual_seed(0)
    target = Independent(Laplace(torch.zeros(2).double(), 1.0), 1)
    z, acceptance = run([target.log_prob], ONE, target.sample((8000, 1)), 1.0, 8, 3)
    assert 0.3 < acceptance < 0.9
    z = z.flatten(0, 1)
    assert within_chance(z, 0.0)
    assert within_chance(z.abs(), 1.0)
    assert within_chance(z.square(), 2.0)


def test_densities_are_weighted() -> None:
    # N(0, 1)^(3/4) N(4, 1)^(1/4) is N(1, 1) up to a constant.
    torch.manual_seed(0)
    ends = [Independent(Normal(torch.full((1,), m).double(), 1.0), 1) for m in (0.0, 4.0)]
    weights = torch.tensor([0.75, 0.25]).double()
    z, _ = run([end.log_prob for end in ends], weights, torch.randn(8000, 1, 1).double() + 1, 1.0, 5, 3)
    assert within_chance(z.flatten(), 1.0)
    assert within_chance((z.flatten() - 1).square(), 1.0)


def test_chains_find_the_target_from_elsewhere() -> None:
    torch.manual_seed(0)
    target = correlated()
    z, _ = run([target.log_prob], ONE, torch.full((4000, 1, 3), 10.0).double(), 0.6, 60, 5)
    assert within_chance(z[:, 0], target.loc)
    assert within_chance((z[:, 0] - target.loc).square(), target.variance)


def test_forbidden_regions_are_not_entered() -> None:
    # The half line: -inf and then NaN below zero. The target is a half normal, of mean sqrt(2 / pi).
    def half_normal(z: Tensor) -> Tensor:
        inside = torch.where(z > 0, -z.square() / 2, -math.inf)
        return torch.where(z > -1, inside, math.nan).sum(-1)

    torch.manual_seed(0)
    z, acceptance = run([half_normal], ONE, torch.randn(20_000, 1, 1).double().abs(), 0.8, 6, 3)
    assert acceptance < 0.8
    assert (z > 0).all()
    assert within_chance(z.flatten(), math.sqrt(2 / math.pi))
    assert within_chance(z.flatten().square(), 1.0)


def test_a_trajectory_that_explodes_is_rejected_and_no_density_sees_nan() -> None:
    def quartic(z: Tensor) -> Tensor:
        assert not z.isnan().any()
        return -z.pow(4).sum(-1)

    torch.manual_seed(0)
    z = torch.randn(50, 2, 3).double()
    end, acceptance = run([quartic], ONE, z, 100.0, 3, 6)
    assert acceptance == 0
    assert (end == z).all()


def test_tuning_brings_the_acceptance_to_its_target() -> None:
    torch.manual_seed(0)
    sd = torch.tensor([[1.0, 1.0, 1.0], [0.1, 1.0, 5.0]]).double()
    target = Independent(Normal(torch.zeros(2, 3).double(), sd), 1)
    state, step, seen = state_at([target.log_prob], target.sample((16,))), torch.full((2,), 0.01).double(), []
    for i in range(600):
        state, probability = transition([target.log_prob], ONE, state, step, torch.ones(2, 3).double(), 3)
        step = tuned(step, probability, 0.2)
        seen += [probability.mean(0)] if i >= 300 else []
    assert (torch.stack(seen).mean(0) - TARGET_ACCEPTANCE).abs().max() < 0.03
    assert step[1] < step[0] / 3  # each datum has its own
