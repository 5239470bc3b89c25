"""Every name that a user can choose becomes an object that trains; what cannot be right is refused."""

import itertools
import typing
from pathlib import Path

import numpy as np
import pytest
import torch

from jensen.config import Settings, names
from jensen.config.build import build_bound, build_estimator, build_memory
from jensen.config.evaluation import EvaluationSettings
from jensen.config.fresh import fresh_model
from jensen.config.record import record
from jensen.config.resolve import resolve
from jensen.data import fit_preparation, load
from jensen.errors import UserError
from jensen.figures import evaluate_run
from jensen.run import Run
from jensen.session import start
from tests.laws.cases import DECODERS

CHOICES = {
    name: typing.get_args(kind)
    for name, kind in typing.get_type_hints(Settings).items()
    if typing.get_origin(kind) is typing.Literal
}
TABLES = {
    "likelihood": names.LIKELIHOODS,
    "variance": names.SCALES,
    "posterior": names.POSTERIORS,
    "prior": names.PRIORS,
    "bound": names.BOUNDS,
    "estimator": names.ESTIMATORS,
}
NEEDS = {  # what else a choice asks for
    "bernoulli": {"binarize": "dynamic"},
    "doubly-reparameterized": {"bound": "iwae", "num_samples": 3},
    "iwae": {"num_samples": 3},
    "renyi": {"num_samples": 3},
    "leave-one-out": {"estimator": "score-function", "num_samples": 3},
    "running-mean": {"estimator": "score-function"},
    "reconstruction": {},
    "categorical-prior": {"posterior": "categorical"},
    "fixed": {"sigma": 0.5},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("choices") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8))
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("choices") / "table.csv"
    numbers = np.random.default_rng(0)
    lines = [
        f"{numbers.normal():.3f},{numbers.integers(0, 9)},{'abc'[numbers.integers(3)]}" for _ in range(60)
    ]
    path.write_text("\n".join(["number,count,letter", *lines, ",,", "1.5,,b"]) + "\n")
    return str(path)


def tiny(data: str, **choices: object) -> Settings:
    if choices.get("prior") in ("mixture", "vamp"):
        choices["components"] = 3
    if choices.get("inference", "amortized") != "amortized":
        choices["inner_steps"] = 4
    return Settings(data=data, hidden=(6,), latent_dim=2, epochs=2, **choices)


@pytest.mark.parametrize("name", TABLES)
def test_every_choice_is_in_its_table(name: str) -> None:
    assert set(CHOICES[name]) - {"auto"} == set(TABLES[name])


@pytest.mark.parametrize("name", names.LIKELIHOODS)
def test_a_likelihood_lives_where_its_density_integrates_to_one(images: str, table: str, name: str) -> None:
    source = table if name == "columns" else images
    dataset = load(source)
    settings, _ = resolve(tiny(source, likelihood=name, **NEEDS.get(name, {})), dataset)
    preparation = fit_preparation(dataset, support=names.SUPPORT[name], binarize=settings.binarize)
    family = names.LIKELIHOODS[name](settings, dataset.event_shape, preparation)
    submitted = {case.support for case in DECODERS if type(case.make()) is type(family)}
    assert (submitted or {"table"}) == {names.SUPPORT[name]}  # tables: tests/distributions/test_columns.py


TRAINED = [
    (option, value)
    for option in (
        "likelihood",
        "variance",
        "posterior",
        "prior",
        "bound",
        "estimator",
        "baseline",
        "inference",
    )
    for value in CHOICES[option]
    if value != "auto"
]


@pytest.mark.parametrize(("option", "value"), TRAINED)
def test_every_choice_trains_and_is_measured(
    images: str, table: str, tmp_path: Path, option: str, value: str
) -> None:
    key = "categorical-prior" if (option, value) == ("prior", "categorical") else value
    needs = NEEDS.get(key, {}) if (option, value) != ("posterior", "categorical") else {}
    source = table if value in ("columns", "experts") else images
    run = start(tiny(source, **{option: value, **needs}), tmp_path / "run")
    quick = EvaluationSettings(num_samples=5, refine_steps=4)
    figures = evaluate_run(run, run.dataset(), quick, aggregate_too=False)
    point = value == "point"
    assert np.isnan(figures["elbo"]["value"]) if point else np.isfinite(figures["iwae"]["value"])
    assert np.isfinite(figures["distortion"]["value"])
    again = run.model().sample(3)
    assert torch.isfinite(again).all()
    given = run.preparation.invert(again)
    assert given.shape == (3, *run.event_shape)


REFUSED = [
    ({"posterior": "point", "bound": "elbo"}, "reconstruction"),
    ({"posterior": "point", "bound": "iwae"}, "reconstruction"),
    ({"posterior": "point", "prior": "mixture"}, "--prior mixture would learn; leave --prior out"),
    ({"bound": "reconstruction", "prior": "flow"}, "--prior flow"),
    ({"posterior": "categorical", "estimator": "pathwise"}, "score-function"),
    ({"posterior": "categorical", "prior": "standard"}, "--prior"),
    ({"estimator": "score-function", "baseline": "leave-one-out", "num_samples": 1}, "--num-samples 2"),
    ({"estimator": "doubly-reparameterized", "bound": "elbo"}, "iwae"),
    ({"estimator": "sticking-the-landing", "bound": "iwae"}, "doubly-reparameterized"),
    ({"backward_samples": 2}, "--bound iwae --estimator doubly-reparameterized"),
    (
        {"estimator": "doubly-reparameterized", "bound": "iwae", "num_samples": 5, "backward_samples": 5},
        "leaves out none of the draws: --num-samples is 5; give more",
    ),
    ({"posterior": "flow", "kl": "closed-form"}, "closed-form"),
    ({"posterior": "experts"}, "--posterior full"),
    ({"likelihood": "poisson", "variance": "network"}, "variance"),
    ({"variance": "optimal", "likelihood": "student-t"}, "optimal"),
    ({"inference": "two-tier", "posterior": "categorical"}, "amortized"),
    ({"kl_warmup": 3, "bound": "iwae"}, "--kl-warmup"),
    ({"inference": "two-tier", "bound": "beta", "beta": 4.0}, "use --bound elbo, or --inference amortized"),
    ({"inference": "semi-amortized", "bound": "free-bits"}, "use --bound elbo, or --inference amortized"),
    ({"inference": "two-tier", "bound": "reconstruction"}, "use --bound elbo, or --inference amortized"),
    ({"inference": "semi-amortized", "kl_warmup": 3}, "leave it out, or use --inference amortized"),
    ({"inference": "two-tier", "estimator": "score-function"}, "no encoder to train by it; leave it out"),
    ({"posterior": "low-rank", "rank": 3}, "--rank 2"),
    ({"bound": "renyi", "alpha": -1.0}, "--alpha -1"),
    ({"bound": "renyi", "alpha": 1.0, "estimator": "doubly-reparameterized"}, "sticking-the-landing"),
    ({"bound": "free-bits", "estimator": "score-function", "prior": "mixture"}, "--estimator pathwise"),
]


@pytest.mark.parametrize(("choices", "word"), REFUSED)
def test_what_cannot_be_right_is_refused_with_its_remedy(
    images: str, tmp_path: Path, choices: dict[str, object], word: str
) -> None:
    with pytest.raises(UserError, match=word) as caught:
        start(tiny(images, **choices), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


BOUNDS = [{"bound": name} for name in names.BOUNDS if name != "renyi"] + [
    {"bound": "renyi", "alpha": alpha} for alpha in (-1.0, 0.0, 0.5, 1.0)
]


@pytest.mark.parametrize("posterior", names.POSTERIORS)
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: "-".join(map(str, bound.values())))
def test_every_combination_is_refused_or_takes_a_step(
    images: str, table: str, tmp_path: Path, posterior: str, bound: dict[str, object]
) -> None:
    """And is refused before an earlier run would be replaced."""
    source = table if posterior == "experts" else images
    dataset = load(source)
    taken = 0
    for estimator, prior in itertools.product(names.ESTIMATORS, names.PRIORS):
        choices = {"posterior": posterior, "estimator": estimator, "prior": prior, **bound}
        try:
            settings, _ = resolve(tiny(source, num_samples=2, **choices), dataset)
            run = Run(tmp_path / "run", settings, record(settings, dataset))
            model = fresh_model(settings, dataset, run.preparation)
        except UserError:
            continue
        step = build_estimator(settings, build_memory(settings))
        value = step(build_bound(settings), model, run.preparation(dataset.x[:4]), 2)
        value.mean().backward()
        assert value.shape == (4,)
        assert value.isfinite().all()
        taken += 1
    possible = posterior != "point" or bound["bound"] == "reconstruction"
    assert (taken > 0) == (possible and bound.get("alpha", 0.0) != -1.0)


def test_a_discretized_likelihood_on_continuous_data_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 3)))
    with pytest.raises(UserError, match="no whole numbers"):
        start(tiny(str(tmp_path / "x.npy"), likelihood="discretized-logistic"), tmp_path / "run")


PACE = ("epochs", "batch_size", "lr", "lr_schedule", "prior")


@pytest.mark.parametrize(
    ("rows", "pace"),
    [
        (60, (200, 16, 1e-3, "cosine", "mixture")),
        (15_000, (100, 300, 1e-3 * (300 / 128) ** 0.5, "cosine", "mixture")),
        (400_000, (5, 512, 2e-3, "cosine", "mixture")),
    ],
)
def test_the_pace_of_training_follows_from_the_rows_of_a_table(
    table: str, rows: int, pace: tuple[object, ...]
) -> None:
    dataset = load(table)
    dataset.splits["train"] = torch.arange(len(dataset.splits["train"])).repeat(rows)[:rows]
    settings, _ = resolve(Settings(data=table), dataset)
    assert tuple(getattr(settings, name) for name in PACE) == pace
    given = dict(zip(PACE, (3, 7, 0.1, "plateau", "standard"), strict=True))
    settings, _ = resolve(Settings(data=table, **given), dataset)
    assert {name: getattr(settings, name) for name in PACE} == given


@pytest.mark.parametrize(
    ("text", "given", "posterior"),
    [
        ("a,b\n1.5,\n2.5,x\n0.5,y\n", {}, "experts"),
        ("a,b\n,x\nw,x\nz,y\n", {}, "experts"),
        ("a,b\n1.5,\n2.5,x\n0.5,y\n", {"inference": "semi-amortized"}, "experts"),
        ("a,b\n1.5,\n2.5,x\n0.5,y\n", {"inference": "two-tier"}, "diagonal"),
        ("a,b\n1.5,\n2.5,x\n0.5,y\n", {"posterior": "diagonal"}, "diagonal"),
        ("a,b\n1.5,x\n2.5,x\n0.5,y\n", {}, "diagonal"),
    ],
)
def test_missing_cells_of_a_table_choose_its_posterior(
    tmp_path: Path, text: str, given: dict[str, object], posterior: str
) -> None:
    names, *lines = text.splitlines()
    (tmp_path / "table.csv").write_text("\n".join([names, *lines * 10]) + "\n")
    run = start(tiny(str(tmp_path / "table.csv"), **given), tmp_path / "run")
    assert run.settings.posterior == posterior
    assert np.isfinite(run.history()[-1]["validation_bound"])


def test_arrays_keep_the_pace_that_they_had(images: str) -> None:
    settings, _ = resolve(Settings(data=images), load(images))
    assert [getattr(settings, name) for name in PACE] == [200, 128, 1e-3, "plateau", "standard"]


def _rows(kind: str) -> np.ndarray:
    draw = np.random.default_rng(0)
    counts = draw.negative_binomial(0.2, 0.05, (400, 20))
    pixels = np.clip(draw.normal(-20, 200, (400, 20)), 0, 255).round()
    return {
        "counts": counts,
        "whole floats": counts.astype(float),
        "narrow": np.minimum(counts, 255).astype(np.uint8),
        "large": draw.poisson(900, (400, 20)),
        "images of counts": counts.reshape(400, 4, 5),
        "halves": counts / 2,
        "signed": counts - 1,
        "pixels": pixels.astype(np.uint8),
        "float pixels": pixels,
        "bits": draw.integers(0, 2, (400, 20)),
        "ages": draw.integers(18, 90, (400, 20)),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "hinted"),
    [
        *((kind, True) for kind in ("counts", "whole floats", "narrow", "large")),
        *((kind, False) for kind in ("images of counts", "halves", "signed", "pixels", "float pixels")),
        *((kind, False) for kind in ("bits", "ages")),
    ],
)
def test_rows_that_may_be_counts_bring_a_hint(tmp_path: Path, kind: str, hinted: bool) -> None:
    path = str(tmp_path / "x.npy")
    np.save(path, _rows(kind))
    settings, said = resolve(Settings(data=path), load(path))
    assert settings.likelihood == ("bernoulli" if kind == "bits" else "normal")
    assert any("if they are counts" in sentence for sentence in said) == hinted
    for likelihood in ("normal", "poisson") if kind == "counts" else ():
        _, said = resolve(Settings(data=path, likelihood=likelihood), load(path))
        assert not any("counts" in sentence for sentence in said), "the user has chosen"


def test_choices_that_follow_from_others_are_said(images: str, tmp_path: Path) -> None:
    said: list[str] = []
    run = start(tiny(images, posterior="point"), tmp_path / "run", on_choice=said.append)
    assert run.settings.bound == "reconstruction"
    assert any("reconstruction" in sentence for sentence in said)
    for warmup in (4, 5):
        _, said = resolve(Settings(data=images, epochs=5, kl_warmup=warmup), load(images))
        assert any("none of the 5 epochs with the whole KL" in sentence for sentence in said) == (warmup == 5)
    settings, said = resolve(Settings(data=images, posterior="low-rank", latent_dim=1), load(images))
    assert settings.rank == 1
    assert any("--rank 1" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("given", "estimator"),
    [
        ({}, "pathwise"),
        ({"bound": "iwae"}, "doubly-reparameterized"),
        ({"bound": "iwae", "posterior": "full"}, "doubly-reparameterized"),
        ({"bound": "iwae", "posterior": "flow"}, "pathwise"),
        ({"bound": "iwae", "posterior": "categorical"}, "score-function"),
        ({"bound": "iwae", "posterior": "gumbel-softmax"}, "pathwise"),
        ({"bound": "iwae", "inference": "two-tier"}, "pathwise"),
        ({"bound": "iwae", "estimator": "pathwise"}, "pathwise"),
    ],
)
def test_the_estimator_follows_from_bound_and_posterior(
    images: str, given: dict[str, str], estimator: str
) -> None:
    settings, said = resolve(tiny(images, num_samples=5, **given), load(images))
    assert settings.estimator == estimator
    brought = any("brings --estimator doubly-reparameterized" in sentence for sentence in said)
    assert brought == (estimator == "doubly-reparameterized")


def test_a_prior_that_nothing_teaches_is_not_chosen(table: str) -> None:
    settings, _ = resolve(Settings(data=table, bound="reconstruction", posterior="diagonal"), load(table))
    assert settings.prior == "standard"
