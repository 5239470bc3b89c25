"""Columns of very many levels: the two steps, group and member, against one softmax over all levels."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from jensen.config.tables import column_family
from jensen.data.tables import marginals
from jensen.data.tables.schema import Column, Schema
from jensen.distributions.column_conditions import draw_level, log_probability_of_levels
from jensen.distributions.columns import Columns
from jensen.families.columns import RANK
from jensen.families.columns import Columns as Family
from tests.chance import within_chance

LEVELS = 11  # groups of 4, the last of them with 3 members
COLUMNS = (
    Column("kind", "categorical", "string", levels=("a", "b", "c")),
    Column("place", "categorical", "string", levels=tuple(str(i) for i in range(LEVELS))),
    Column("size", "continuous", "double"),
)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> tuple[marginals.Marginal, ...]:
    monkeypatch.setattr(marginals, "MOST_FLAT", 10)
    torch.manual_seed(0)
    places = torch.randint(LEVELS, (500,)) * (torch.rand(500) < 0.7)
    codes = torch.stack([torch.randint(3, (500,)), places, torch.randn(500)], 1).double()
    return marginals.fit_marginals(Schema(COLUMNS), codes.numpy())


@pytest.fixture
def family(fitted: tuple[marginals.Marginal, ...]) -> Family:
    assert [m.grouped for m in fitted] == [False, True, False]
    assert marginals.Marginal.from_dict(fitted[1].to_dict()).grouped
    return column_family(fitted)


def rows(levels: Tensor) -> Tensor:
    return torch.stack([torch.zeros(len(levels)), levels, torch.zeros(len(levels))], 1).double()


def probabilities(p: Columns) -> Tensor:
    """P of every level, ``[LEVELS, *batch]``, by log_prob_of_columns on one level after the other."""
    x = rows(torch.arange(LEVELS))
    return torch.stack([p.log_prob_of_columns(row.expand(*p.batch_shape[-1:], 3))[..., 1].exp() for row in x])


def test_a_decoder_of_zeros_says_the_marginal_shares(
    family: Family, fitted: tuple[marginals.Marginal, ...]
) -> None:
    found = probabilities(family(torch.zeros(1, family.num_outputs)))[:, 0]
    assert torch.allclose(found, torch.from_numpy(fitted[1].shares).float(), atol=1e-6)


def test_levels_at_uniform_numbers_are_draws(family: Family) -> None:
    side, raw = 200, torch.randn(2, family.num_outputs, generator=torch.Generator().manual_seed(0))
    grid = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    u = torch.cartesian_prod(grid, grid).T[..., None, None].expand(2, -1, 2, 3)
    levels = family(raw.expand(side**2, *raw.shape)).at(u)[..., 1]
    found = torch.stack([(levels == level).double().mean(0) for level in range(LEVELS)])
    assert torch.allclose(found, probabilities(family(raw)).double(), atol=2 / side)


def test_two_steps_are_one_distribution(family: Family) -> None:
    p = family(torch.randn(2, 5, family.num_outputs))
    found = probabilities(p)
    assert found.shape == (LEVELS, 2, 5)
    assert torch.allclose(found.sum(0), torch.ones(2, 5), atol=1e-5)
    levels = p.log_levels(1, torch.arange(LEVELS)).exp()
    assert torch.allclose(levels, found.movedim(0, -1), atol=1e-6)
    different = torch.randint(LEVELS, (2, 5))  # codes of their own for each latent sample
    x = torch.stack([torch.zeros(2, 5), different, torch.zeros(2, 5)], -1).double()
    picked = found.gather(0, different[None])[0]
    assert torch.allclose(p.log_prob_of_columns(x)[..., 1].exp(), picked, atol=1e-6)
    assert torch.equal(p.mean[..., 1], found.argmax(0).double())


def test_draws_have_the_probabilities(family: Family) -> None:
    p = family(torch.randn(1, family.num_outputs))
    expected = probabilities(p)[:, 0]
    drawn = p.sample([20_000])[:, 0, 1]
    for level in range(LEVELS):
        assert within_chance((drawn == level).double(), expected[level].item(), tests=LEVELS)


def test_conditions_on_levels(family: Family) -> None:
    p = family(torch.randn(3, family.num_outputs))
    some = torch.tensor([1, 4, 10])
    expected = probabilities(p)[some]
    assert torch.allclose(log_probability_of_levels(p, 1, some).exp(), expected.sum(0), atol=1e-6)
    torch.manual_seed(1)
    drawn = torch.stack([draw_level(p, 1, some) for _ in range(2000)])
    share = (expected / expected.sum(0))[0, 0].item()
    assert within_chance((drawn[:, 0] == 1).double(), share)
    assert set(drawn.unique().tolist()) <= {1.0, 4.0, 10.0}


def test_missing_cells_add_nothing_and_gradients_reach_the_table(family: Family) -> None:
    p = family(torch.randn(2, family.num_outputs))
    x = rows(torch.tensor([3.0, torch.nan]))
    scores = p.log_prob_of_columns(x)
    assert scores[1, 1] == 0
    scores.sum().backward()
    gradients = [parameter.grad for parameter in family.parameters()]
    assert all(g is not None and g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor made inside holds."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.numbers = max(self.numbers, made.untyped_storage().nbytes() // made.element_size())
        return made


def test_latents_that_all_rows_share_take_no_table_for_each_pair(family: Family) -> None:
    K, B, levels = 40, 30, torch.randint(LEVELS, (30,))
    p = family(torch.randn(K, 1, family.num_outputs))
    with Largest() as largest:
        found = p.log_prob_of_columns(rows(levels))
    assert largest.numbers <= 2 * K * B * RANK  # and not K B S r
    expected = probabilities(p)[levels, :, 0].T
    torch.testing.assert_close(found[..., 1].exp(), expected)
