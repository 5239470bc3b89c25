"""Networks by name: the choice by the data's shape, every likelihood's raw order, and models that train."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jensen import objectives
from jensen.config import Settings, build, names
from jensen.config.networks import choose_network, picture_of
from jensen.config.resolve import resolve
from jensen.data import Dataset, Preparation, fit_preparation, load
from jensen.errors import UserError
from jensen.networks.pictures import FromPlanes
from jensen.session import resume, start
from tests.training.test_resume import StoppedError, assert_equal, stop_after

FAST = {"batch_size": 32, "lr": 2e-3, "patience": 0, "device": "cpu"}
IMAGE_LIKELIHOODS = [name for name in names.LIKELIHOODS if name != "columns"]
SHAPES = [(8, 9), (3, 8, 9), (8, 9, 3)]
SMALL = {"hidden": (4, 6), "latent_dim": 2, "device": "cpu"}


def preparation(support: str) -> Preparation:
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    return Preparation("none", False, zero, one, (0.0, 4.0), torch.uint8, support)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", IMAGE_LIKELIHOODS)
@pytest.mark.parametrize("variance", ["shared", "network"])
def test_the_planes_of_a_pixel_are_the_parameters_of_that_pixel(
    name: str, variance: str, shape: tuple[int, ...]
) -> None:
    """Moving the planes of channel c at (i, j) moves log p of the entry (i, j, c), and of no other."""
    settings = Settings(likelihood=name, variance=variance, components=3)
    family = names.LIKELIHOODS[name](settings, shape, preparation(names.SUPPORT[name]))
    picture = picture_of(shape)
    assert picture is not None
    each = picture.parameters_each(family.num_outputs)
    order = FromPlanes(picture, getattr(family, "interleaved", False))
    torch.manual_seed(0)
    planes = 0.1 * torch.randn(1, picture.channels * each, *picture.size)
    x = torch.full((1, *shape), 0.5) if names.SUPPORT[name] == "unit" else torch.ones(1, *shape)
    channel, i, j = picture.channels - 1, 5, 7
    entry = {None: (i, j), 0: (channel, i, j), 2: (i, j, channel)}[picture.channel_axis]
    before = family(order(planes)).base_dist.log_prob(x)[0]
    for parameter in range(each):
        moved = planes.clone()
        moved[0, channel * each + parameter, i, j] += 1
        after = family(order(moved)).base_dist.log_prob(x)[0]
        changed = (before != after).nonzero()
        assert changed.tolist() == [list(entry)], f"parameter {parameter}"


@pytest.mark.parametrize("network", ["conv", "resnet"])
@pytest.mark.parametrize("variance", ["shared", "network"])
def test_the_first_parameter_is_the_location(network: str, variance: str) -> None:
    """A decoder whose last layer says 7 for each pixel's first parameter has the mean 7 everywhere."""
    settings = Settings(
        network=network,
        variance=variance,
        likelihood="normal",
        posterior="diagonal",
        prior="standard",
        hidden=(4,),
    )
    model = build.build_model(settings, (3, 8, 8), preparation("real"))
    last = model.decoder.network[-2]
    each = last.out_channels // 3
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([7.0, 0.5][:each]).repeat(3))
    p = model.decoder(torch.randn(2, 5, 8))
    assert torch.equal(p.mean, torch.full((2, 5, 3, 8, 8), 7.0))
    if each == 2:  # the second is log sigma^2
        torch.testing.assert_close(p.stddev, torch.full((2, 5, 3, 8, 8), math.exp(0.25)), rtol=1e-3, atol=0.0)


CHOICES: list[dict[str, Any]] = [
    {},
    {"posterior": "full"},
    {"posterior": "low-rank", "rank": 1},
    {"posterior": "flow"},
    {"posterior": "point"},
    {"posterior": "gumbel-softmax"},
    {"posterior": "categorical", "num_samples": 3},
    {"prior": "vamp"},
    {"prior": "flow"},
    {"inference": "two-tier", "inner_steps": 3},
    {"inference": "semi-amortized", "inner_steps": 3},
    {"bound": "iwae", "num_samples": 5, "estimator": "doubly-reparameterized"},
    *({"likelihood": name} for name in IMAGE_LIKELIHOODS),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draws = np.random.default_rng(0)
    np.save(folder / "grey.npy", draws.integers(0, 5, (60, 9, 11), dtype=np.uint8))
    np.save(folder / "unit.npy", draws.random((60, 9, 11)))
    np.save(folder / "binary.npy", draws.integers(0, 2, (60, 9, 11), dtype=np.uint8))
    return folder


def test_a_dense_decoder_of_zeros_and_ones_starts_at_their_rates() -> None:
    """Where no latent speaks, as at z = 0 in a network with tanh, the model has the rates of the data."""
    rates = torch.tensor([0.0, 0.1, 0.5, 0.9])
    rows = (torch.arange(1000)[:, None] < 1000 * rates).float()
    dataset = Dataset("x", rows, None, {"train": torch.arange(1000)}, (0.0, 1.0), "", True)
    settings, _ = resolve(Settings(data="x", hidden=(8,), activation="tanh", latent_dim=2), dataset)
    p = fit_preparation(dataset, support="binary")
    model = build.build_model(settings, (4,), p, rows)
    expected = (1000 * rates + 0.5) / 1001
    torch.testing.assert_close(model.decoder(torch.zeros(1, 2)).mean[0], expected)
    assert build.rows_needed(settings, 5000) == 1024
    assert not build.build_model(settings, (4,), p).decoder.network[-1].bias.any()  # weights come by a file


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
@pytest.mark.parametrize("likelihood", [*build.MARGINAL, "negative-binomial of two numbers an entry"])
def test_decoders_start_at_what_the_data_are_like(
    network: str, likelihood: str, shape: tuple[int, ...]
) -> None:
    """Without weights, as without latents: the means (or shares) of each entry, or of a channel's entries."""
    likelihood, _, more = likelihood.partition(" of ")
    picture = picture_of(shape)
    assert picture is not None
    axis = None if picture.channel_axis is None else picture.channel_axis + 1
    top = {"bernoulli": 2, "continuous-bernoulli": 200}.get(likelihood, 5)
    levels = torch.randint(top, (500, *shape), generator=torch.Generator().manual_seed(0))
    if axis is not None:  # one channel is darker
        levels.select(axis, 1).div_(3, rounding_mode="floor")
    rows = levels / 199 if likelihood == "continuous-bernoulli" else levels.float()
    dataset = Dataset("x", rows, None, {"train": torch.arange(500)}, (0.0, float(rows.max())), "", True)
    given = {"network": network, "likelihood": likelihood, "variance": "network" if more else "shared"}
    settings, _ = resolve(Settings(data="x", hidden=(4,), latent_dim=2, **given), dataset)  # type: ignore[arg-type]
    model = build.build_model(settings, shape, preparation(names.SUPPORT[likelihood]), rows)
    for name, parameter in model.decoder.network.named_parameters():
        if name.endswith("weight"):
            parameter.data.zero_()
    start = model.decoder(torch.zeros(1, 2))
    if likelihood == "categorical":
        found, seen = start.base_dist.probs, torch.nn.functional.one_hot(levels, 5).float()
    else:
        found, seen = start.mean[..., None], rows[..., None]
    axes = [0] if network == "mlp" else [i for i in range(1 + len(shape)) if i != axis]
    expected = seen.mean(axes, keepdim=True).expand_as(found)
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("largest", [3, 3000])
def test_an_encoder_of_counts_starts_near_the_prior(largest: int) -> None:
    """Of large ones its outputs are scaled down to 1, root mean square; those of small ones stay."""
    rows = torch.randint(largest, (400, 30, 30), generator=torch.Generator().manual_seed(0)).float()
    dataset = Dataset("x", rows, None, {"train": torch.arange(400)}, (0.0, float(largest)), "", True)
    settings, _ = resolve(Settings(data="x", network="mlp", likelihood="poisson", latent_dim=3), dataset)
    p = preparation("count")
    sizes = []
    for given in (rows, None):  # without rows, weights come by a file
        torch.manual_seed(0)
        model = build.build_model(settings, (30, 30), p, given)
        sizes.append(model.encoder.network(rows).square().mean().sqrt().item())
    assert sizes[0] == pytest.approx(min(1.0, sizes[1]), rel=1e-5)
    assert (sizes[1] > 2) == (largest == 3000)


@pytest.mark.parametrize("network", ["conv", "resnet"])
@pytest.mark.parametrize("choices", CHOICES, ids=lambda c: "-".join(map(str, c.values())) or "default")
def test_every_choice_has_a_finite_gradient(pictures: Path, network: str, choices: dict[str, Any]) -> None:
    kind = {"bernoulli": "binary", "continuous-bernoulli": "unit"}.get(choices.get("likelihood", ""), "grey")
    source = str(pictures / f"{kind}.npy")
    dataset = load(source)
    settings, _ = resolve(Settings(data=source, network=network, **SMALL | choices), dataset)
    p = fit_preparation(dataset, support=names.SUPPORT[settings.likelihood], scaling=settings.scaling)
    torch.manual_seed(0)
    rows = p(dataset.x)
    model = build.build_model(settings, dataset.event_shape, p, rows[:3])
    estimate = build.build_estimator(settings, build.build_memory(settings))
    values = estimate(build.build_bound(settings), model, rows, settings.num_samples)
    assert values.shape == (60,)
    assert torch.isfinite(values).all()
    values.sum().backward()
    gradients = {name: q.grad for name, q in model.named_parameters() if q.grad is not None}
    assert all(torch.isfinite(g).all() for g in gradients.values())
    assert any(name.startswith("decoder.network") for name in gradients)
    assert model.sample(2).shape == (2, 9, 11)


def test_training_on_digits_beats_a_mean_image(tmp_path: Path) -> None:
    """One normal about the mean image, in closed form, is what a model that ignores its latents can reach."""
    settings = Settings(data="digits", network="conv", hidden=(16,), epochs=5, **FAST)
    run = start(settings, tmp_path / "run")
    dataset = run.dataset()
    train, held = (
        torch.cat(list(run.blocks(dataset, split))).double().flatten(1) for split in ("train", "validation")
    )
    variance = (train - train.mean(0)).square().mean()
    logs = torch.distributions.Normal(train.mean(0), variance.sqrt()).log_prob(held).sum(1)
    trivial = logs.mean().item() + run.log_det
    best = max(line["validation_bound"] for line in run.history())
    assert best > trivial + 5, (best, trivial)


@pytest.mark.parametrize("network", ["conv", "resnet"])
def test_a_stopped_run_goes_on_bit_for_bit(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    settings = Settings(
        data=str(pictures / "grey.npy"), network=network, **SMALL, epochs=3, batch_size=16, patience=0
    )
    whole = start(settings, tmp_path / "whole")
    monkeypatch.setattr("jensen.saving.SAVE_SECONDS", 0.0)
    with pytest.raises(StoppedError):
        start(settings, tmp_path / "cut", on_epoch=stop_after(2))
    assert_equal(resume(tmp_path / "cut", {}), whole)


@pytest.mark.parametrize(
    ("shape", "given", "network", "hidden"),
    [
        ((64,), {}, "mlp", (200, 200)),
        ((8, 8), {}, "mlp", (200, 200)),
        ((28, 28), {}, "mlp", (200, 200)),
        ((32, 32), {}, "mlp", (200, 200)),
        ((28, 28), {"network": "conv"}, "conv", (32, 64)),
        ((32, 32, 3), {}, "conv", (32, 64, 128)),
        ((3, 64, 64), {}, "conv", (32, 64, 128, 256)),
        ((3, 64, 64), {"hidden": (8, 8)}, "conv", (8, 8)),
        ((3, 64, 64), {"network": "mlp"}, "mlp", (200, 200)),
        ((4, 300, 300), {}, "mlp", (200, 200)),
        ((300, 8, 3), {}, "mlp", (200, 200)),
        ((5, 64, 64), {}, "mlp", (200, 200)),
    ],
)
def test_the_network_follows_from_the_shape(
    shape: tuple[int, ...], given: dict[str, Any], network: str, hidden: tuple[int, ...]
) -> None:
    said: list[str] = []
    chosen = choose_network(Settings(**given), shape, said)
    assert (chosen.network, chosen.hidden) == (network, hidden)
    assert len(said) == ("network" not in given and (network == "conv" or max(shape) > 256))
    assert ("--size 256 or less" in "".join(said)) == (max(shape) > 256)


@pytest.mark.parametrize(
    ("shape", "given", "words"),
    [
        ((64,), {"network": "conv"}, r"not for data of the shape \[64\]; use --network mlp"),
        ((7, 28), {"network": "resnet"}, r"sides from 8 to 256 .* \[7, 28\]; use --network mlp"),
        ((300, 300), {"network": "conv"}, r"\[300, 300\]; .* --size 256 or less, or use --network mlp"),
        ((8, 9), {"network": "conv", "hidden": (8, 8, 8)}, "images of 9x8 allow 1 to 2"),
        ((8, 8), {"network": "conv", "hidden": ()}, "allow 1 to 2"),
    ],
)
def test_what_is_no_picture_is_refused(shape: tuple[int, ...], given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        choose_network(Settings(**given), shape, [])


def test_sizes_are_said_as_the_option_size_takes_them() -> None:
    said: list[str] = []
    choose_network(Settings(), (3, 64, 48), said)
    choose_network(Settings(), (300, 400), said)
    assert said[0].startswith("images of 48x64 in 3 channels bring --network conv")
    assert said[1].startswith("images of 400x300 bring --network mlp")


def test_the_bound_of_a_convolutional_model_is_below_its_iwae(pictures: Path) -> None:
    dataset = load(str(pictures / "grey.npy"))
    settings, _ = resolve(Settings(data="x", network="resnet", **SMALL), dataset)
    p = fit_preparation(dataset, support="real", scaling=settings.scaling)
    torch.manual_seed(0)
    model = build.build_model(settings, dataset.event_shape, p)
    x = p(dataset.x[:8])
    torch.manual_seed(1)
    trace = model.trace(x, 64)
    assert trace.log_px.shape == (64, 8)
    assert (objectives.iwae(trace) >= objectives.elbo_monte_carlo(trace)).all()
