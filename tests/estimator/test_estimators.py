"""The scikit-learn face: scikit-learn's own checks, and what they do not look at."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from jensen import VAEImputer, VAEOutlierDetector, VariationalAutoencoder
from jensen.errors import UserError

SMALL: dict[str, Any] = {
    "epochs": 2,
    "hidden": (8,),
    "latent_dim": 2,
    "random_state": 0,
    "importance_samples": 5,
}


@parametrize_with_checks([VariationalAutoencoder(**SMALL), VAEOutlierDetector(**SMALL), VAEImputer(**SMALL)])
def test_what_scikit_learn_asks_of_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    draw = np.random.default_rng(0)
    z = draw.normal(size=(400, 1))
    return np.hstack([z + 0.3 * draw.normal(size=(400, 1)) for _ in range(4)])


@pytest.fixture(scope="module")
def frame() -> Any:
    pandas = pytest.importorskip("pandas")
    draw = np.random.default_rng(1)
    n = 200
    colour = draw.choice(["red", "green", "blue"], n)
    return pandas.DataFrame(
        {
            "colour": pandas.Categorical(colour),
            "size": draw.normal(size=n) + (colour == "red"),
            "count": draw.poisson(4, n),
            "when": pandas.Timestamp("2024-01-01") + pandas.to_timedelta(draw.integers(0, 300, n), "D"),
            "ok": draw.random(n) < 0.3,
        },
        index=[f"row{i}" for i in range(n)],
    )


def test_the_score_is_that_of_the_density_as_given(numbers: np.ndarray) -> None:
    """A linear model with one latent and one noise level is probabilistic PCA, whose likelihood is known."""
    from sklearn.decomposition import PCA

    exact = PCA(n_components=1).fit(numbers).score(numbers)
    options = {"network": "linear", "scaling": "standard"}
    vae = VariationalAutoencoder(1, likelihood="normal", epochs=300, lr=1e-2, random_state=0, options=options)
    found = vae.fit(numbers).score(numbers)
    assert found == pytest.approx(exact, abs=0.05)
    scaled = VariationalAutoencoder(
        1, likelihood="normal", epochs=300, lr=1e-2, random_state=0, options=options
    )
    assert scaled.fit(10 * numbers).score(10 * numbers) == pytest.approx(found - 4 * np.log(10), abs=1e-3)


def test_samples_look_like_the_data(numbers: np.ndarray) -> None:
    vae = VariationalAutoencoder(2, epochs=60, hidden=(32,), random_state=0).fit(numbers)
    new = vae.sample(2000)
    assert new.shape == (2000, 4)
    assert np.abs(new.mean(0) - numbers.mean(0)).max() < 0.15
    assert np.corrcoef(new.T)[0, 1] > 0.7, "columns go together"
    assert np.array_equal(new, vae.sample(2000))
    seen = vae.inverse_transform(vae.transform(numbers))
    assert np.corrcoef(seen[:, 0], numbers[:, 0])[0, 1] > 0.8


def test_frames_come_back_as_frames(frame: Any) -> None:
    vae = VariationalAutoencoder(**SMALL).fit(frame)
    new = vae.sample(20)
    assert list(new.columns) == list(frame.columns)
    assert (new.dtypes == frame.dtypes).all()
    assert set(new["colour"]) <= {"red", "green", "blue"}
    assert list(vae.get_feature_names_out()) == ["variationalautoencoder0", "variationalautoencoder1"]
    z = vae.set_output(transform="pandas").transform(frame)
    assert list(z.index) == list(frame.index)
    assert vae.inverse_transform(z.to_numpy()).shape == frame.shape
    with pytest.raises(ValueError, match="feature names"):
        vae.transform(frame.rename(columns={"size": "width"}))


def test_polars_frames_too() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.5, None, 3.25, 0.5] * 20, "b": ["x", "y", None, "x"] * 20})
    vae = VariationalAutoencoder(**SMALL).fit(frame)
    assert vae.sample(3).schema == frame.schema
    filled = VAEImputer(**SMALL).fit_transform(frame)
    assert isinstance(filled, polars.DataFrame)
    assert filled.null_count().sum_horizontal()[0] == 0
    assert filled.filter(frame["a"].is_not_null())["a"].to_list() == frame["a"].drop_nulls().to_list()


def test_missing_cells_of_a_frame_are_filled_and_nothing_else(frame: Any) -> None:
    holes = frame.copy()
    holes.iloc[::5, 1] = np.nan
    holes.iloc[::7, 0] = None
    imputer = VAEImputer(**SMALL)
    filled = imputer.fit_transform(holes)
    assert not filled.isna().any().any()
    assert (filled.dtypes == holes.dtypes).all()
    assert list(filled.index) == list(holes.index)
    for name in holes:
        there = holes[name].notna()
        assert (filled.loc[there, name] == holes.loc[there, name]).all()
    draws = imputer.draw(holes, 3)
    assert len({tuple(d["size"]) for d in draws}) == 3
    assert list(imputer.get_feature_names_out()) == list(frame.columns)


def test_the_imputer_knows_the_options_of_its_neighbours(numbers: np.ndarray) -> None:
    X = numbers.copy()
    X[::4, 1] = -999
    X = np.hstack([X, np.full((len(X), 1), -999.0)])
    imputer = VAEImputer(missing_values=-999, add_indicator=True, **SMALL)
    filled = imputer.fit_transform(X)
    assert filled.shape == (400, 4 + 2), "the empty column goes, two indicators come"
    assert not (filled == -999).any()
    assert len(imputer.get_feature_names_out()) == 6
    kept = VAEImputer(missing_values=-999, keep_empty_features=True, **SMALL).fit_transform(X)
    assert kept.shape == (400, 5)
    assert (kept[:, 4] == 0).all()


def test_names_of_columns_are_checked_as_scikit_learn_does(numbers: np.ndarray, frame: Any) -> None:
    imputer = VAEImputer(**SMALL).fit(numbers)
    assert list(imputer.get_feature_names_out(list("abcd"))) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="length equal to number of features"):
        imputer.get_feature_names_out(["a"])
    imputer = VAEImputer(**SMALL).fit(frame)
    assert list(imputer.get_feature_names_out(frame.columns)) == list(frame.columns)
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        imputer.get_feature_names_out(frame.columns[::-1])


@pytest.mark.parametrize("marker", ["?", None, [1], True])
def test_a_marker_of_missing_cells_is_a_number(numbers: np.ndarray, marker: Any) -> None:
    with pytest.raises(UserError, match=r"missing_values is .*; give a number, or NaN"):
        VAEImputer(missing_values=marker, **SMALL).fit(numbers)


def test_a_marker_is_not_taken_for_a_number_of_a_frame(numbers: np.ndarray) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    X = np.where(np.random.default_rng(0).random(numbers.shape) < 0.2, -1.0, numbers)
    for frame in (pandas.DataFrame(X), polars.DataFrame(X)):
        with pytest.raises(UserError, match="missing_values is -1, and X is a frame"):
            VAEImputer(missing_values=-1, **SMALL).fit(frame)
    fitted = VAEImputer(missing_values=-1, **SMALL).fit(X)
    with pytest.warns(UserWarning, match="without feature names"):
        assert not (fitted.transform(pandas.DataFrame(X).add_prefix("x")) == -1).any()


@pytest.mark.parametrize("n_draws", [0, -1, 2.5, "3"])
def test_a_number_of_draws_is_a_whole_number(numbers: np.ndarray, n_draws: Any) -> None:
    imputer = VAEImputer(n_estimators=1, **SMALL).fit(numbers)
    with pytest.raises(UserError, match=r"n_draws is .*; give a whole number of at least 1"):
        imputer.draw(numbers, n_draws)


@pytest.mark.parametrize("kind", [VariationalAutoencoder, VAEOutlierDetector, VAEImputer])
def test_a_negative_seed_is_refused_by_the_name_that_it_was_given(numbers: np.ndarray, kind: Any) -> None:
    with pytest.raises(UserError, match="random_state is -1; give a whole number of at least 0"):
        kind(**SMALL | {"random_state": -1}).fit(numbers)


def test_filling_uses_the_other_columns(numbers: np.ndarray) -> None:
    draw = np.random.default_rng(2)
    holes = np.where(draw.random(numbers.shape) < 0.2, np.nan, numbers)
    there = np.isnan(holes)
    imputer = VAEImputer(latent_dim=2, hidden=(32,), epochs=80, random_state=0).fit(holes)
    filled = imputer.transform(holes)
    error = np.sqrt(np.mean((filled - numbers)[there] ** 2))
    assert error < 0.6 * numbers.std(), "the mean's error is the standard deviation"
    draws = np.stack(imputer.draw(holes, 40))[:, there]
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    covered = np.mean((numbers[there] >= low) & (numbers[there] <= high))
    assert 0.8 < covered < 0.97, "intervals of 90 % hold about 90 % of the cells"


def test_a_row_is_filled_as_if_it_were_alone(frame: Any) -> None:
    holes = frame.mask(np.random.default_rng(2).random(frame.shape) < 0.2)
    imputer = VAEImputer(**SMALL).fit(holes)
    together = imputer.transform(holes)
    order = np.random.default_rng(3).permutation(len(holes))
    for rows in (order, order[:3]):
        alone = imputer.transform(holes.iloc[rows])
        assert alone.drop(columns="size").equals(together.iloc[rows].drop(columns="size"))
        np.testing.assert_allclose(alone["size"], together["size"].iloc[rows], rtol=1e-9)


def test_an_imputer_is_several_models_of_other_starts(numbers: np.ndarray) -> None:
    holes = np.where(np.random.default_rng(2).random(numbers.shape) < 0.2, np.nan, numbers)
    imputer = VAEImputer(n_estimators=2, **SMALL).fit(holes)
    first, second = imputer.estimators_
    assert first is imputer.fitted_
    assert first.settings.seed != second.settings.seed
    assert any(not np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    single = VAEImputer(n_estimators=1, **SMALL).fit(holes)
    assert all(np.array_equal(single.fitted_.weights[name], first.weights[name]) for name in first.weights)
    one, other = single.draw(holes, 1)[0], imputer.draw(holes, 2)
    assert np.array_equal(one, other[0])
    assert not np.array_equal(one, other[1])
    hurried = VAEImputer(n_estimators=2, max_time=20, **SMALL).fit(holes)
    assert [each.settings.max_time for each in hurried.estimators_] == [10, 10], "the time is shared"
    with pytest.raises(ValueError, match="n_estimators is 0; give a whole number of at least 1"):
        VAEImputer(n_estimators=0).fit(holes)


def test_outliers_score_low(numbers: np.ndarray) -> None:
    X = np.vstack([numbers, [[4, -4, 4, -4], [9, 9, 9, 9]]])
    detector = VAEOutlierDetector(contamination=0.02, epochs=50, random_state=0).fit(X)
    assert (detector.predict(X)[-2:] == -1).all()
    assert np.mean(detector.predict(X) == -1) == pytest.approx(0.02, abs=0.01)
    assert np.allclose(detector.decision_function(X), detector.score_samples(X) - detector.offset_)
    with pytest.raises(ValueError, match=r"contamination is 0\.9"):
        VAEOutlierDetector(contamination=0.9).fit(X)


def test_rows_that_miss_cells_are_not_shown_twice(numbers: np.ndarray) -> None:
    holes = numbers.copy()
    holes[::2, 0] = np.nan
    asked = VAEImputer(options={"hide": 0.25}, **SMALL)
    shares = [i.fit(x).fitted_.settings.hide for i in (VAEImputer(**SMALL), asked) for x in (numbers, holes)]
    assert shares == [0.5, 0.0, 0.25, 0.25]


@pytest.mark.parametrize("estimator", [VariationalAutoencoder(**SMALL), VAEImputer(**SMALL)])
def test_a_pickle_holds_plain_data_and_works_alike(estimator: Any, numbers: np.ndarray) -> None:
    X = np.where(np.random.default_rng(0).random(numbers.shape) < 0.1, np.nan, numbers)
    fitted = clone(estimator).fit(X)
    content = pickle.dumps(fitted)
    for module in (b"torch", b"jensen.models", b"jensen.networks", b"jensen.families"):
        assert module not in content
    again = pickle.loads(content)
    assert np.array_equal(again.transform(X), fitted.transform(X))


def test_an_estimator_leaves_the_generators_of_torch_and_numpy_alone(numbers: np.ndarray) -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002, it is the global state that is looked at
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    vae = VariationalAutoencoder(**SMALL).fit(numbers)
    vae.score_samples(numbers)
    vae.inverse_transform(vae.transform(numbers))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_in_pipelines_and_grid_searches(numbers: np.ndarray) -> None:
    pipeline = make_pipeline(StandardScaler(), VariationalAutoencoder(**SMALL))
    assert pipeline.fit(numbers).transform(numbers).shape == (400, 2)
    grid = GridSearchCV(VariationalAutoencoder(**SMALL), {"latent_dim": [1, 2]}, cv=2, n_jobs=1)
    assert grid.fit(numbers).best_params_["latent_dim"] in (1, 2)


def test_threads_do_not_mix_their_draws(numbers: np.ndarray) -> None:
    def scores(seed: int) -> np.ndarray:
        return VariationalAutoencoder(**{**SMALL, "random_state": seed}).fit(numbers).score_samples(numbers)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(scores, range(4)))
    assert all(np.array_equal(scores(seed), found) for seed, found in enumerate(together))


def test_names_of_the_latents_in_frames(numbers: np.ndarray) -> None:
    pandas = pytest.importorskip("pandas")
    vae = VariationalAutoencoder(**SMALL).set_output(transform="pandas").fit(numbers)
    frame = vae.transform(numbers)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(vae.get_feature_names_out())
    assert len(frame.columns) == SMALL["latent_dim"]


def test_going_on_from_the_last_fit(numbers: np.ndarray) -> None:
    vae = VariationalAutoencoder(**{**SMALL, "epochs": 4}, warm_start=True).fit(numbers)
    first = vae.score(numbers)
    assert vae.n_iter_ == 4
    vae.set_params(epochs=40).fit(numbers)
    assert vae.n_iter_ == 44
    assert vae.score(numbers) > first
    parts = VariationalAutoencoder(**SMALL)
    for rows in np.array_split(numbers, 4):
        parts.partial_fit(rows)
    assert parts.n_iter_ == 4
    assert [record["epoch"] for record in parts.history_] == [1, 2, 3, 4]


def test_passes_go_on_with_kl_warm_up_and_with_other_draws(numbers: np.ndarray) -> None:
    seeds: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jensen.training.loop.derive_seed", lambda *parts: seeds.append(hash(parts)) or 0)
        warm = VariationalAutoencoder(**SMALL, options={"kl_warmup": 2})
        weights = []
        patch.setattr(
            "jensen.training.engine.Engine.epoch", lambda self, weight: weights.append(weight) or 0.0
        )
        for _ in range(3):
            warm.partial_fit(numbers)
    assert weights == [0.0, 0.5, 1.0]
    assert len(set(seeds)) == 4, "one for each pass, and one of the validation"


def test_what_may_change_from_fit_to_fit(numbers: np.ndarray) -> None:
    vae = VariationalAutoencoder(**{**SMALL, "epochs": 2}, warm_start=True).fit(numbers)
    vae.set_params(lr=0.02, batch_size=7).fit(numbers)
    assert vae.history_[-2]["lr"] == 0.02
    assert vae.fitted_.settings.batch_size == 7
    with pytest.raises(UserError, match="latent_dim is 3 and was 2"):
        vae.set_params(latent_dim=3).fit(numbers)
    assert vae.transform(numbers).shape[1] == len(vae.get_feature_names_out()) == 2


def test_what_cannot_be_used_is_refused(numbers: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"^likelihood is nromal"):
        VariationalAutoencoder(likelihood="nromal").fit(numbers)
    with pytest.raises(ValueError, match="infinity"):
        VariationalAutoencoder(**SMALL).fit(np.array([[1.0, np.inf], [2.0, 3.0]]))
    with pytest.raises(UserError, match="no column of X can be modelled"):
        VariationalAutoencoder(**SMALL).fit(np.ones((30, 2)))
    with pytest.raises(UserError, match=r"give \[N, 2\]"):
        VariationalAutoencoder(**SMALL).fit(numbers).inverse_transform(numbers)


@pytest.mark.parametrize("kind", [VariationalAutoencoder, VAEImputer, VAEOutlierDetector])
def test_a_fit_tells_how_far_it_is_where_it_is_asked_to(
    kind: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).normal(size=(30, 3))
    silent = kind(hidden=(4,), epochs=2, random_state=0).fit(x)
    assert capsys.readouterr() == ("", "")
    told = kind(hidden=(4,), epochs=2, random_state=0, verbose=1).fit(x)
    out, said = capsys.readouterr()
    assert not out
    assert said.count("epoch    2  elbo: train ") == getattr(told, "n_estimators", 1)
    assert [line["train_bound"] for line in told.history_] == [r["train_bound"] for r in silent.history_]
