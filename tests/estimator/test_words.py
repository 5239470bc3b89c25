"""Refusals speak of parameters where the settings are parameters."""

from typing import Any

import numpy as np
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
    ],
)
def test_a_parameter_is_named_as_python_does(kind: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        kind(**SMALL | given).fit(ROWS)
    assert str(caught.value) == said


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
