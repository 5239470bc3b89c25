"""Networks for images: any size and layout in, every raw number at its own place out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen import session
from jensen.config.settings import Settings
from jensen.networks import (
    Picture,
    conv_decoder,
    conv_encoder,
    default_widths,
    most_stages,
    resnet_decoder,
    resnet_encoder,
)
from jensen.networks.pictures import FromPlanes, ToPlanes

PAIRS = {"conv": (conv_encoder, conv_decoder), "resnet": (resnet_encoder, resnet_decoder)}
AXES = {"HW": None, "CHW": 0, "HWC": 2}
SHAPES = [
    ("HW", (8, 8)),
    ("HW", (28, 28)),
    ("HW", (8, 100)),
    ("CHW", (1, 9, 15)),
    ("CHW", (3, 45, 37)),
    ("CHW", (4, 33, 8)),
    ("HWC", (32, 32, 3)),
    ("HWC", (45, 37, 4)),
    ("HWC", (64, 31, 1)),
]
PICTURE = Picture((8, 8), None)
pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
each_shape = pytest.mark.parametrize(("layout", "shape"), SHAPES, ids=lambda v: str(v).replace(" ", ""))


def picture_of(layout: str, shape: tuple[int, ...]) -> Picture:
    return Picture(shape, AXES[layout])


def moved(x: Tensor, layout: str) -> Tensor:
    """Rows ``[N, H, W, C]`` in another layout."""
    return {"HW": x[..., 0], "CHW": x.permute(0, 3, 1, 2), "HWC": x}[layout]


@each_shape
@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("interleaved", [False, True])
def test_planes_and_back_is_the_identity(
    layout: str, shape: tuple[int, ...], each: int, interleaved: bool
) -> None:
    picture = picture_of(layout, shape)
    numbers = torch.arange(2 * math.prod(shape) * each).reshape(2, *shape, each)
    planes = ToPlanes(picture)(numbers if each > 1 else numbers[..., 0])
    assert planes.shape == (2, picture.channels * each, *picture.size)
    assert planes.is_contiguous(memory_format=torch.channels_last)
    expected = numbers if interleaved else numbers.movedim(-1, 1)
    assert torch.equal(FromPlanes(picture, interleaved)(planes), expected.flatten(1))


@each_shape
@pair
def test_shapes_and_gradients(pair: Any, layout: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    picture = picture_of(layout, shape)
    widths = [width // 4 for width in default_widths(picture.size)]
    encoder = pair[0](picture, widths, 5)
    decoder = pair[1](picture, widths[::-1], 5, 2 * math.prod(shape))
    for parameter in decoder.parameters():  # away from where residual branches are switched off
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    for parameter in encoder.parameters():
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    raw = decoder(encoder(torch.randn(3, *shape)))
    assert raw.shape == (3, 2 * math.prod(shape))
    raw.square().mean().backward()
    for name, parameter in [*encoder.named_parameters(), *decoder.named_parameters()]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, f"{name} gets no gradient"


@pair
def test_the_largest_image(pair: Any) -> None:
    picture = Picture((3, 256, 256), 0)
    widths = [4] * len(default_widths(picture.size))
    encoder, decoder = pair[0](picture, widths, 2), pair[1](picture, widths, 2, 3 * 256 * 256)
    assert decoder(encoder(torch.randn(1, 3, 256, 256))).shape == (1, 3 * 256 * 256)


@pytest.mark.parametrize("side", range(8, 257))
def test_default_widths_leave_a_side_of_four_to_seven(side: int) -> None:
    widths = default_widths((side, side + 3))
    assert 4 <= side >> len(widths) <= 7
    assert len(widths) <= most_stages((side, side + 3))


@pair
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_the_layout_does_not_change_what_is_computed(pair: Any, layout: str) -> None:
    """The same weights give the same numbers, moved, for [H, W, C] and [C, H, W]."""
    x, z = torch.randn(2, 12, 17, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    outputs = []
    for name in ("HWC", layout):
        torch.manual_seed(0)
        picture = picture_of(name, tuple(moved(x, name).shape[1:]))
        encoder, decoder = pair[0](picture, [4, 6], 5), pair[1](picture, [6, 4], 4, 12 * 17 * 3)
        images = decoder.double()(z).reshape(2, *picture.event_shape)
        outputs.append((encoder.double()(moved(x, name)), images))
    torch.testing.assert_close(outputs[1][0], outputs[0][0])
    torch.testing.assert_close(outputs[1][1], moved(outputs[0][1], layout))


@pair
@pytest.mark.parametrize(("layout", "shape"), [("CHW", (3, 45, 37)), ("HWC", (45, 37, 3)), ("HW", (45, 37))])
def test_an_impulse_stays_in_its_place(pair: Any, layout: str, shape: tuple[int, ...]) -> None:
    """One plane's entry (a, b), two doublings before the image, moves the pixels about (4a, 4b) alone."""
    torch.manual_seed(0)
    picture = picture_of(layout, shape)
    decoder = pair[1](picture, [6, 5], 4, math.prod(shape), "relu").double()
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.uniform_(module.weight, 0.1, 1.0)  # nothing cancels
    start = next(i for i, layer in enumerate(decoder) if type(layer).__name__ == "_Unflatten")
    base = torch.ones(1, 6, 11, 9, dtype=torch.float64)
    touched = base.clone()
    touched[0, 2, 5, 4] += 1
    change = (decoder[start + 1 :](touched) - decoder[start + 1 :](base)).reshape(shape)
    channels = picture.channel_axis
    strength = change.abs() if channels is None else change.abs().sum(channels)
    places = strength.nonzero()
    # A doubling takes the entries l..h to 2l - 1..2h + 2; a residual block adds two on either side.
    block = 2 if pair[1] is resnet_decoder else 0
    for axis, place in enumerate((5, 4)):
        low, high = place - block, place + block
        low, high = 2 * low - 1 - block, 2 * high + 2 + block
        assert places[:, axis].min().item() == 2 * low - 1
        assert places[:, axis].max().item() == 2 * high + 2


def test_a_shift_of_the_image_is_a_shift_of_the_planes() -> None:
    """Two stages of stride 2: four pixels to the right are one entry of the planes to the right."""
    torch.manual_seed(0)
    encoder = conv_encoder(Picture((32, 32), None), [4, 6], 3).double()
    flatten = next(i for i, layer in enumerate(encoder) if isinstance(layer, nn.Flatten))
    image = torch.zeros(1, 32, 32, dtype=torch.float64)
    image[0, 12:18, 10:16] = torch.rand(6, 6, dtype=torch.float64)
    planes, shifted = (encoder[:flatten](x) for x in (image, image.roll(4, 2)))
    torch.testing.assert_close(shifted, planes.roll(1, 3))


@pair
def test_networks_start_near_their_biases(pair: Any) -> None:
    """What they say before they have learned anything hardly depends on the image, or on the latents."""
    torch.manual_seed(0)
    encoder = pair[0](Picture((32, 32, 3), 2), [32, 64, 128], 16)
    decoder = pair[1](Picture((32, 32, 3), 2), [128, 64, 32], 8, 3072)
    with torch.no_grad():
        assert encoder(torch.randn(64, 32, 32, 3)).std() < 0.2
        assert decoder(torch.randn(64, 8)).std() < 0.2


def smooth_images() -> np.ndarray:
    """256 colour images like pieces of photographs: bright or dark all over, with a slope of light."""
    rng = np.random.default_rng(0)
    tone = np.where(rng.random((256, 1, 1, 1)) < 0.5, 220.0, 40.0) + rng.normal(0, 25, (256, 1, 1, 3))
    slope = rng.normal(0, 25, (256, 1, 1, 1)) * np.linspace(-1, 1, 32)[:, None, None]
    return np.clip(tone + slope + rng.normal(0, 3, (256, 32, 32, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", [0, 8, 9])
def test_the_first_steps_take_no_posterior_far_from_the_prior(seed: int, tmp_path: Path) -> None:
    """Two epochs of two steps; with encoders of full scale, one batch had -280,000 to -16 million nats."""
    np.save(tmp_path / "x.npy", smooth_images())
    settings = Settings(data=str(tmp_path / "x.npy"), network="conv", epochs=2, seed=seed, compile="off")
    history = session.start(settings, tmp_path / "run").history()
    assert min(min(line["train_bound"], line["validation_bound"]) for line in history) > -20_000


@pytest.mark.parametrize("widths", [[], [4, 4, 4]])
def test_stages_that_an_image_does_not_allow(widths: list[int]) -> None:
    with pytest.raises(ValueError, match="an image of 9x8 can be halved 2 times: give 1 to 2"):
        conv_encoder(Picture((8, 9), None), widths, 2)


@pair
def test_an_activation_that_there_is_not(pair: Any) -> None:
    for build in (lambda: pair[0](PICTURE, [4], 2, "swish"), lambda: pair[1](PICTURE, [4], 2, 64, "swish")):
        with pytest.raises(ValueError, match=r"activation is 'swish'; give one of tanh, .*silu"):
            build()


def test_raw_numbers_that_do_not_come_out_even() -> None:
    with pytest.raises(ValueError, match="65 raw outputs"):
        conv_decoder(PICTURE, [4], 2, 65)
