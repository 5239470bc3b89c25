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
    "count != 4 and count != 0 and count < 30",
    "size != 0.5 and size > 0.4",
]


def meets(x: Tensor, conditions: list[Allowed]) -> bool:
    """Whether all rows meet all conditions."""
    return all(bool(within(x[:, c.place], c).all()) for c in conditions)


def within(x: Tensor, c: Allowed) -> Tensor:
    """Which numbers a condition allows."""
    if c.levels is not None:
        return torch.isin(x, torch.tensor(c.levels, dtype=x.dtype))
    return torch.stack([(x >= low) & (x <= high) for low, high in c.spans]).any(0)


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
        shares = shares * within(free[:, c.place], c).double()
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


@pytest.mark.parametrize("place", [1, 2])
@torch.no_grad()
def test_tails_on_both_sides_are_known_in_logs(model: VAE, place: int) -> None:
    """What is left of a number and what is right of it add up to one, however far out that is."""
    p = model.likelihood((torch.zeros(1, 1),))
    for far in (0.0, 2.0, 5.0, 1e3, 1e6):
        step = 1.0 if place == 2 else 0.0
        for end in (far, -far):
            left = log_probability_between(p, place, -math.inf, end - step)
            right = log_probability_between(p, place, end, math.inf)
            assert torch.logaddexp(left, right).item() == pytest.approx(0, abs=1e-5), end
    logs = [log_probability_between(p, place, far, math.inf).item() for far in (50.0, 100.0, 400.0)]
    assert logs[0] > logs[1] > logs[2] > -1e6, "no tail ends where float32 does"


@torch.no_grad()
def test_nothing_lies_below_a_count(model: VAE) -> None:
    p = model.likelihood((torch.zeros(1, 1),))
    assert log_probability_between(p, 2, -math.inf, -1.0).item() < -1e3
    assert log_probability_between(p, 2, -9.0, -1.0).item() < -1e3
    everything = log_probability_between(p, 2, 0.0, math.inf)
    assert everything.item() == pytest.approx(0, abs=1e-5)


def test_a_probability_below_the_smallest_number_is_said() -> None:
    power = jensen.evaluation.conditions._power
    assert power(math.log(3e-59)) == "3e-59"
    assert power(math.log(2.0)) == "2e+00"
    assert power(-900 * math.log(10) + 1e-9) == "1e-900"
    assert power(math.log(9.9e-7)) == "1e-06"
    assert power(-math.inf) == "0"


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
        Column("wage", "positive", "double"),
        Column("cents", "positive", "double", step=0.01),
        Column("seven", "ignore", "int64", constant=7),
        Column("note", "ignore", "string"),
        Column("class", "label", "string"),
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("marital-status = Never-married", [Allowed(0, (0,))]),
        ("marital-status=married", [Allowed(0, (1,))]),
        ("hours per week > 40", [Allowed(1, None, ((41.0, math.inf),))]),
        ('"hours per week" >= 40 and "hours per week" < 60', [Allowed(1, None, ((40.0, 59.0),))]),
        ("hours per week > 40.5", [Allowed(1, None, ((41.0, math.inf),))]),
        ("born >= 02/01/1970", [Allowed(2, None, ((1.0, math.inf),))]),
        ("size >= M AND ok = true", [Allowed(3, (1, 2)), Allowed(4, (1,))]),
        ("income = >50K", [Allowed(5, (1,))]),
        ("income = '<=50K' and size in (S, L)", [Allowed(5, (0,)), Allowed(3, (0, 2))]),
        ("size != M", [Allowed(3, (0, 2))]),
        ("who in (\"Doe, John\", 'Roe (Jr)')", [Allowed(6, (0, 2))]),
        ("who in (O'Neil, Roe (Jr))", [Allowed(6, (1, 2))]),
        ("hours per week <= 40.5 and hours per week >= 1.5", [Allowed(1, None, ((2.0, 40.0),))]),
        ("hours per week in (50, 40)", [Allowed(1, None, ((40.0, 40.0), (50.0, 50.0)))]),
        ("hours per week in (4, 5, 9) and hours per week > 4", [Allowed(1, None, ((5.0, 5.0), (9.0, 9.0)))]),
        ("hours per week in (40)", [Allowed(1, None, ((40.0, 40.0),))]),
        ("rate > 1 and rate < 3", [Allowed(7, None, ((math.nextafter(1, 2), math.nextafter(3, 2)),))]),
        ("rate >= 1 and rate <= 3", [Allowed(7, None, ((1.0, 3.0),))]),
        ("seen >= 1970-01-02", [Allowed(8, None, ((86400.0, math.inf),))]),
        ("(rate >= 1) and (ok = true)", [Allowed(7, None, ((1.0, math.inf),)), Allowed(4, (1,))]),
        ("((rate >= 1 and size in (S, L)))", [Allowed(7, None, ((1.0, math.inf),)), Allowed(3, (0, 2))]),
        ("hours per week > -5", [Allowed(1, None, ((-4.0, math.inf),))]),
        ("hours per week != 4 and hours per week > 2", [Allowed(1, None, ((3.0, 3.0), (5.0, math.inf)))]),
        ("hours per week != 0", [Allowed(1, None, ((1.0, math.inf),))]),
        ("rate != 1 and rate >= 1", [Allowed(7, None, ((math.nextafter(1, 2), math.inf),))]),
    ],
)
def test_conditions_are_read(text: str, expected: list[Allowed]) -> None:
    assert parse_where(text, NAMES) == expected


@pytest.mark.parametrize("name", ["height in m", "R and D", "profit=net", "a < b", "in", "Not (so) 'odd'"])
def test_a_name_may_hold_words_and_signs_of_conditions(name: str) -> None:
    columns = (Column(name, "count", "int64", step=1.0), Column("a", "count", "int64", step=1.0))
    schema = Schema((*columns, Column("m", "ordinal", "string", levels=("a < b", "x"))))
    above = Allowed(0, None, ((4.0, math.inf),))
    for text in (f"{name} > 3", f'"{name}" > 3', f"({name} >= 4)", f" {name}>3"):
        assert parse_where(text, schema) == [above]
    assert parse_where(f"m = 'a < b' and {name} in (4, 9) AND a = 1", schema) == [
        Allowed(2, (0,)),
        Allowed(0, None, ((4.0, 4.0), (9.0, 9.0))),
        Allowed(1, None, ((1.0, 1.0),)),
    ]


def test_the_largest_of_numbers_is_no_overflow() -> None:
    fine = Schema((Column("x", "continuous", "double", step=0.0001),))
    [allowed] = parse_where("x > 1e308", fine)
    assert allowed.spans == ((math.inf, math.inf),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sise = M", "did you mean size"),
        ("sevenn = 7", "did you mean seven"),
        ("zebra = 7", "there is no column 'zebra'; there are marital-status, hours per week, born, size, ok"),
        ("size = zebra", "has no level 'zebra'; it has S, M, L"),
        ("seven = 7", r"column 'seven' is left out of the model \(it was always 7\); rows cannot"),
        ("note = x", "column 'note' is left out of the model; train again with a type for it in --schema"),
        ("class = x", "column 'class' is a label; train again"),
        ("3 < rate", "the column stands first: write rate > 3"),
        ("rate > 0 and", "`and` stands at an end"),
        ("and rate > 0", "`and` stands at an end"),
        ("rate > 0 OR", "`or` stands at an end"),
        ("not rate > 0", "`not` is not known; use != or the opposite"),
        ("(rate > 0) or (rate < -3)", "`or` is not known"),
        (
            "hours per week < 0",
            "hours per week < 0 is impossible: .* is of type count, 0 or more; ask for that",
        ),
        ("hours per week = -1", "impossible"),
        ("hours per week in (-1, 3)", "impossible"),
        ("wage <= 0", "impossible: 'wage' is of type positive, above 0"),
        ("cents < 0.01", "impossible"),
        ("size = XM", "did you mean M"),
        ("size = S and size = M", "leaves no value"),
        ("hours per week > 60 and hours per week < 40", "leaves no value"),
        ("hours per week > many", "no number"),
        ("hours per week != 40 and hours per week = 40", "leaves no value"),
        ("hours per week != 40.5", "never 40.5"),
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
