"""Bounds: their order, their special cases, and what they bound."""

import math
import pickle
import pydoc
import re

import pytest
import torch
from torch import Tensor

from jensen.objectives import (
    Bound,
    PowerMean,
    beta,
    cubo,
    elbo,
    elbo_monte_carlo,
    free_bits,
    iwae,
    reconstruction,
    renyi,
)
from tests.chance import within_chance
from tests.objectives.exact_models import CHAINS, NOISE, PROBLEMS, exact_posterior, log_px
from tests.objectives.rows import RowModel, exact_value


def trace_of(name: str, num_samples: int, rows: int = 6, seed: int = 0):
    torch.manual_seed(seed)
    model = RowModel({**PROBLEMS, **CHAINS}[name], rows)
    return model.trace(model.x, num_samples)


def values(bound: Bound, name: str, num_samples: int, rows: int = 20_000) -> Tensor:
    with torch.no_grad():
        return bound(trace_of(name, num_samples, rows))


@pytest.mark.parametrize("name", [*PROBLEMS, *CHAINS])
def test_with_one_sample_iwae_is_the_monte_carlo_elbo(name):
    trace = trace_of(name, 1)
    torch.testing.assert_close(iwae(trace), elbo_monte_carlo(trace))


@pytest.mark.parametrize("name", PROBLEMS)
def test_renyi_leads_from_elbo_to_iwae(name):
    trace = trace_of(name, 7)
    torch.testing.assert_close(renyi(0)(trace), iwae(trace))
    torch.testing.assert_close(renyi(1)(trace), elbo_monte_carlo(trace))
    torch.testing.assert_close(renyi(1 - 1e-6)(trace), renyi(1)(trace), atol=1e-4, rtol=0)
    torch.testing.assert_close(renyi(-1)(trace), cubo(2)(trace))


@pytest.mark.parametrize("name", PROBLEMS)
def test_on_the_same_samples_the_bounds_are_ordered(name):
    trace = trace_of(name, 7)
    ladder = [renyi(2), elbo_monte_carlo, renyi(0.5), iwae, renyi(-0.5), cubo(2), cubo(4)]
    steps = torch.stack([bound(trace) for bound in ladder]).diff(dim=0)
    assert (steps > 0).all()


@pytest.mark.parametrize("name", ["diagonal", "full", "categorical"])
def test_more_samples_give_a_tighter_bound(name):
    means = [values(iwae, name, k).mean() for k in (1, 2, 5, 20)]
    assert means == sorted(means)
    if name != "categorical":
        assert means[-1] < log_px(PROBLEMS[name])


@pytest.mark.parametrize("name", ["diagonal", "full", "categorical", *CHAINS])
@pytest.mark.parametrize("bound", [elbo, elbo_monte_carlo, iwae, renyi(0.5), beta(3.0)], ids=lambda b: b.name)
def test_the_mean_is_the_exact_expectation(name, bound):
    problem = {**PROBLEMS, **CHAINS}[name]
    assert within_chance(values(bound, name, 2), exact_value(bound, problem, 2, problem.copies(1)).detach())


def test_at_the_exact_posterior_every_sample_says_log_px():
    problem = exact_posterior()
    model = RowModel(problem, 4)
    exact = log_px(problem).expand(4)
    for bound in (elbo_monte_carlo, iwae, renyi(0.3), renyi(-2), cubo(3)):
        torch.testing.assert_close(bound(model.trace(model.x, 5)).detach(), exact)
    torch.testing.assert_close(exact_value(elbo, problem, 1, problem.copies(1)).detach(), exact[0])


def test_cubo_bounds_from_above_and_iwae_from_below():
    """With q near the posterior: iwae <= log p(x) <= CUBO_n, and E exp(n value) = exp(n CUBO_n) at any K."""
    problem = exact_posterior(shift=0.4)
    p = problem.copies(1)
    exact = log_px(problem)
    # q and p(z | x) are normal with the same covariance S and means 0.4 apart: log E_q w^n is
    # n log p(x) + n (n - 1) d' S^-1 d / 2.
    gap = torch.full((2,), 0.4).double()
    W = problem.start["W"]
    precision = torch.eye(2) + W.T @ W / NOISE**2
    limit = exact + (2 - 1) * gap @ precision @ gap / 2
    model = RowModel(problem, 1)
    with torch.no_grad():
        trace = model.trace(model.x, 400_000)
        upper, lower = cubo(2)(trace)[0], iwae(trace)[0]
    assert lower - 0.01 < exact < limit
    assert abs(upper - limit) < 0.01
    few = exact_value(cubo(2), problem, 2, p)
    assert exact_value(elbo, problem, 1, p) < few < limit  # K = 2 samples are not yet an upper bound
    exponentiated = Bound("exp", cubo(2).integrand, lambda f: (2 * PowerMean(2)(f)).exp())
    torch.testing.assert_close(exact_value(exponentiated, problem, 2, p), (2 * limit).exp())
    assert cubo().upper
    assert renyi(-1).upper
    assert not any(bound.upper for bound in (elbo, iwae, renyi(0.5), renyi(2)))


@pytest.mark.parametrize("name", ["diagonal", "normal-normal"])
def test_free_bits(name):
    trace = trace_of(name, 3)
    kl = trace.kl.mean((0, 1)).detach()
    low, high = kl.min().item(), kl.max().item()
    torch.testing.assert_close(free_bits(0.99 * low)(trace), elbo(trace))
    torch.testing.assert_close(free_bits(0.0)(trace), elbo(trace))
    everything = trace.log_px.mean(0) - len(kl) * 1.01 * high
    torch.testing.assert_close(free_bits(1.01 * high)(trace), everything)


def test_free_bits_is_the_equation_on_the_mean_of_a_batch():
    """sum_l max(lambda, mean_b KL_l), with groups and data on either side of the minimum."""
    trace = trace_of("normal-normal", 3)
    kl = trace.kl
    for minimum in (0.1, kl.mean((0, 1))[0].item() + 0.01, kl.mean((0, 1))[1].item() + 0.01):
        expected = trace.log_px.mean() - kl.mean((0, 1)).clamp(min=minimum).sum()
        torch.testing.assert_close(free_bits(minimum)(trace).mean(), expected)


def test_power_mean():
    x = torch.tensor([[1.0, -2.0], [3.0, 40.0]]).double().log_softmax(0)
    for order in (-2.0, 0.5, 1.0, 3.0):
        expected = x.exp().pow(order).mean(0).log() / order
        torch.testing.assert_close(PowerMean(order)(x), expected)
    for order in (-1.0, 0.0, 1.0, 2.0):
        values = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(PowerMean(order)(values).sum(), values)
        torch.testing.assert_close(PowerMean(order).weights(values), slope)
    far = torch.tensor([[-1e4], [-1.1e4]])
    assert PowerMean(1.0)(far).item() == pytest.approx(-1e4 - math.log(2))


@pytest.mark.parametrize("order", [-1e-3, -1e-7, 1e-12, 1e-7, 1e-3, 9e-3])
def test_a_power_mean_near_the_average_keeps_its_digits(order):
    torch.manual_seed(0)
    single = (torch.randn(50, 9) * 30 - 500).requires_grad_()
    double = single.detach().double().requires_grad_()
    u = double - double.mean(0)
    # To second order in s: R = mean + s var / 2 + s^2 (third cumulant) / 6.
    expected = double.mean(0) + order * u.square().mean(0) / 2 + order**2 * u.pow(3).mean(0) / 6
    atol = 1e-3 + 3 * abs(order) ** 3 * u.pow(4).mean().item()
    torch.testing.assert_close(PowerMean(order)(single).double(), expected, atol=atol, rtol=0)
    (slope,) = torch.autograd.grad(PowerMean(order)(single).sum(), single)
    torch.testing.assert_close(slope.double(), PowerMean(order).weights(double), atol=0, rtol=1e-4)


EVERY = [elbo, elbo_monte_carlo, iwae, reconstruction, beta(2.0), free_bits(1.0), renyi(0.5), cubo()]


@pytest.mark.parametrize("bound", EVERY, ids=lambda bound: bound.name)
def test_a_bound_goes_to_another_process(bound):
    model = RowModel(PROBLEMS["diagonal"], 5)
    trace = model.trace(model.x, 3)
    there = pickle.loads(pickle.dumps(bound))
    assert torch.equal(there(trace), bound(trace))
    assert (there.name, there.reduction, there.upper) == (bound.name, bound.reduction, bound.upper)


@pytest.mark.parametrize("bound", EVERY, ids=lambda bound: bound.name)
def test_help_and_repr_of_a_bound_show_its_formula(bound):
    """And not the docstring of its class, which is the same for all."""
    assert bound.formula
    first = bound.formula.splitlines()[0]
    assert repr(bound) == f"Bound {bound.name}: {first}"
    assert f"\n    {first}" in pydoc.plain(pydoc.render_doc(bound))
    assert re.search(r"log p\(x|sum_k", first)


def test_a_bound_without_a_formula():
    mine = Bound("mine", lambda t: t.log_px, PowerMean(0))
    assert repr(mine) == "Bound mine: no formula given"
    assert mine.__doc__ == Bound.__doc__


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"minimum is -1; .* give 0 or more"):
        free_bits(-1)
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"minimum is {bad}"):
            free_bits(bad)
        with pytest.raises(ValueError, match=f"order is {bad}"):
            cubo(bad)
        with pytest.raises(ValueError, match=f"alpha is {bad}; give a finite number"):
            renyi(bad)
    with pytest.raises(ValueError, match=r"order is 0.5; .* use renyi\(1 - order\)"):
        cubo(0.5)
