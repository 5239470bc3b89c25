"""The outlier detector: what it finds, on which scale, and in what data."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jensen import VAEOutlierDetector, VariationalAutoencoder
from jensen.errors import UserError

SMALL: dict[str, Any] = {"hidden": (8,), "epochs": 3, "random_state": 0}


@pytest.fixture(scope="module")
def contaminated() -> tuple[np.ndarray, np.ndarray]:
    """Rows near a plane, with a tight cluster of outliers among them; the last column is of 0 and 1."""
    draw = np.random.default_rng(0)
    z = draw.normal(size=(600, 2))
    x = z @ draw.normal(size=(2, 6)) + 0.3 * draw.normal(size=(600, 6))
    outlier = np.arange(600) >= 560
    x[outlier] = 4 + 0.1 * draw.normal(size=(40, 6))
    x[:, 5] = x[:, 5] > 0
    return x, outlier


def test_a_cluster_of_outliers_among_the_rows_fitted_is_seen(contaminated: Any) -> None:
    x, outlier = contaminated
    detector = VAEOutlierDetector(40 / 600, random_state=0).fit(x)
    assert detector.fitted_.settings.likelihood == "normal"
    assert roc_auc_score(outlier, -detector.score_samples(x)) > 0.95


def test_with_power_one_the_score_is_log_px(contaminated: Any) -> None:
    x, _ = contaminated
    density = VAEOutlierDetector(power=1, importance_samples=400, **SMALL).fit(x).score_samples(x)
    # The same figure by draws from the prior, where the integrand is less smooth and the noise larger.
    tempered = VAEOutlierDetector(power=1 - 1e-9, importance_samples=20_000, **SMALL).fit(x)
    assert np.mean(density) > np.mean(VAEOutlierDetector(power=0.1, **SMALL).fit(x).score_samples(x))
    assert np.median(np.abs(tempered.score_samples(x) - density)) < 0.1


def test_the_order_of_rows_does_not_depend_on_units(contaminated: Any) -> None:
    x, _ = contaminated
    scale = 10.0 ** np.arange(-3, 3)
    here = VAEOutlierDetector(**SMALL).fit(x).score_samples(x)
    there = VAEOutlierDetector(**SMALL).fit(x * scale).score_samples(x * scale)
    assert there == pytest.approx(here - np.log(scale).sum(), abs=1e-3)


def test_missing_cells_and_categories_are_modelled_by_column(contaminated: Any) -> None:
    pandas = pytest.importorskip("pandas")
    x, _ = contaminated
    holes = x.copy()
    holes[::7, 2] = np.nan
    frame = pandas.DataFrame(x[:200]).add_prefix("c").assign(kind=["a", "b"] * 100)
    for rows in (holes, frame):
        detector = VAEOutlierDetector(**SMALL).fit(rows)
        assert detector.fitted_.settings.likelihood == "columns"
        assert np.isfinite(detector.score_samples(rows)).all()
    complete = VAEOutlierDetector(**SMALL).fit(x)
    assert np.isfinite(complete.score_samples(holes)).all(), "a missing cell of a new row adds nothing"


@pytest.mark.parametrize("power", [0, -1, 2])
def test_powers_that_cannot_be(contaminated: Any, power: float) -> None:
    with pytest.raises(UserError, match="power"):
        VAEOutlierDetector(power=power).fit(contaminated[0])


def test_counts_of_an_array_with_an_exposure() -> None:
    """Rows that differ in their depth alone have the same latents."""
    draw = np.random.default_rng(0)
    shares = np.where(np.arange(300)[:, None] < 150, [8, 1, 1, 0, 0], [1, 1, 1, 0.2, 7]) / 10
    x = draw.poisson(shares * draw.choice([20, 2000], size=(300, 1)))
    options = {"exposure": "total"}
    vae = VariationalAutoencoder(2, likelihood="negative-binomial", options=options, epochs=5, random_state=0)
    vae.fit(x)
    assert vae.transform(50 * x[:5]) == pytest.approx(vae.transform(x[:5]), abs=1e-5)
    totals = vae.sample(500).sum(1)
    assert np.median(totals) == pytest.approx(np.median(x.sum(1)), rel=0.9)
