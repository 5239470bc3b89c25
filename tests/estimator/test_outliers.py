"""The outlier detector: what it finds, on which scale, and in what data."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jensen import VAEOutlierDetector, VariationalAutoencoder
from jensen.errors import UserError
from jensen.estimator import outliers

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
    detector = VAEOutlierDetector(40 / 600, epochs=30, random_state=0).fit(x)
    assert detector.fitted_.settings.likelihood == "normal"
    assert roc_auc_score(outlier, -detector.score_samples(x)) > 0.95


def test_rows_that_break_a_relation_of_columns_are_seen() -> None:
    """Outliers no farther out than the others: only how the columns go together tells them."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(500, 2)) @ draw.normal(size=(2, 6)) + 0.1 * draw.normal(size=(500, 6))
    x[480:] = draw.permuted(x[480:], axis=0)
    outlier = np.arange(500) >= 480
    assert roc_auc_score(outlier, (x**2).sum(1)) < 0.6
    detector = VAEOutlierDetector(20 / 500, epochs=30, random_state=0).fit(x)
    assert roc_auc_score(outlier, -detector.score_samples(x)) > 0.9


def test_the_score_is_the_lower_of_two_in_their_spreads(contaminated: Any) -> None:
    x, _ = contaminated
    train, new = x[:300], x[300:]
    spreads = []
    for power in (1, 1 / 6):
        one = VAEOutlierDetector(power=power, **SMALL).fit(train)
        low, median = np.quantile(one.score_samples(train), [0.1, 0.5])
        spreads.append((one.score_samples(new) - median) / (median - low))
    found = VAEOutlierDetector(**SMALL).fit(train).score_samples(new)
    assert found == pytest.approx(np.minimum(*spreads), rel=1e-6)
    assert 0 < (spreads[0] < spreads[1]).mean() < 1


def test_with_power_one_the_score_is_log_px(contaminated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, options = contaminated[0][::6], SMALL | {"latent_dim": 2}
    density = VAEOutlierDetector(power=1, importance_samples=400, **options).fit(x).score_samples(x)
    # The same figure by draws from the prior, where the integrand is less smooth and the noise larger.
    monkeypatch.setattr(outliers, "PRIOR_DRAWS", 20_000)
    tempered = VAEOutlierDetector(power=1 - 1e-9, **options).fit(x)
    assert np.mean(density) > np.mean(VAEOutlierDetector(power=0.1, **options).fit(x).score_samples(x))
    assert np.median(np.abs(tempered.score_samples(x) - density)) < 0.1


def test_units_move_log_px_by_their_logarithms_and_the_score_not_at_all(contaminated: Any) -> None:
    x, _ = contaminated
    scale = 10.0 ** np.arange(-3, 3)
    for power, shift in ((None, 0.0), (1, np.log(scale).sum())):
        here = VAEOutlierDetector(power=power, **SMALL).fit(x).score_samples(x)
        there = VAEOutlierDetector(power=power, **SMALL).fit(x * scale).score_samples(x * scale)
        assert there == pytest.approx(here - shift, abs=1e-3)


def test_rows_that_are_nearly_all_alike_have_finite_scores() -> None:
    x = np.zeros((100, 2))
    x[0] = 1.0
    assert np.isfinite(VAEOutlierDetector(**SMALL).fit(x).score_samples(x)).all()


def test_missing_cells_and_categories_are_modelled_by_column(contaminated: Any) -> None:
    pandas = pytest.importorskip("pandas")
    x = contaminated[0][::3]
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
