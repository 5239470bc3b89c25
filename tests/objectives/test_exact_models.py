"""The exact answers of the z-tests, by a second way where there is one."""

import math

import pytest
import torch
from torch import Tensor

from jensen.objectives import cubo, elbo, elbo_monte_carlo, iwae, pathwise
from tests.objectives.exact_models import NOISE, PROBLEMS, lower
from tests.objectives.rows import ROWS, exact_gradient, exact_value, gradients, nodes

GAUSSIAN = ("diagonal", "full")


def closed_form_elbo(p: dict[str, Tensor], x: Tensor, root: Tensor) -> Tensor:
    """E_q log N(x; W z + b, NOISE^2 I) - KL(N(m, T T') || N(0, I)), without any sampling or quadrature."""
    m, W, b = (p[name][0] for name in ("loc", "W", "b"))
    error = (x - W @ m - b).square().sum() + (W @ root).square().sum()
    expected = -1.5 * math.log(2 * math.pi * NOISE**2) - error / (2 * NOISE**2)
    kl = (root.square().sum() + m.square().sum() - 2) / 2 - root.diagonal().log().sum()
    return expected - kl


@pytest.mark.parametrize("bound", [elbo, elbo_monte_carlo], ids=lambda b: b.name)
@pytest.mark.parametrize("kind", GAUSSIAN)
def test_quadrature_agrees_with_the_closed_form(bound, kind):
    problem = PROBLEMS[kind]
    p = problem.copies(1)
    root = lower(p["root"][0]) if kind == "full" else torch.diag(p["log_scale"][0].exp())
    value = closed_form_elbo(p, problem.x, root)
    parts = torch.autograd.grad(value, list(p.values()))
    torch.testing.assert_close(exact_value(bound, problem, 1, p), value)
    torch.testing.assert_close(exact_gradient(bound, problem, 1), torch.cat([g.flatten() for g in parts]))


@pytest.mark.parametrize("kind", GAUSSIAN)
@pytest.mark.parametrize("bound", [iwae, cubo(2.0)], ids=lambda b: b.name)
def test_quadrature_has_converged(bound, kind, monkeypatch):
    torch.manual_seed(7)
    error = gradients(pathwise, bound, PROBLEMS[kind], 2).std(0) / math.sqrt(ROWS)
    coarse = exact_gradient(bound, PROBLEMS[kind], 2)
    monkeypatch.setattr(nodes, "__defaults__", (32,))
    fine = exact_gradient(bound, PROBLEMS[kind], 2)
    assert ((coarse - fine).abs() <= 0.05 * error).all()
