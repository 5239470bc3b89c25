"""Sampling under a condition: against sums and integrals over a one-dimensional latent."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import jensen.evaluation.conditions
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.where import Allowed, parse_where
from jensen.distributions.column_conditions import draw_between, log_probability_between
from jensen.errors import UserError
from jensen.evaluation.conditions import CHUNK, log_probability, sample_where
from jensen.models import VAE
from tests.chance import within_chance
from tests.evaluation.test_tables import GRID, SCHEMA, model

__all__ = ["model"]  # the fixture

CASES = [
    "letter = b",
    "letter != b and count >= 6",
    "size > 0.5",
    "size > -1 and size <= 0.25 and count < 7",
    "count = 4",
    "letter in (a, c) and size < 0",
    "count in (2, 7, 4, 30) and count < 20",
]


def meets(x: Tensor, conditions: list[Allowed]) -> bool:
    """Whether all rows meet all conditions."""
    return all(
        bool(((x[:, c.place] >= c.low) & (x[:, c.place] <= c.high)).all())
        if c.levels is None and c.values is None
        else set(x[:, c.place].tolist()) <= set(c.levels or c.values or ())
        for c in conditions
    )


@torch.no_grad()
def on_the_grid(model: VAE) -> tuple[Tensor, Tensor]:
    """Latents ``[G, 1]``, and the log of their prior probabilities."""
    z = GRID[:, None]
    return z, model.prior().log_prob(z).double() + math.log(GRID[1] - GRID[0])


@pytest.mark.parametrize("text", CASES)
def test_probability_and_draws_are_those_of_the_model(model: VAE, text: str) -> None:
    conditions = parse_where(text, SCHEMA)
    z, log_prior = on_the_grid(model)
    with torch.no_grad():
        log_joint = log_probability(model.likelihood((z,)), conditions).double() + log_prior
    exact = log_joint.logsumexp(0).exp().item()
    drawn = sample_where(model, 4000, conditions, seed=1)
    assert drawn.x.shape == (4000, 3)
    assert meets(drawn.x, conditions)
    assert abs(drawn.probability - exact) < 6 * drawn.standard_error
    assert drawn.effective_sample_size <= drawn.proposed
    # Among unconditional draws, the share that meets the condition is its probability too.
    torch.manual_seed(0)
    free = model.sample(20_000)
    shares = torch.ones(len(free), dtype=torch.float64)
    for c in conditions:
        column = free[:, c.place]
        inside = (column >= c.low) & (column <= c.high)
        only = c.levels or c.values
        if only is not None:
            inside = torch.isin(column, torch.tensor(only, dtype=column.dtype))
        shares = shares * inside.double()
    assert within_chance(shares, exact, tests=10)
    # Of the columns without a condition, the conditional distribution, by independent runs.
    places = {c.place for c in conditions}
    if 0 not in places:
        with torch.no_grad():
            rows = torch.tensor([[1.0, torch.nan, torch.nan]], dtype=torch.float64).expand(len(z), 3)
            share = (log_joint.softmax(0) * model.likelihood((z,)).log_prob(rows).double().exp()).sum()
        runs = [
            (sample_where(model, 200, conditions, seed=s).x[:, 0] == 1).double().mean() for s in range(40)
        ]
        assert within_chance(torch.stack(runs), share.item(), tests=10)


def test_the_standard_error_is_the_spread_over_seeds(model: VAE) -> None:
    conditions = parse_where("size > 0.5", SCHEMA)
    drawn = [sample_where(model, 10, conditions, seed=seed) for seed in range(40)]
    assert {d.proposed for d in drawn} == {CHUNK}
    spread = torch.tensor([d.probability for d in drawn]).std().item()
    claimed = sum(d.standard_error for d in drawn) / len(drawn)
    assert spread == pytest.approx(claimed, rel=0.5)  # of 40 draws it is known to 11 %


def test_a_point_without_a_grid_has_a_density(model: VAE) -> None:
    conditions = parse_where("size = 0.5", SCHEMA)
    drawn = sample_where(model, 50, conditions)
    assert (drawn.x[:, 1] == 0.5).all()
    x = torch.tensor([[torch.nan, 0.5, torch.nan]], dtype=torch.float64)
    z, log_prior = on_the_grid(model)
    with torch.no_grad():
        density = (
            (model.likelihood((z,)).log_prob(x.expand(len(z), 3)).double() + log_prior).logsumexp(0).exp()
        )
    assert abs(drawn.probability - density.item()) < 6 * drawn.standard_error
    assert drawn.kind == "density"
    assert sample_where(model, 5, parse_where("size = 9", SCHEMA)).probability < 1e-8, "no limit to densities"
    assert sample_where(model, 5, parse_where("size >= 0.5 and count = 4", SCHEMA)).kind == "probability"


def test_draws_far_in_a_tail_are_exact(model: VAE) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        p = model.likelihood((torch.zeros(1, 1),))
    x = torch.stack([draw_between(p, 1, 3.0, 9.0) for _ in range(4000)])[:, 0]
    assert ((x >= 3) & (x <= 9)).all()
    for middle in (3.1, 3.3, 3.6):
        share = log_probability_between(p, 1, 3.0, middle) - log_probability_between(p, 1, 3.0, 9.0)
        assert within_chance((x <= middle).double(), share.exp().item(), tests=10)


def test_latents_are_proposed_until_some_allow_the_condition(
    model: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the first thousands allow it nowhere does not say that none does."""
    asked: list[int] = []

    def late(p: Any, conditions: Any) -> Tensor:
        asked.append(p.batch_shape[0])
        allowed = log_probability(p, conditions)
        return allowed if len(asked) > 2 else torch.full_like(allowed, -math.inf)

    monkeypatch.setattr(jensen.evaluation.conditions, "log_probability", late)
    drawn = sample_where(model, 100, parse_where("letter = b", SCHEMA), seed=1)
    assert len(asked) == 3
    assert drawn.proposed == sum(asked)
    assert drawn.x.shape == (100, 3)


def test_what_cannot_be_met_is_refused_with_its_probability(model: VAE) -> None:
    with pytest.raises(UserError, match="under the model its probability is about"):
        sample_where(model, 10, parse_where("size > 1e9", SCHEMA))
    with pytest.raises(UserError, match="under the model its probability is about"):
        sample_where(model, 10, parse_where("count > 5000000", SCHEMA))


NAMES = Schema(
    (
        Column("marital-status", "categorical", "string", levels=("Never-married", "Married")),
        Column("hours per week", "count", "int64", step=1.0),
        Column("born", "date", "string", step=1.0, format="%d/%m/%Y"),
        Column("size", "ordinal", "string", levels=("S", "M", "L")),
        Column("ok", "binary", "bool", levels=(False, True)),
        Column("income", "binary", "string", levels=("<=50K", ">50K")),
        Column("who", "categorical", "string", levels=("Doe, John", "O'Neil", "Roe (Jr)")),
        Column("rate", "continuous", "double"),
        Column("seen", "date", "timestamp[us]"),
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("marital-status = Never-married", [Allowed(0, (0,))]),
        ("marital-status=married", [Allowed(0, (1,))]),
        ("hours per week > 40", [Allowed(1, None, 41.0)]),
        ('"hours per week" >= 40 and "hours per week" < 60', [Allowed(1, None, 40.0, 59.0)]),
        ("hours per week > 40.5", [Allowed(1, None, 41.0)]),
        ("born >= 02/01/1970", [Allowed(2, None, 1.0)]),
        ("size >= M AND ok = true", [Allowed(3, (1, 2)), Allowed(4, (1,))]),
        ("income = >50K", [Allowed(5, (1,))]),
        ("income = '<=50K' and size in (S, L)", [Allowed(5, (0,)), Allowed(3, (0, 2))]),
        ("size != M", [Allowed(3, (0, 2))]),
        ("who in (\"Doe, John\", 'Roe (Jr)')", [Allowed(6, (0, 2))]),
        ("who in (O'Neil, Roe (Jr))", [Allowed(6, (1, 2))]),
        ("hours per week <= 40.5 and hours per week >= 1.5", [Allowed(1, None, 2.0, 40.0)]),
        ("hours per week in (50, 40)", [Allowed(1, None, 40.0, 50.0, (40.0, 50.0))]),
        ("hours per week in (4, 5, 9) and hours per week > 4", [Allowed(1, None, 5.0, 9.0, (5.0, 9.0))]),
        ("hours per week in (40)", [Allowed(1, None, 40.0, 40.0)]),
        ("rate > 1 and rate < 3", [Allowed(7, None, math.nextafter(1, 2), math.nextafter(3, 2))]),
        ("rate >= 1 and rate <= 3", [Allowed(7, None, 1.0, 3.0)]),
        ("seen >= 1970-01-02", [Allowed(8, None, 86400.0)]),
    ],
)
def test_conditions_are_read(text: str, expected: list[Allowed]) -> None:
    assert parse_where(text, NAMES) == expected


def test_the_largest_of_numbers_is_no_overflow() -> None:
    fine = Schema((Column("x", "continuous", "double", step=0.0001),))
    [allowed] = parse_where("x > 1e308", fine)
    assert allowed.low == math.inf


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sise = M", "did you mean size"),
        ("size = XM", "did you mean M"),
        ("size = S and size = M", "leaves no value"),
        ("hours per week > 60 and hours per week < 40", "leaves no value"),
        ("hours per week > many", "no number"),
        ("hours per week != 40", "for categories"),
        ("rate in (1, 2)", "for categories and numbers with steps"),
        ("hours per week = 40.5", "never 40.5; the nearest values are 40 and 41"),
        ("hours per week in (40, 40.5)", "never 40.5"),
        ("hours per week in (40, 41) and hours per week > 41", "leaves no value"),
        ("size in ()", "names no value"),
        ("rate > 0.0001 and rate < 0.0001", "leaves no value"),
        ("rate >= 0.0001 and rate < 0.0001", "leaves no value"),
        *((f"hours per week > {number}", "no number") for number in ("inf", "-1e400", "nan", "1_0")),
        *((f"rate < {number}", "no number") for number in ("inf", "1e400", "nan")),
        ("born > NaT", "no date"),
        ("seen > NaT", "no date"),
        ("seen > 2020-01-01T00:00+02:00", "without a time zone"),
        ("seen > 2020-01-01T00:00Z", "without a time zone"),
        ("marital-status > Married", "no order"),
        ("born > yesterday", "no date"),
        ("size = S or size = M", "`or` is not known"),
        ("size", "no comparison"),
        ("", "no comparison"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_where(text, NAMES)
    assert "\n" not in str(caught.value)
