"""Networks by name: which suits the shape of the data, and the two of a model."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from jensen import networks
from jensen.config.settings import Settings
from jensen.data import image_layout
from jensen.errors import UserError
from jensen.networks import Picture

WIDTHS = (200, 200)
"""Hidden layers of a fully connected network where none are given."""
SIDES = (8, 256)
"""Smallest and largest side of an image that convolutions take."""
SMALLER = f"make them smaller, image files by --size {SIDES[1]} or less"
"""What to do about images of larger sides."""
SMALL = 1024
"""An image of no more numbers (32 x 32 grey) is a fully connected network's by default: docs/choosing.md."""
CHANNEL_AXIS = {"HW": None, "CHW": 0, "HWC": 2}
CONVOLUTIONS: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    "conv": (networks.conv_encoder, networks.conv_decoder),
    "resnet": (networks.resnet_encoder, networks.resnet_decoder),
}


def choose_network(s: Settings, event_shape: Sequence[int], said: list[str]) -> Settings:
    """The settings with network and widths chosen by the shape of a datum, and a sentence where it matters.

    Raises:
        UserError: convolutions of what is no image, of too small or too large a one, or too many of them.
    """
    picture = picture_of(event_shape)
    fits = picture is not None and all(SIDES[0] <= side <= SIDES[1] for side in picture.size)
    beyond = picture is not None and min(picture.size) >= SIDES[0] and max(picture.size) > SIDES[1]
    if s.network == "auto":
        large = fits and math.prod(event_shape) > SMALL and s.likelihood != "columns"
        s = s.replace(network="conv" if large else "mlp")
        if large:
            said.append(f"images of {picture} bring --network conv; --network mlp is quicker and cruder")
        elif beyond:
            said.append(
                f"images of {picture} bring --network mlp, for conv takes sides up to {SIDES[1]}; "
                f"{math.prod(event_shape):,} inputs are hard to train: {SMALLER}"
            )
    if s.network not in CONVOLUTIONS:
        return s.replace(hidden=WIDTHS) if s.hidden is None and s.network != "linear" else s
    if picture is None or not fits:
        what = "images of [H, W], [C, H, W] or [H, W, C] with sides from 8 to 256 and 1, 3 or 4 channels"
        mend = f"{SMALLER}, or use --network mlp" if beyond else "use --network mlp"
        raise UserError(
            f"--network {s.network} is for {what}, not for data of the shape {[*event_shape]}; {mend}"
        )
    if s.hidden is None:
        return s.replace(hidden=networks.default_widths(picture.size))
    most = networks.most_stages(picture.size)
    if not 1 <= len(s.hidden) <= most:
        given = ",".join(map(str, s.hidden))
        raise UserError(
            f"--hidden {given!r} is {len(s.hidden)} stages of --network {s.network}, each of which halves "
            f"the image, and images of {picture} allow 1 to {most}; give that many widths"
        )
    return s


def picture_of(event_shape: Sequence[int]) -> Picture | None:
    """How an image of this shape lies in its tensor; None for what is no image."""
    layout = image_layout(tuple(event_shape))
    return None if layout is None else Picture(tuple(event_shape), CHANNEL_AXIS[layout])


def encoder_network(
    s: Settings, event_shape: Sequence[int], shape: Sequence[int], outputs: int, beside: int = 0
) -> nn.Module:
    """Data, given ``shape`` by an input transform (the event's, or one axis more) -> ``[N, outputs]``.

    With ``beside`` numbers of a context, it is a `jensen.networks.Beside` of the data and these.
    """
    if s.network not in CONVOLUTIONS:
        network = networks.mlp(math.prod(shape) + beside, _widths(s), outputs, s.activation)
        return networks.Beside(network, nn.Flatten()) if beside else network
    encoder, _ = CONVOLUTIONS[s.network]
    planes = math.prod(shape) // math.prod(event_shape)
    return encoder(picture_of(event_shape), s.hidden, outputs, s.activation, planes=planes, beside=beside)


def decoder_network(s: Settings, event_shape: Sequence[int], latents: int, likelihood: Any) -> nn.Module:
    """Latents ``[N, latents]`` -> the raw numbers of ``likelihood``, the encoder mirrored."""
    if s.network not in CONVOLUTIONS:
        return networks.mlp(latents, _widths(s)[::-1], likelihood.num_outputs, s.activation)
    _, decoder = CONVOLUTIONS[s.network]
    widths, interleaved = (s.hidden or ())[::-1], getattr(likelihood, "interleaved", False)
    return decoder(
        picture_of(event_shape),
        widths,
        latents,
        likelihood.num_outputs,
        s.activation,
        interleaved=interleaved,
    )


def _widths(s: Settings) -> tuple[int, ...]:
    """Widths of hidden layers; none of a linear network."""
    return () if s.network == "linear" else WIDTHS if s.hidden is None else s.hidden
