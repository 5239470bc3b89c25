"""Images between the tensor that they are stored in and the planes that convolutions work on."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Picture:
    """How one image lies in its tensor.

    Args:
        event_shape: ``[H, W]``, ``[C, H, W]`` or ``[H, W, C]``.
        channel_axis: where C stands in it: None, 0 or 2.
    """

    event_shape: tuple[int, ...]
    channel_axis: int | None

    @property
    def size(self) -> tuple[int, int]:
        """H and W."""
        height, width = (n for axis, n in enumerate(self.event_shape) if axis != self.channel_axis)
        return height, width

    @property
    def channels(self) -> int:
        """C; 1 where there is no such axis."""
        return 1 if self.channel_axis is None else self.event_shape[self.channel_axis]

    def __str__(self) -> str:
        """As one says it, width first, as ``--size`` takes it: ``32x48``, ``32x48 in 3 channels``."""
        height, width = self.size
        return f"{width}x{height}" + (f" in {self.channels} channels" if self.channels > 1 else "")

    def parameters_each(self, num_outputs: int) -> int:
        """P, how many of a family's ``num_outputs`` raw numbers each entry of the image has.

        Raises:
            ValueError: they do not come out even, as where some parameter is not an entry's own.
        """
        each, rest = divmod(num_outputs, math.prod(self.event_shape))
        if rest:
            raise ValueError(
                f"{num_outputs} raw outputs are not the same number for each entry of an image of {self}; "
                "use a fully connected network"
            )
        return each


class ToPlanes(nn.Module):
    """Images ``[N, *event]``, or P numbers an entry ``[N, *event, P]`` -> planes ``[N, C * P, H, W]``.

    The planes are channels-last in memory: the layout in which convolutions are quickest.
    """

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, x: Tensor) -> Tensor:
        axis = self.picture.channel_axis
        x = x.unsqueeze(3) if axis is None else x.movedim(axis + 1, 3)  # [N, H, W, C, ...]
        return x.flatten(3).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


class FromPlanes(nn.Module):
    """Planes ``[N, C * P, H, W]`` -> a family's raw numbers ``[N, P * D]``, in the order that it expects.

    Args:
        picture: how an image lies in its tensor.
        interleaved: whether the P numbers of an entry lie side by side; else all first numbers come first,
            then all second ones (see `jensen.families`).
    """

    def __init__(self, picture: Picture, interleaved: bool) -> None:
        super().__init__()
        self.picture = picture
        self.interleaved = interleaved

    def forward(self, planes: Tensor) -> Tensor:
        axis, channels = self.picture.channel_axis, self.picture.channels
        raw: Tensor = planes.permute(0, 2, 3, 1).unflatten(3, (channels, -1))  # [N, H, W, C, P]
        if axis is not None:
            raw = raw.movedim(3, axis + 1)
        return (raw if self.interleaved else raw.movedim(-1, 1)).flatten(1)
