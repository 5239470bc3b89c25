"""What may be given where: containers in memory, missing cells, options, and what a refusal leaves."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
import torch
from PIL import Image
from scipy import sparse
from torch.utils.data import DataLoader, TensorDataset

from jensen import VAEImputer, VAEOutlierDetector, VariationalAutoencoder
from jensen.errors import UserError

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(60, 3))
HOLES = np.where(DRAW.random(ROWS.shape) < 0.2, np.nan, ROWS)
SMALL: dict[str, Any] = {"hidden": (8,), "epochs": 1, "random_state": 0, "importance_samples": 5}
IMPUTER: dict[str, Any] = SMALL | {"n_estimators": 2}
FRAMES: dict[str, Any] = {
    "pandas": lambda frame: frame,
    "polars": polars.from_pandas,
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


def frame_of(kind: str, x: np.ndarray, **more: Any) -> Any:
    return FRAMES[kind](pd.DataFrame(x, columns=list("abc")).assign(**more))


def numbers_of(frame: Any) -> np.ndarray:
    pandas = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    found: np.ndarray = pandas[list("abc")].to_numpy(float)
    return found


@pytest.mark.parametrize(
    "given",
    [
        sparse.csr_matrix(HOLES),
        torch.tensor(HOLES, requires_grad=True),
        TensorDataset(torch.tensor(HOLES)),
        HOLES.tolist(),
    ],
    ids=["sparse", "tensor", "data set", "lists"],
)
def test_the_imputer_takes_anywhere_what_it_takes_to_fit(given: Any) -> None:
    imputer = VAEImputer(add_indicator=True, **IMPUTER)
    expected = VAEImputer(add_indicator=True, **IMPUTER).fit(HOLES)
    assert np.array_equal(imputer.fit_transform(given), expected.transform(HOLES))
    assert np.array_equal(imputer.draw(given, 2), expected.draw(HOLES, 2))


@pytest.mark.parametrize("nan", [np.nan, np.float32("nan")])
def test_nan_of_any_type_marks_missing_cells(nan: Any) -> None:
    assert np.isfinite(VAEImputer(missing_values=nan, **IMPUTER).fit_transform(HOLES)).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("table.csv", r"^X is of type str, .* give what pandas\.read_csv"),
        (Path("x.npy"), r"^X is of type PosixPath, .*jensen\.session\.start$"),
        (DataLoader(TensorDataset(torch.tensor(ROWS))), r"^X is of type DataLoader, .* loader\.dataset, or"),
        ((row for row in ROWS), r"^X is of type generator, .* numpy\.array\(list\(X\)\)$"),
        (map(list, ROWS), r"^X is of type map, .* numpy\.array\(list\(X\)\)$"),
        ({"a": [1.0, 2.0, 3.0]}, r"^X is of type dict, .* give pandas\.DataFrame\(X\)$"),
        (
            polars.LazyFrame(ROWS),
            r"^X is of type LazyFrame, .* give the frame that it makes, X\.collect\(\)$",
        ),
        ([Image.new("L", (4, 4))] * 20, r"^X is images, but rows are \[N, D\]; give numpy\.stack"),
        (Image.new("L", (4, 4)), r"^X is images"),
    ],
    ids=["path", "Path", "loader", "generator", "map", "dict", "lazy", "images", "image"],
)
def test_what_is_no_rows_is_refused_in_a_line(given: Any, said: str) -> None:
    for kind in (VariationalAutoencoder, VAEImputer, VAEOutlierDetector):
        with pytest.raises(UserError, match=said) as refused:
            kind(**SMALL).fit(given)
        assert "\n" not in str(refused.value)


def test_an_imputer_that_draws_draws_anew_at_each_call() -> None:
    drawing = VAEImputer(sample_posterior=True, **IMPUTER)
    tables = [drawing.fit_transform(HOLES), *(drawing.transform(HOLES) for _ in range(5))]
    assert len({table.tobytes() for table in tables}) == 6
    again = VAEImputer(sample_posterior=True, **IMPUTER).fit(HOLES)
    assert all(np.array_equal(table, again.transform(HOLES)) for table in tables), "the seed decides all"
    means = VAEImputer(**IMPUTER).fit(HOLES)
    assert np.array_equal(means.transform(HOLES), means.transform(HOLES))
    assert np.array_equal(drawing.draw(HOLES, 2), again.draw(HOLES, 2))


def test_tables_are_drawn_by_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws also differ by what is not known of the weights."""
    drawing = VAEImputer(sample_posterior=True, **IMPUTER).fit(HOLES)
    first = []
    monkeypatch.setattr(
        "jensen.estimator.imputer.impute_draws",
        lambda models, blocks, *rest, **options: first.append(models[0]) or torch.cat(blocks)[None],
    )
    for _ in range(20):
        drawing.transform(HOLES)
    weights = {next(iter(model.parameters())).detach().numpy().tobytes() for model in first}
    assert len(weights) == drawing.n_estimators


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_keep_the_books_of_scikit_learn(kind: str) -> None:
    vae = VariationalAutoencoder(2, **SMALL).fit(frame_of(kind, ROWS))
    assert vae.n_features_in_ == 3
    assert list(vae.feature_names_in_) == ["a", "b", "c"]
    none = frame_of(kind, ROWS[:0])
    for work in (vae.transform, VariationalAutoencoder(**SMALL).fit):
        with pytest.raises(ValueError, match="0 sample"):
            work(none)
    imputer = VAEImputer(add_indicator=True, **IMPUTER).fit(frame_of(kind, HOLES))
    for asked, library in (("pandas", pd.DataFrame), ("polars", polars.DataFrame)):
        for estimator in (vae, imputer):
            named = estimator.set_output(transform=asked).transform(frame_of(kind, ROWS))
            assert isinstance(named, library)
            assert list(named.columns) == list(estimator.get_feature_names_out())


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_after_an_array_is_taken_by_its_places(kind: str) -> None:
    vae = VariationalAutoencoder(2, **SMALL).fit(HOLES)
    imputer = VAEImputer(add_indicator=True, **IMPUTER).fit(HOLES)
    frame = frame_of(kind, HOLES)
    for work in (vae.transform, vae.score_samples, imputer.transform):
        with pytest.warns(UserWarning, match="X has feature names"):
            found = work(frame)
        assert np.array_equal(found, work(HOLES))
    with (
        pytest.raises(ValueError, match="3 features"),
        pytest.warns(UserWarning, match="X has feature names"),
    ):
        vae.transform(frame_of(kind, HOLES, d=1.0))


@pytest.mark.parametrize("kind", FRAMES)
def test_an_array_after_a_frame_of_numbers_is_taken_by_its_places(kind: str) -> None:
    coins = DRAW.integers(2, size=len(HOLES))
    frame, x = frame_of(kind, HOLES, coin=coins, truth=coins > 0), np.column_stack([HOLES, coins, coins])
    vae = VariationalAutoencoder(2, **SMALL).fit(frame)
    imputer = VAEImputer(**IMPUTER).fit(frame)
    for work in (vae.transform, vae.score_samples):
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            found = work(x)
        assert np.array_equal(found, work(frame))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        filled = imputer.transform(x)
    assert np.array_equal(filled[:, :3], numbers_of(imputer.transform(frame)))
    with (
        pytest.raises(ValueError, match="5 features"),
        pytest.warns(UserWarning, match="X does not have valid feature names"),
    ):
        vae.transform(x[:, :4])


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("more", [["u", "v"] * 30, pd.date_range("2020-01-01", periods=60)])
def test_an_array_after_a_frame_of_other_things_is_refused(kind: str, more: Any) -> None:
    vae = VariationalAutoencoder(2, **SMALL).fit(frame_of(kind, ROWS, other=more))
    with pytest.raises(UserError, match=rf"^fitted on a {kind} frame, whose column 'other' is of no numbers"):
        vae.transform(np.column_stack([ROWS, ROWS[:, 0]]))


@pytest.mark.parametrize("more", ["u", pd.Timestamp("2020-01-01")])
def test_objects_that_are_no_numbers_are_refused_in_a_line(more: Any) -> None:
    objects = pd.DataFrame(ROWS).assign(other=[more] * len(ROWS)).to_numpy()
    with pytest.raises((UserError, TypeError), match=r"X is an array of objects .*; give a frame"):
        VariationalAutoencoder(**SMALL).fit(objects)


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_two_columns_of_one_name_are_refused(kind: str) -> None:
    twice: Any = pd.DataFrame(ROWS, columns=["a", "a", "b"])
    if kind == "pyarrow":
        twice = pa.Table.from_arrays([pa.array(x) for x in ROWS.T], names=["a", "a", "b"])
    with pytest.raises(UserError, match=r"^X has 2 columns called 'a'; rename all but one, or drop them$"):
        VariationalAutoencoder(**SMALL).fit(twice)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_fit_takes_gradients_also_where_they_are_off(off: Any) -> None:
    expected = VariationalAutoencoder(2, **SMALL).fit(ROWS).transform(ROWS)
    with off():
        found = VariationalAutoencoder(2, **SMALL).fit(ROWS).transform(ROWS)
    assert np.array_equal(found, expected)


def test_widths_may_be_an_array() -> None:
    vae = VariationalAutoencoder(2, **SMALL | {"hidden": np.array([5, 4])}).fit(ROWS)
    assert vae.fitted_.settings.hidden == (5, 4)


@pytest.mark.parametrize("given", FRAMES)
@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_another_library_than_were_fitted(kind: str, given: str) -> None:
    imputer = VAEImputer(**IMPUTER).fit(frame_of(kind, HOLES))
    filled = imputer.transform(frame_of(given, HOLES))
    assert type(filled) is type(frame_of(given, HOLES))
    assert numbers_of(filled) == pytest.approx(numbers_of(imputer.transform(frame_of(kind, HOLES))))


@pytest.mark.filterwarnings("ignore:X. column '(five|word)' is left out")
def test_all_containers_agree_on_a_column_that_was_constant() -> None:
    gone = np.arange(len(HOLES)) == 3
    five, word = np.where(gone, np.nan, 5.0), np.where(gone, None, "word")
    expected = VAEImputer(**IMPUTER).fit_transform(np.column_stack([HOLES, five]))
    assert (expected[:, 3] == 5).all()
    for kind in FRAMES:
        filled = VAEImputer(**IMPUTER).fit_transform(frame_of(kind, HOLES, five=five, word=word))
        cells = [filled[name][3] for name in ("five", "word")]
        assert [cell.as_py() if kind == "pyarrow" else cell for cell in cells] == [5.0, "word"], kind
        assert numbers_of(filled) == pytest.approx(expected[:, :3], abs=1e-9)


def test_missing_cells_are_refused_where_the_encoder_needs_whole_rows() -> None:
    vae = VariationalAutoencoder(2, likelihood="normal", **SMALL).fit(ROWS)
    for work in (vae.transform, vae.score_samples, vae.score):
        with pytest.raises(
            UserError, match="likelihood='normal' needs complete rows, and X has missing cells;"
        ):
            work(HOLES)
    whole = VAEImputer(posterior="diagonal", options={"likelihood": "normal"}, **IMPUTER).fit(ROWS)
    with pytest.raises(UserError, match="needs complete rows"):
        whole.transform(HOLES)


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("data", "x.csv", "leave it out"),
        ("data_dir", "folder", "leave it out"),
        ("schema", "x.yaml", "give a frame whose columns have the types that you mean"),
        ("size", "32", "leave it out"),
        ("grey", True, "leave it out"),
        ("skip_bad", True, "leave it out"),
        ("skip-bad", True, "leave it out"),
        ("binarize", "dynamic", "give X of zeros and ones"),
        ("test_fraction", 0.3, "split X before fit"),
        ("device", "cuda", r"use jensen\.session\.start"),
        ("seed", 5, "give random_state"),
    ],
)
def test_options_without_a_meaning_here_are_refused(name: str, value: Any, mend: str) -> None:
    for kind in (VariationalAutoencoder, VAEImputer, VAEOutlierDetector):
        with pytest.raises(UserError, match=rf"^options has '{name}', which .*; .*{mend}$"):
            kind(**SMALL, options={name: value}).fit(ROWS)


def test_outliers_under_a_condition_are_of_log_px_alone() -> None:
    frame = pd.DataFrame(ROWS, columns=list("abc")).assign(group=["u", "v"] * 30)
    options = {"condition": ["group"]}
    with pytest.raises(UserError, match="options has 'condition', which needs power=1"):
        VAEOutlierDetector(**SMALL, options=options).fit(frame)
    detector = VAEOutlierDetector(power=1, **SMALL, options=options).fit(frame)
    assert np.isfinite(detector.score_samples(frame)).all()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.ones((30, 2)), "no column of X can be modelled"),
        (np.full((30, 2), np.inf), "infinity"),
        (pd.DataFrame({"q": [1.0] * 30}), "no column of X can be modelled .*'q'"),
    ],
    ids=["constant", "infinite", "frame"],
)
@pytest.mark.parametrize("kind", [VariationalAutoencoder, VAEImputer, VAEOutlierDetector])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(kind: Any, bad: Any, said: str) -> None:
    estimator = kind(**SMALL).fit(ROWS)
    work = getattr(estimator, "transform", None) or estimator.score_samples
    before = work(ROWS)
    with pytest.raises(ValueError, match=said):
        estimator.fit(bad)
    assert estimator.n_features_in_ == 3
    assert np.array_equal(work(ROWS), before)
    fresh = kind(**SMALL)
    with pytest.raises(ValueError, match=said):
        fresh.fit(bad)
    assert vars(fresh) == vars(kind(**SMALL))


COUNTS = np.random.default_rng(0).poisson(5, (60, 3)).astype(float)


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_one_likelihood_of_all_numbers_knows_no_grid(kind: str) -> None:
    """Whole numbers may be fitted as real ones: then halves and negative numbers are nothing odd."""
    columns = ["a", "b", "c"]
    fitted: Any = COUNTS if kind == "array" else pd.DataFrame(COUNTS.astype(int), columns=columns)
    new: Any = np.array([[-1.0, 2.5, 3.0]])
    new = new if kind == "array" else pd.DataFrame(new, columns=columns)
    small: dict[str, Any] = {"hidden": (4,), "epochs": 1, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(VAEOutlierDetector(**small).fit(fitted).score_samples(new)).all()
        vae = VariationalAutoencoder(likelihood="normal", **small).fit(fitted)
        assert np.isfinite(vae.score_samples(new)).all()
    with pytest.warns(UserWarning, match="between its steps of 1"):
        VariationalAutoencoder(**small).fit(fitted).score_samples(new.clip(0))


@pytest.mark.parametrize(
    ("likelihood", "bad", "said"),
    [
        (
            "poisson",
            -1.0,
            "X has 1 of 6 values that are no whole numbers of 0 or more (the first is -1.0 at row 1",
        ),
        ("poisson", 2.5, "that are no whole numbers of 0 or more"),
        ("categorical", 50.0, "that are no whole numbers from 0 to "),
    ],
)
def test_rows_that_the_likelihood_cannot_take_are_refused(likelihood: str, bad: float, said: str) -> None:
    vae = VariationalAutoencoder(likelihood=likelihood, hidden=(4,), epochs=1, random_state=0).fit(COUNTS)
    rows = COUNTS[:2].copy()
    rows[1, 0] = bad
    for use in (vae.transform, vae.score_samples, vae.partial_fit):
        with pytest.raises(UserError, match=re.escape(said)) as caught:
            use(rows)
        assert str(caught.value).endswith("give rows like those fitted, or fit on these")
    detector = VAEOutlierDetector(likelihood=likelihood, hidden=(4,), epochs=1, random_state=0).fit(COUNTS)
    with pytest.raises(UserError, match=re.escape(said)):
        detector.predict(rows)


@pytest.mark.parametrize(
    "estimator",
    [
        VAEOutlierDetector(options={"posterior": "point"}),
        VAEImputer(posterior="point", bound="reconstruction"),
    ],
)
def test_a_point_has_no_density_to_score_or_to_fill_by(estimator: Any) -> None:
    with pytest.raises(
        UserError, match=r"point', which has no density .* give another one, such as 'diagonal'"
    ):
        estimator.fit(COUNTS)


def test_codes_do_not_say_what_is_given() -> None:
    vae = VariationalAutoencoder(2, hidden=(4,), epochs=1, options={"condition": ["x0"]}).fit(COUNTS)
    with pytest.raises(UserError, match="fitted under the condition x0, of which a latent code does not say"):
        vae.inverse_transform(vae.transform(COUNTS))
