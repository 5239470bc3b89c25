"""Factor analysis of incomplete rows, and the table model that starts there, against closed forms."""

import numpy as np
import torch
from sklearn.decomposition import FactorAnalysis
from torch import Tensor

from jensen import VAEImputer
from jensen.config.linear_start import with_linear_part
from jensen.distributions.factor_analysis import Factors, fit_factors, posterior
from jensen.distributions.limits import unlimited
from jensen.families import Experts
from jensen.families.experts import FARTHEST, LARGEST
from jensen.networks import mlp

W = torch.tensor(
    [[1.0, 0.0], [0.9, 0.2], [0.5, -0.8], [0.0, 1.0], [-0.6, 0.6], [0.8, 0.8]], dtype=torch.float64
)
NOISE = torch.tensor([0.05, 0.1, 0.2, 0.1, 0.3, 0.02], dtype=torch.float64)
MEAN = torch.arange(6, dtype=torch.float64)


def rows(n: int, seed: int = 0) -> Tensor:
    draws = np.random.default_rng(seed)
    z, e = draws.normal(size=(n, 2)), draws.normal(size=(n, 6))
    return MEAN + torch.from_numpy(z) @ W.T + NOISE.sqrt() * torch.from_numpy(e)


def hidden(n: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, 6)) < 0.2)


def conditional_mean(u: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """E[u_missing | u_observed] of a normal distribution, row by row."""
    filled = u.clone()
    for row, there in zip(filled, ~u.isnan(), strict=True):
        known = covariance[there][:, there]
        row[~there] = mean[~there] + covariance[~there][:, there] @ torch.linalg.solve(
            known, row[there] - mean[there]
        )
    return filled


def test_on_complete_rows_it_is_scikit_learns_factor_analysis() -> None:
    u = rows(500)
    found = fit_factors(u, 2, steps=1500)
    theirs = FactorAnalysis(2, tol=1e-10, max_iter=5000, svd_method="lapack").fit(u.numpy())
    covariance = found.loadings @ found.loadings.T + found.noise.diag()
    assert torch.allclose(covariance, torch.from_numpy(theirs.get_covariance()), atol=2e-4)


def test_on_incomplete_rows_it_finds_the_factors() -> None:
    u = torch.where(hidden(5000), torch.nan, rows(5000))
    found = fit_factors(u, 2, steps=100)
    covariance = found.loadings @ found.loadings.T + found.noise.diag()
    # A covariance from n rows has a standard error of about sqrt(2 / n) = 0.02 times the variances.
    assert torch.allclose(covariance, W @ W.T + NOISE.diag(), atol=0.08)
    assert torch.allclose(found.mean, MEAN, atol=0.08)


def test_the_posterior_of_experts_is_the_exact_one_whatever_is_missing() -> None:
    u = torch.where(hidden(50), torch.nan, rows(50))
    factors = Factors(MEAN, W, NOISE)
    mean, covariance = posterior(factors, u)
    there, deviation = (~u.isnan()).double(), NOISE.sqrt()
    b = unlimited(there[..., None] * W / deviation[:, None], LARGEST)
    t = unlimited(torch.where(u.isnan(), 0.0, (u - MEAN) / deviation), FARTHEST)
    raw = torch.cat([torch.zeros(50, 2).double(), torch.cat([b, t[..., None]], -1).flatten(1)], 1)
    q = Experts(2)(raw)
    assert torch.allclose(q.mean, mean)
    assert torch.allclose(q.covariance_matrix, covariance)
    joint = W @ W.T + NOISE.diag()
    assert torch.allclose(torch.where(u.isnan(), mean @ W.T + MEAN, u), conditional_mean(u, MEAN, joint)), (
        "and the cells that it fills are their conditional means"
    )


def test_a_network_beside_a_linear_part_starts_at_zero() -> None:
    skip = with_linear_part(mlp(2, [8], 3), 2, 3)
    torch.nn.init.normal_(skip.linear.weight)
    z = torch.randn(5, 2)
    assert torch.equal(skip(z), skip.linear(z))
    skip(z).sum().backward()
    assert skip.network[-1].weight.grad.abs().sum() > 0, "and learns"


def test_filling_linear_gaussian_tables_comes_near_the_conditional_mean() -> None:
    """The imputer with its defaults, of few rows, beside E[x_missing | x_observed] of the true model."""
    x, holes = rows(300), hidden(300)
    u = torch.where(holes, torch.nan, x)
    best = conditional_mean(u, MEAN, W @ W.T + NOISE.diag())
    imputer = VAEImputer(epochs=5, importance_samples=50, random_state=0).fit(u.numpy())
    filled = torch.from_numpy(imputer.transform(u.numpy()))
    error, least = ((f - x)[holes].square().mean().sqrt().item() for f in (filled, best))
    assert error < 1.05 * least
