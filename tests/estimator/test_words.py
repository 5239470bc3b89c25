"""Refusals speak of parameters where the settings are parameters."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jensen.errors import UserError
from jensen.estimator import VAEImputer, VAEOutlierDetector, VariationalAutoencoder
from jensen.estimator.words import translate

ROWS = np.random.default_rng(0).normal(size=(40, 3))
SMALL: dict[str, Any] = {"hidden": (4,), "epochs": 1}


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (VariationalAutoencoder, {"epochs": 0}, "epochs is 0; it must be at least 1"),
        (VAEImputer, {"epochs": 0}, "epochs is 0; it must be at least 1"),
        (VAEOutlierDetector, {"epochs": 0}, "epochs is 0; it must be at least 1"),
        (VariationalAutoencoder, {"latent_dim": 2.0}, "latent_dim is 2.0; it must be a whole number"),
        (VariationalAutoencoder, {"options": {"betta": 3}}, "unknown option betta (did you mean beta?)"),
        (
            VariationalAutoencoder,
            {"options": {"beta": 4}},
            "beta=4 has no effect with bound='elbo'; add bound='beta', or leave it out",
        ),
        (
            VariationalAutoencoder,
            {"options": {"kl_warmup": 3}, "bound": "iwae"},
            "kl_warmup=3 needs bound='elbo', not iwae; leave one of them out",
        ),
        (VariationalAutoencoder, {"latent_dim": "2"}, "latent_dim is '2'; it must be a whole number"),
        (VariationalAutoencoder, {"latent_dim": True}, "latent_dim is True; it must be a whole number"),
        (VariationalAutoencoder, {"lr": "0.1"}, "lr is '0.1'; it must be a number"),
        (
            VariationalAutoencoder,
            {"importance_samples": 0},
            "importance_samples is 0; give a whole number of at least 1",
        ),
        (
            VariationalAutoencoder,
            {"options": 3},
            "options is 3; give a dict of settings by name, such as {'activation': 'gelu'}",
        ),
        (
            VAEImputer,
            {"options": "abc"},
            "options is 'abc'; give a dict of settings by name, such as {'activation': 'gelu'}",
        ),
        (
            VAEOutlierDetector,
            {"contamination": "auto"},
            "contamination is 'auto'; give a share above 0 and up to 0.5",
        ),
        (VAEOutlierDetector, {"power": "x"}, "power is 'x'; give a number above 0 and up to 1, or None"),
        (
            VariationalAutoencoder,
            {"posterior": "point", "bound": "elbo"},
            "bound='elbo' needs a density, and a point posterior has none; use bound='reconstruction', or "
            "another posterior",
        ),
        (
            VariationalAutoencoder,
            {"posterior": "low-rank", "options": {"rank": 30}},
            "rank=30 is more than the 8 of latent_dim; use rank=8, or posterior='full'",
        ),
        (
            VariationalAutoencoder,
            {"options": {"condition": "zz"}},
            "condition='zz': there is no such column; the columns are x0, x1, x2",
        ),
        (
            VariationalAutoencoder,
            {"options": {"condition": ["x0", "x1", "x2"]}},
            "all columns are in condition, which leaves none to model; leave one of them out of it",
        ),
    ],
)
def test_a_parameter_is_named_as_python_does(kind: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        kind(**SMALL | given).fit(ROWS)
    assert str(caught.value) == said


def test_mends_that_are_of_files_are_not_offered() -> None:
    with pytest.raises(UserError, match=r"needs them: use X of zeros and ones, or likelihood='normal'$"):
        VariationalAutoencoder(**SMALL, likelihood="bernoulli").fit(ROWS)
    mixed = pd.DataFrame(ROWS, columns=list("abc")).assign(word=["a", "b"] * 20)
    with pytest.raises(UserError, match=r"leave likelihood out, or leave that column out of X$"):
        VariationalAutoencoder(**SMALL, likelihood="normal").fit(mixed)
    with pytest.raises(
        UserError, match=r"leave likelihood out: the likelihood of columns models what is there$"
    ):
        VariationalAutoencoder(**SMALL, likelihood="normal").fit(np.where(ROWS > 2, np.nan, ROWS))


def test_words_of_a_sentence_are_no_values() -> None:
    assert translate("--prior vamp is made of --free-bits and 1e-3") == (
        "prior='vamp' is made of free_bits and 1e-3"
    )
    assert translate("x -- y, all-over; --lr 1e-3 or --beta -2.5") == "x -- y, all-over; lr=1e-3 or beta=-2.5"


def test_an_imputer_without_an_encoder_hides_no_cells() -> None:
    """Rows that miss cells set hide to 0 by themselves, which is no choice of the user's."""
    rows = np.where(np.random.default_rng(1).random(ROWS.shape) < 0.4, np.nan, ROWS)
    steps = {"inference": "two-tier", "inner_steps": 2}
    imputer = VAEImputer(**SMALL, n_estimators=1, posterior="diagonal", latent_dim=2, options=steps)
    assert np.isfinite(imputer.fit_transform(rows)).all()


@pytest.mark.parametrize("n", [0, 2.5, 2.0, "3", None])
def test_samples_are_a_whole_number(n: Any) -> None:
    with pytest.raises(UserError, match=r"n_samples is .*; give a whole number of at least 1"):
        VariationalAutoencoder(**SMALL).fit(ROWS).sample(n)
