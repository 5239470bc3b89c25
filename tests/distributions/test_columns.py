"""The likelihood of a table: probabilities add up to one, in the units of the data as given."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from jensen.config.tables import column_family
from jensen.data.tables.marginals import fit_marginals
from jensen.data.tables.schema import Column, Schema
from jensen.distributions.column_layout import drawn
from jensen.families.columns import Columns
from tests.chance import within_chance

SCHEMA = Schema(
    (
        Column("colour", "categorical", "string", levels=("red", "green", "blue")),
        Column("age", "count", "int64", step=1.0),
        Column("price", "positive", "double"),
        Column("height", "continuous", "double"),
        Column("rain", "continuous", "double"),
        Column("grade", "continuous", "double", step=0.1),
        Column("sex", "binary", "bool", levels=(False, True)),
    )
)


def rows(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    rain = np.where(draw.random(n) < 0.6, 0.0, draw.normal(0, 2, n))  # an atom with densities on both sides
    return np.stack(
        [
            draw.integers(0, 3, n),
            draw.negative_binomial(2, 0.1, n),
            np.exp(2 * draw.normal(size=n)),
            1.7 + 0.1 * draw.normal(size=n),
            rain,
            (3 + draw.normal(size=n)).round(1),
            draw.integers(0, 2, n),
        ],
        axis=1,
    ).astype(float)


@pytest.fixture(scope="module")
def family() -> Columns:
    return column_family(fit_marginals(SCHEMA, rows(3000)))


def distribution(family: Columns, seed: int = 1, spread: float = 0.5):
    raw = spread * torch.randn(family.num_outputs, generator=torch.Generator().manual_seed(seed))
    return family(raw)


def along(p, column: int, values: Tensor) -> Tensor:
    """log p of one column at values, the others missing."""
    x = torch.full((len(values), len(SCHEMA.columns)), torch.nan, dtype=torch.float64)
    x[:, column] = values.double()
    return p.log_prob(x).double()


def test_what_cannot_be_has_no_probability(family: Columns) -> None:
    """A price of 0 or less has no logarithm, and ages of less than 0 are no counts."""
    p = distribution(family)
    assert (along(p, 2, torch.tensor([0.0, -5.0, -1e300])) < -9e8).all()
    assert (along(p, 1, torch.tensor([-1.0, -30.0])) < -9e8).all()
    assert (along(p, 1, torch.tensor([0.0, 1.0])) > -20).all()
    assert along(p, 2, torch.tensor([1e-3])).item() > -100


@pytest.mark.parametrize("seed", range(4))
def test_probabilities_of_levels_and_whole_numbers_add_up_to_one(family: Columns, seed: int) -> None:
    p = distribution(family, seed)
    assert along(p, 0, torch.arange(3)).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert along(p, 6, torch.arange(2)).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert along(p, 1, torch.arange(20000)).exp().sum().item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_densities_integrate_to_one(family: Columns, seed: int) -> None:
    p = distribution(family, seed)
    price = torch.linspace(-15, 15, 200_001, dtype=torch.float64).exp()
    assert torch.trapezoid(along(p, 2, price).exp(), price).item() == pytest.approx(1, abs=5e-3)
    height = torch.linspace(-3, 6, 200_001, dtype=torch.float64)
    assert torch.trapezoid(along(p, 3, height).exp(), height).item() == pytest.approx(1, abs=5e-3)
    grade = (torch.arange(-2000, 2000) * 0.1).round(decimals=1)  # densities of cells of width 0.1
    assert 0.1 * along(p, 5, grade).exp().sum().item() == pytest.approx(1, abs=2e-3)


def test_an_atom_among_densities_has_a_probability(family: Columns) -> None:
    p = distribution(family)
    x = torch.linspace(-40, 80, 400_000, dtype=torch.float64)  # no point of the grid is 0
    assert not (x == 0).any()
    density = torch.trapezoid(along(p, 4, x).exp(), x).item()
    atom = along(p, 4, torch.zeros(1)).exp().item()
    assert 0.2 < atom < 0.95
    assert atom + density == pytest.approx(1, abs=5e-3)


def test_draws_follow_the_density(family: Columns) -> None:
    p = distribution(family)
    torch.manual_seed(0)
    x = p.sample((20_000,))
    assert not x.isnan().any()
    expected = [along(p, 0, torch.arange(3)).exp(), along(p, 6, torch.arange(2)).exp()]
    for column, probabilities in zip((0, 6), expected, strict=True):
        for level, probability in enumerate(probabilities):
            assert within_chance((x[:, column] == level).double(), probability.item(), tests=20)
    for limit in (3, 10, 25):  # P(age <= limit)
        share = along(p, 1, torch.arange(limit + 1)).exp().sum().item()
        assert within_chance((x[:, 1] <= limit).double(), share, tests=20)
    for low, high in ((-8, 0), (0, 1), (1, 8)):  # P(exp(low) < price <= exp(high))
        v = torch.linspace(low, high, 20_001, dtype=torch.float64).exp()
        share = torch.trapezoid(along(p, 2, v).exp(), v).item()
        assert within_chance(((x[:, 2] > v[0]) & (x[:, 2] <= v[-1])).double(), share, tests=20)
    assert within_chance((x[:, 4] == 0).double(), along(p, 4, torch.zeros(1)).exp().item(), tests=20)
    assert ((x[:, 5] * 10).round() / 10 - x[:, 5]).abs().max() < 1e-9, "grades keep to their grid"
    assert (x[:, 1] == x[:, 1].floor()).all()
    assert (x[:, 1] >= 0).all()
    assert (x[:, 2] > 0).all()


def test_draws_have_a_density_wherever_they_fall(family: Columns) -> None:
    p = distribution(family, spread=2.0)
    torch.manual_seed(1)
    x = p.sample((2000,))
    assert p.log_prob(x).isfinite().all()
    assert p.log_prob(x).min() > -200, "a draw that its own density calls impossible"


def test_the_start_is_the_shares_of_the_data(family: Columns) -> None:
    data = torch.from_numpy(rows(3000))
    p = family(torch.zeros(family.num_outputs))
    for column, levels in ((0, 3), (6, 2)):
        shares = torch.bincount(data[:, column].long(), minlength=levels) / len(data)
        assert torch.allclose(along(p, column, torch.arange(levels)).exp(), shares.double(), atol=2e-3)


def test_a_fitted_density_is_the_histogram_in_the_units_of_the_data(family: Columns) -> None:
    data = torch.from_numpy(rows(3000))
    raw = torch.zeros(family.num_outputs, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        (-family(raw).log_prob(data).mean()).backward()
        optimizer.step()
    p = family(raw.detach())
    for column in (2, 3):
        v = data[:, column]
        edges = torch.quantile(v, torch.linspace(0.02, 0.98, 13, dtype=torch.float64))
        for low, high in itertools.pairwise(edges):
            grid = torch.linspace(float(low), float(high), 401, dtype=torch.float64)
            mass = torch.trapezoid(along(p, column, grid).exp(), grid).item()
            assert mass == pytest.approx(0.08, abs=0.008)
    for low, high in ((0, 5), (6, 12), (13, 25), (26, 60)):
        share = ((data[:, 1] >= low) & (data[:, 1] <= high)).double().mean().item()
        found = along(p, 1, torch.arange(low, high + 1)).exp().sum().item()
        assert found == pytest.approx(share, abs=0.01)


def test_a_missing_cell_adds_nothing_and_cells_add_up(family: Columns) -> None:
    p = distribution(family)
    x = torch.from_numpy(rows(50, seed=3))
    cells = p.log_prob_of_columns(x)
    assert torch.allclose(cells.sum(-1), p.log_prob(x))
    hidden = x.clone()
    hidden[:, [1, 4]] = torch.nan
    assert torch.equal(p.log_prob_of_columns(hidden)[:, [1, 4]], torch.zeros(50, 2))
    assert torch.allclose(p.log_prob(hidden), p.log_prob(x) - cells[:, [1, 4]].sum(-1), atol=1e-4)


def test_the_mean_is_that_of_draws(family: Columns) -> None:
    p = distribution(family)
    torch.manual_seed(2)
    draws = p.sample((40_000,))
    numbers = [1, 3, 4, 5]
    mean, error = draws[:, numbers].mean(0), draws[:, numbers].std(0)
    assert ((p.mean[numbers] - mean).abs() < 0.1 * error).all()
    assert p.mean[0] == along(p, 0, torch.arange(3)).argmax()


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_finite_at_any_outputs_of_a_network(family: Columns, size: float) -> None:
    x = torch.from_numpy(rows(20, seed=5))
    x[0] = torch.tensor([0.0, 1e6, 1e9, -50.0, 1e4, 99.9, 1.0])
    generator = torch.Generator().manual_seed(0)
    raw = (size * torch.randn(20, family.num_outputs, generator=generator)).requires_grad_()
    log_p = family(raw).log_prob(x)
    (slope,) = torch.autograd.grad(log_p.sum(), raw)
    assert log_p.isfinite().all()
    assert slope.isfinite().all()


def test_large_whole_numbers_keep_their_probability() -> None:
    # In float32, T(x + 1/2) and T(x - 1/2) would be the same number: the width is taken in float64.
    schema = Schema((Column("id", "count", "int64", step=1.0),))
    data = np.random.default_rng(0).integers(10**9, 2 * 10**9, 2000).astype(float)
    family = column_family(fit_marginals(schema, data[:, None]))
    p = family(torch.zeros(family.num_outputs))
    found = p.log_prob(torch.from_numpy(data)[:, None]).mean().item()
    assert found == pytest.approx(-math.log(1e9), abs=0.1)


def test_rows_of_any_batch_shape(family: Columns) -> None:
    raw = torch.randn(4, 5, family.num_outputs, generator=torch.Generator().manual_seed(0))
    x = torch.from_numpy(rows(5))
    p = family(raw)
    assert p.batch_shape == (4, 5)
    assert p.log_prob(x).shape == (4, 5)
    assert torch.allclose(p.log_prob(x)[2], family(raw[2]).log_prob(x), atol=1e-5)
    assert p.sample((2,)).shape == (2, 4, 5, 7)
    assert p.mean.shape == (4, 5, 7)


@pytest.mark.parametrize("unit", [1e-300, 1e-40, 1e300])
def test_units_far_from_one(unit: float) -> None:
    schema = Schema((Column("a", "continuous", "double"), Column("b", "continuous", "double")))
    values = np.random.default_rng(0).normal(size=(500, 2))
    x = torch.from_numpy(values[:50])
    x[::3, 0] = torch.nan
    found = []
    for size in (1.0, unit):
        family = column_family(fit_marginals(schema, size * values))
        raw = torch.zeros(50, family.num_outputs, requires_grad=True)
        log_p = family(raw).log_prob_of_columns(size * x)
        log_p.sum().backward()
        assert raw.grad is not None
        assert raw.grad.isfinite().all()
        found.append(log_p + torch.where(x.isnan(), 0.0, math.log(size)))
    assert torch.allclose(found[0], found[1], atol=1e-3)


def test_rows_at_uniform_numbers_are_draws(family: Columns) -> None:
    """At every pair of a grid of them, each level of a column is as often as its probability says."""
    side, raw = 200, 0.5 * torch.randn(3, family.num_outputs, generator=torch.Generator().manual_seed(0))
    p = family(raw)
    grid = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    u = torch.cartesian_prod(grid, grid).T[..., None, None].expand(2, -1, 3, 7)
    x = family(raw.expand(side**2, *raw.shape)).at(u)
    assert x.shape == (side**2, 3, 7)
    for column, levels in ((0, 3), (1, 20), (6, 2)):
        for level in range(levels):
            row = torch.full((3, 7), torch.nan, dtype=torch.float64)
            row[:, column] = level
            found = (x[..., column] == level).double().mean(0)
            assert torch.allclose(found, p.log_prob(row).exp().double(), atol=2 / side)
    spread = p.sample((4000,)).std(0)
    assert ((x.mean(0) - p.mean).abs()[:, [3, 4, 5]] < 0.03 * spread[:, [3, 4, 5]]).all()
    assert torch.equal(family(raw).at(u[:, 7]), x[7]), "a place does not depend on the others"


def test_inversion_never_ends_at_a_class_that_cannot_be() -> None:
    logits = torch.tensor([-torch.inf, 0.3, -torch.inf, 1.2, -torch.inf])  # P = 0, 0.289, 0, 0.711, 0
    for u, expected in ((0.0, 3), (0.70, 3), (0.72, 1), (1 - 2.0**-24, 1)):
        assert drawn(logits, torch.tensor(u)) == expected
