"""What holds of the estimator with every posterior: rows do not depend on others, codes have names."""

from typing import Any

import numpy as np
import pytest

from jensen import VAEOutlierDetector, VariationalAutoencoder
from jensen.config.names import POSTERIORS

pytest.importorskip("pandas")
DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(60, 4))
ROWS[:, 1] += ROWS[:, 0]
HOLES = np.where(DRAW.random(ROWS.shape) < 0.15, np.nan, ROWS)
SMALL: dict[str, Any] = {"hidden": (8,), "epochs": 1, "random_state": 0, "importance_samples": 20}
CLASSES = {"categorical", "gumbel-softmax", "straight-through"}


@pytest.fixture(scope="module", params=POSTERIORS)
def fitted(request: pytest.FixtureRequest) -> VariationalAutoencoder:
    options = {"categories": 4} if request.param in CLASSES else {}
    return VariationalAutoencoder(3, posterior=request.param, options=options, **SMALL).fit(ROWS)


def test_a_score_and_a_code_are_of_the_row_alone(fitted: VariationalAutoencoder) -> None:
    figures = [fitted.transform]
    if fitted.posterior == "point":
        with pytest.raises(ValueError, match="posterior='point' has no density"):
            fitted.score_samples(ROWS)
    else:
        figures.append(fitted.score_samples)
    for figure in figures:
        found = figure(ROWS)
        assert figure(ROWS[::-1])[::-1] == pytest.approx(found, abs=1e-9)
        assert figure(ROWS[20:27]) == pytest.approx(found[20:27], abs=1e-9)


def test_outliers_with_holes_too() -> None:
    detector = VAEOutlierDetector(**SMALL).fit(HOLES)
    assert detector.fitted_.settings.posterior == "experts"
    assert detector.score_samples(HOLES[::-1])[::-1] == pytest.approx(detector.score_samples(HOLES), abs=1e-9)


def test_codes_keep_the_contract_of_transformers(fitted: VariationalAutoencoder) -> None:
    codes = fitted.transform(ROWS)
    assert codes.shape == (60, 12 if fitted.posterior in CLASSES else 3)
    assert len(fitted.get_feature_names_out()) == codes.shape[1]
    assert fitted.inverse_transform(codes).shape == ROWS.shape
    with pytest.raises(ValueError, match=rf"give \[N, {codes.shape[1]}\]"):
        fitted.inverse_transform(codes[:, 1:])
    named = fitted.set_output(transform="pandas").transform(ROWS)
    assert list(named.columns) == list(fitted.get_feature_names_out())
    fitted.set_output(transform="default")
