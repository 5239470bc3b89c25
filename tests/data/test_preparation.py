import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from jensen.data import (
    Dataset,
    Preparation,
    binarize_static,
    derive_seed,
    evaluation_blocks,
    fit_preparation,
    generator,
    load,
    match_preparation,
)
from jensen.data.stored import Stored
from jensen.errors import UserError


@pytest.fixture
def dataset_of(tmp_path: Path):
    def make(x: np.ndarray) -> Dataset:
        np.save(tmp_path / "x.npy", x)
        return load(str(tmp_path / "x.npy"))

    return make


@pytest.fixture
def digits() -> Dataset:
    return load("digits")


@pytest.fixture
def grey(dataset_of) -> Dataset:
    return dataset_of(np.random.default_rng(0).integers(0, 256, size=(600, 4, 3)).astype(np.uint8))


def refused(dataset: Dataset, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        fit_preparation(dataset, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_scaling_uses_the_training_split_alone(dataset_of) -> None:
    rng = np.random.default_rng(1)
    flat = dataset_of(rng.normal([5.0, -1e6, 0.0], [2.0, 1e3, 1e-9], size=(500, 3)))
    image = dataset_of(rng.normal(3, 2, size=(50, 2, 2)))
    train = flat.rows("train")
    per_dimension = fit_preparation(flat, support="real")
    assert torch.allclose(per_dimension.shift, train.mean(0))
    assert torch.allclose(per_dimension.scale, train.std(0, correction=0))
    standard = fit_preparation(image, support="real")
    assert standard.shift.shape == ()
    prepared = standard(image.rows("train"), dtype=torch.float64)
    assert abs(float(prepared.mean())) < 1e-12
    assert abs(float(prepared.std(correction=0)) - 1) < 1e-12
    none = fit_preparation(flat, support="real", scaling="none")
    assert torch.equal(none(flat.x, dtype=torch.float64), flat.x)


def test_statistics_in_chunks_are_those_of_the_whole(grey: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_preparation(grey, support="real", scaling="per-dimension")
    monkeypatch.setattr("jensen.data.fitting.CHUNK", 40)
    chunked = fit_preparation(grey, support="real", scaling="per-dimension")
    assert torch.allclose(whole.shift, chunked.shift, rtol=1e-14)
    assert torch.allclose(whole.scale, chunked.scale, rtol=1e-14)


@pytest.mark.parametrize("value", [0.1, 1e200, 0.0])
def test_constants_get_scale_one(dataset_of, value: float) -> None:
    x = np.full((30, 3), value)
    assert fit_preparation(dataset_of(x), support="real").scale.tolist() == [1, 1, 1]
    x[:, 1] = np.arange(30)
    fitted = fit_preparation(dataset_of(x), support="real")
    assert fitted.scale[0] == fitted.scale[2] == 1
    assert fitted.shift[0] == value
    image = fit_preparation(dataset_of(np.full((30, 2, 2), value)), support="real")
    assert float(image.scale) == 1


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_huge_and_tiny_values(dataset_of, size: float) -> None:
    dataset = dataset_of(size * np.random.default_rng(0).normal(size=(100, 2)))
    prepared = fit_preparation(dataset, support="real")(dataset.rows("train"))
    assert torch.allclose(prepared.std(0, correction=0), torch.ones(2))


@pytest.mark.parametrize("scaling", ["none", "standard", "per-dimension"])
def test_log_det_is_that_of_the_jacobian(dataset_of, scaling: str) -> None:
    dataset = dataset_of(np.random.default_rng(2).normal(size=(40, 2, 2)) * [[0.5, 3], [7, 0.1]])
    preparation = fit_preparation(dataset, support="real", scaling=scaling)
    x = dataset.x[0]
    jacobian = torch.autograd.functional.jacobian(lambda row: preparation(row, dtype=torch.float64), x)
    log_det = torch.linalg.slogdet(jacobian.reshape(4, 4)).logabsdet
    assert preparation.log_det(dataset.event_shape) == pytest.approx(float(log_det), abs=1e-12)


def test_density_of_the_data_as_given(dataset_of) -> None:
    dataset = dataset_of(np.random.default_rng(3).normal([4, -2], [3, 0.2], size=(50, 2)))
    preparation = fit_preparation(dataset, support="real")
    prepared = Normal(0.0, 1.0).log_prob(preparation(dataset.x, dtype=torch.float64)).sum(-1)
    given = Normal(preparation.shift, preparation.scale).log_prob(dataset.x).sum(-1)
    assert torch.allclose(prepared + preparation.log_det((2,)), given)


@pytest.mark.parametrize("scaling", ["none", "standard", "per-dimension"])
def test_dequantized_data_come_back_exactly(grey: Dataset, scaling: str) -> None:
    preparation = fit_preparation(grey, support="real", scaling=scaling)
    assert preparation.dequantize
    for number in range(20):
        prepared = preparation(grey.x, generator(number))
        assert prepared.dtype == torch.float32
        back = preparation.invert(prepared)
        assert back.dtype == torch.uint8
        assert torch.equal(back, grey.x)
    far = torch.full((1, 4, 3), 1e6)
    assert bool((preparation.invert(far) == 255).all())
    assert bool((preparation.invert(-far) == 0).all())


def test_dequantized_data_are_standardised_with_their_noise(grey: Dataset) -> None:
    preparation = fit_preparation(grey, support="real")
    rows = grey.rows("train").repeat(50, 1, 1)
    prepared = preparation(rows, generator(0), torch.float64)
    assert abs(float(prepared.mean())) < 1e-3
    assert abs(float(prepared.std()) - 1) < 1e-3
    mean = preparation.invert(prepared.reshape(50, -1, 4, 3).mean(0), mean=True)
    assert torch.allclose(mean.double(), grey.rows("train").double(), atol=0.25)


def test_who_is_dequantized(digits: Dataset, grey: Dataset, dataset_of) -> None:
    assert fit_preparation(grey, support="real").dequantize
    assert fit_preparation(grey, support="unit").dequantize
    assert not fit_preparation(grey, support="grid").dequantize
    flat = dataset_of(np.arange(60).reshape(20, 3).astype(np.int16))
    ones = dataset_of((np.arange(60).reshape(20, 3) % 2).astype(np.uint8))
    for other in (digits, flat, ones):
        assert not fit_preparation(other, support="real").dequantize


@pytest.mark.parametrize(
    ("stored", "back"),
    [("float64", "float64"), ("float32", "float32"), ("float16", "float16"), ("int64", "float32")],
)
def test_inverse_in_the_stored_type(dataset_of, stored: str, back: str) -> None:
    x = np.random.default_rng(4).normal(50, 20, size=(30, 3)).astype(stored)
    dataset = dataset_of(x)
    preparation = fit_preparation(dataset, support="real")
    inverted = preparation.invert(preparation(dataset.x))
    assert inverted.dtype == getattr(torch, back)
    assert torch.allclose(inverted.double(), dataset.x.double(), rtol=1e-3 if stored == "float16" else 1e-5)


def test_default_dtype_is_respected(digits: Dataset) -> None:
    preparation = fit_preparation(digits, support="real")
    assert preparation(digits.x[:2]).dtype == torch.float32
    assert preparation(digits.x[:2], dtype=torch.bfloat16).dtype == torch.bfloat16


def test_dynamic_binarization(digits: Dataset) -> None:
    preparation = fit_preparation(digits, support="binary", binarize="dynamic")
    assert preparation.log_det(digits.event_shape) == 0
    row = digits.x[:1].expand(20_000, 8, 8)
    draws = preparation(row, generator(0))
    assert bool(((draws == 0) | (draws == 1)).all())
    assert torch.allclose(draws.mean(0), digits.x[0] / 16, atol=5 * 0.5 / 20_000**0.5)
    assert torch.equal(draws.mean(0)[digits.x[0] == 0], torch.zeros(int((digits.x[0] == 0).sum())))
    assert torch.equal(draws, preparation(row, generator(0)))
    back = preparation.invert(draws[:3])
    assert back.dtype == torch.uint8
    assert torch.equal(back.float(), draws[:3])
    assert torch.equal(preparation.invert(torch.tensor([0.25]), mean=True), torch.tensor([0.25]))


def test_static_binarization(digits: Dataset) -> None:
    static, again = binarize_static(digits, 7), binarize_static(digits, 7)
    assert torch.equal(static.x, again.x)
    assert static.digest == again.digest != digits.digest
    assert not torch.equal(static.x, binarize_static(digits, 8).x)
    assert static.is_binary
    assert static.value_range == (0, 1)
    assert abs(float(static.x.double().mean()) - float(digits.x.double().mean()) / 16) < 5e-3
    preparation = fit_preparation(static, support="binary", binarize="static")
    assert torch.equal(preparation(static.x), static.x.float())
    assert preparation.shown_range == (0, 1)


def test_other_rows_meet_a_preparation(digits: Dataset, dataset_of) -> None:
    static = binarize_static(digits, 7)
    preparation = fit_preparation(static, support="binary", binarize="static")
    stored = dataset_of(digits.x.numpy())  # as a file, its range is 0..255: that of the digits must win
    assert stored.value_range == (0, 255)
    assert torch.equal(match_preparation(stored, preparation, 7).x, static.x)
    assert match_preparation(static, preparation, 8) is static
    dynamic = fit_preparation(digits, support="binary", binarize="dynamic")
    assert match_preparation(stored, dynamic, 7) is stored
    with pytest.raises(UserError, match="outside"):
        match_preparation(dataset_of(np.full((9, 8, 8), 17.0)), dynamic, 7)
    continuous = fit_preparation(digits, support="real")
    assert match_preparation(static, continuous, 7) is static
    assert continuous.shown_range == (0, 16)


@pytest.mark.parametrize("on_disk", [False, True])
def test_zeros_and_ones_are_black_and_white_to_dynamic_binarization(
    digits: Dataset, on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such are a run's own samples, whatever its grey values: they were taken as nearly black."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dynamic = fit_preparation(digits, support="binary", binarize="dynamic")
    samples = binarize_static(digits, 7)
    drawn = samples.x[:]
    if on_disk:
        np.save(tmp_path / "x.npy", drawn.numpy())
        samples = replace(samples, x=Stored(tmp_path / "x.npy"))
    matched = match_preparation(samples, dynamic)
    assert isinstance(matched.x, Stored) == on_disk
    assert matched.x.dtype == digits.x.dtype
    assert torch.equal(dynamic(matched.x[:]), drawn.float())


@pytest.mark.parametrize(
    ("x", "support", "shown"),
    [
        (np.linspace(-1, 1, 160, dtype="float32").reshape(10, 4, 4), "real", (-1, 1)),
        (np.arange(0, 4000, 25, dtype="uint16").reshape(10, 4, 4), "real", (0, 3975)),
        (np.arange(160, dtype="int32").reshape(10, 4, 4), "count", (0, 159)),
        (np.linspace(0, 1, 160).reshape(10, 4, 4), "unit", (0, 1)),
        (np.full((10, 4, 4), 7.0), "real", (0, 1)),
        (np.full((10, 4, 4), 7, "uint8"), "real", (0, 255)),
        (np.linspace(-1, 1, 160).reshape(10, 16), "real", (0, 1)),
    ],
)
def test_black_and_white_of_pictures(
    dataset_of, x: np.ndarray, support: str, shown: tuple[float, float]
) -> None:
    dataset = replace(dataset_of(x), splits={"train": torch.arange(len(x))})
    preparation = fit_preparation(dataset, support=support)
    assert preparation.shown_range == shown
    record = json.loads(json.dumps(preparation.to_dict()))
    assert Preparation.from_dict(record).shown_range == shown
    for damaged in ([1, 0], [1], "x"):
        with pytest.raises(UserError):
            Preparation.from_dict({**record, "pictured": damaged})


def test_binary_domain(digits: Dataset, dataset_of) -> None:
    message = refused(digits, support="binary")
    outside = int((digits.x > 1).sum())
    assert f"{outside} of {digits.x.numel()}" in message
    assert "value is" not in message
    assert "the first is 5 at row 0, index (0, 2)" in message
    assert "--binarize dynamic" in message
    assert "--likelihood normal" in message
    floats = np.zeros((12, 3))
    floats[4, 1], floats[7, 0] = 1.5, -0.25
    for binarize in ("dynamic", "static"):
        message = refused(dataset_of(floats), support="binary", binarize=binarize)
        assert "2 of 36 values outside [0, 1]" in message
        assert "the first is 1.5 at row 4, column 1" in message
    with pytest.raises(UserError, match="outside"):
        binarize_static(dataset_of(floats), 0)
    ones = dataset_of((np.arange(24).reshape(8, 3) % 2).astype(np.float64))
    plain = fit_preparation(ones, support="binary")
    assert torch.equal(plain(ones.x), ones.x.float())
    assert plain.invert(plain(ones.x)).dtype == torch.uint8


def test_combinations_that_cannot_be(digits: Dataset) -> None:
    assert "bernoulli" in refused(digits, support="real", binarize="dynamic")
    assert "dynamic" in refused(digits, support="binary", binarize="always")
    assert "per-dimension" in refused(digits, support="real", scaling="whiten")


@pytest.mark.parametrize("scaling", ["standard", "per-dimension"])
def test_the_record_is_exact(digits: Dataset, scaling: str) -> None:
    preparation = fit_preparation(digits, support="real", scaling=scaling)
    record = json.loads(json.dumps(preparation.to_dict()))
    again = Preparation.from_dict(record)
    assert again.to_dict() == preparation.to_dict()
    assert torch.equal(again(digits.x), preparation(digits.x))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("scale", -1.0),
        ("binarize", "x"),
        ("stored_dtype", "ui8"),
        ("value_range", [1]),
        ("shift", [0.0, 1.0]),
    ],
)
def test_damaged_records(digits: Dataset, entry: str, value: object) -> None:
    record = fit_preparation(digits, support="real").to_dict()
    with pytest.raises(UserError):
        Preparation.from_dict({**record, entry: value})
    del record[entry]
    with pytest.raises(UserError, match=entry):
        Preparation.from_dict(record)


@pytest.mark.parametrize("binarize", ["dynamic", "none"])
def test_evaluation_blocks(digits: Dataset, binarize: str) -> None:
    binary = binarize == "dynamic"
    preparation = fit_preparation(digits, support="binary" if binary else "real", binarize=binarize)
    preparation = replace(preparation, dequantize=not binary)

    def rows(limit: int | None = None, seed: int = 0, split: str = "test") -> torch.Tensor:
        blocks = evaluation_blocks(digits, preparation, split, seed=seed, limit=limit, block=64)
        return torch.cat(list(blocks))

    everything = rows()
    assert everything.shape == (180, 8, 8)
    for limit in (1, 64, 65, 179, 180, 999):
        assert torch.equal(rows(limit), everything[:limit])
    assert not torch.equal(rows(seed=1), everything)
    assert not torch.equal(rows(split="validation"), everything)
    one = replace(digits, splits={"one": digits.splits["test"][100:101]})
    options = {"seed": 0, "block": 64, "alike": True}
    [alone] = evaluation_blocks(one, preparation, "one", **options)
    assert torch.equal(
        alone[0], torch.cat(list(evaluation_blocks(digits, preparation, "test", **options)))[100]
    )


@pytest.mark.parametrize("options", [{"limit": 0}, {"block": 0}, {"split": "dev"}])
def test_evaluation_blocks_refuse(digits: Dataset, options: dict[str, object]) -> None:
    preparation = fit_preparation(digits, support="real")
    with pytest.raises(UserError, match=str(next(iter(options)))):
        evaluation_blocks(digits, preparation, **{"split": "test", "seed": 0, **options})


def test_derived_seeds() -> None:
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    seeds = {derive_seed(seed, tag, index) for seed in range(5) for tag in ("a", "b") for index in range(5)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_discrete_supports_give_probabilities_and_whole_numbers(dataset_of) -> None:
    counts = dataset_of(np.arange(60).reshape(20, 3))
    grid = fit_preparation(counts, support="grid")
    x = grid(counts.x)
    assert abs(float(x[counts.splits["train"]].mean())) < 1e-6
    assert grid.log_det(counts.event_shape) == 0.0
    torch.testing.assert_close(grid.invert(x + 0.3 / grid.scale.float()), counts.x)
    for support in ("count", "categories"):
        preparation = fit_preparation(counts, support=support)
        assert preparation.log_det(counts.event_shape) == 0.0
        torch.testing.assert_close(preparation(counts.x), counts.x.float())
    for support in ("grid", "count", "categories"):
        message = refused(dataset_of(np.array([[1.0, 2.5], [3.0, -1.0], [0.0, 1.0]])), support=support)
        assert "2 of 6" in message
        assert "row 0, column 1" in message


def test_the_unit_support_is_the_grey_range(dataset_of) -> None:
    images = dataset_of(np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8))
    unit = fit_preparation(images, support="unit")
    x = unit(images.x)
    assert unit.dequantize
    assert 0 < x.min() < x.max() < 1
    torch.testing.assert_close(unit.invert(x), images.x)
    assert unit.log_det((4, 4)) == pytest.approx(-16 * np.log(256))
    assert "outside [0, 1]" in refused(dataset_of(np.array([[0.1], [0.2], [1.5]])), support="unit")


def test_a_count_drawn_may_be_larger_than_any_stored(dataset_of) -> None:
    counts = dataset_of(np.array([[3, 200], [1, 0], [2, 7]], dtype=np.uint8))
    preparation = fit_preparation(counts, support="count")
    assert preparation.invert(torch.tensor([[3.0, 200.0]])).dtype == torch.uint8
    assert preparation.invert(torch.tensor([[3.0, 300.0]])).tolist() == [[3, 300]]
