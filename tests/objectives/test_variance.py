"""How much the estimators vary, where theory says what to expect."""

from functools import partial

import pytest
import torch

from jensen.objectives import Bound, doubly_reparameterized, elbo, iwae, pathwise, sticking_the_landing
from tests.objectives.exact_models import PROBLEMS, exact_posterior
from tests.objectives.rows import SCORE, gradients

GAUSSIAN = ("diagonal", "full")
ALL = (*GAUSSIAN, "categorical")


@pytest.mark.parametrize(
    ("estimator", "bound"),
    [(sticking_the_landing, elbo), (doubly_reparameterized, iwae)],
    ids=["sticking-the-landing", "doubly-reparameterized"],
)
def test_no_variance_at_the_exact_posterior(estimator, bound):
    torch.manual_seed(5)
    problem = exact_posterior()
    names = list(problem.start)
    sizes = [p.numel() for p in problem.start.values()]
    of_posterior = torch.cat(
        [torch.full((n,), name in ("loc", "root")) for name, n in zip(names, sizes, strict=True)]
    )
    estimates = gradients(estimator, bound, problem, 3, rows=50)
    plain = gradients(pathwise, bound, problem, 3, rows=50)
    assert estimates[:, of_posterior].abs().max() < 1e-12
    assert plain[:, of_posterior].abs().max() > 0.1


def total_variance(estimator, bound: Bound, problem, num_samples: int) -> float:
    torch.manual_seed(6)
    return gradients(estimator, bound, problem, num_samples, rows=4000).var(0).sum().item()


@pytest.mark.parametrize("problem", ALL)
@pytest.mark.parametrize("bound", [elbo, iwae], ids=lambda b: b.name)
def test_a_baseline_lowers_the_variance(problem, bound):
    variance = {name: total_variance(e, bound, PROBLEMS[problem], 5) for name, e in SCORE.items()}
    assert variance["leave-one-out"] < 0.7 * variance["none"]
    assert variance["running-mean"] < variance["none"]


@pytest.mark.parametrize("problem", GAUSSIAN)
def test_following_more_of_the_draws_lowers_the_variance_down_to_that_of_all(problem):
    by = {m: partial(doubly_reparameterized, backward_samples=m) for m in (1, 4, 16)}
    variance = {m: total_variance(estimator, iwae, PROBLEMS[problem], 16) for m, estimator in by.items()}
    assert 0.9 * variance[16] < variance[4] < 0.8 * variance[1]
    assert variance[4] < 1.5 * variance[16]


@pytest.mark.parametrize("problem", GAUSSIAN)
def test_the_path_varies_less_than_the_score(problem):
    score = total_variance(SCORE["leave-one-out"], elbo, PROBLEMS[problem], 5)
    assert total_variance(pathwise, elbo, PROBLEMS[problem], 5) < 0.7 * score


def signal_to_noise(estimator, num_samples: int) -> float:
    """|mean| / standard deviation of the gradient by the posterior's mean, near the exact posterior."""
    torch.manual_seed(8)
    estimates = gradients(estimator, iwae, exact_posterior(shift=0.3), num_samples, rows=4000)[:, :2]
    return (estimates.mean(0).abs() / estimates.std(0)).mean().item()


def test_the_signal_of_the_iwae_gradient_is_lost_by_one_reparameterization_and_kept_by_two():
    few, many = 4, 64
    assert signal_to_noise(pathwise, many) < 0.5 * signal_to_noise(pathwise, few)
    assert signal_to_noise(doubly_reparameterized, many) > signal_to_noise(doubly_reparameterized, few)
