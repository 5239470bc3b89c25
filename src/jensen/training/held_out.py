"""The rows held out, where the model is: on a GPU prepared once, and taken many at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from jensen.chunks import MOST_DECODED

KEPT = 1 << 26
"""Numbers of held-out rows, prepared, that a GPU keeps: 256 MiB in float32. If there are more, they are
prepared every time."""

Blocks = Callable[[], Iterator[Tensor]]
"""The held-out rows, prepared, block after block, the same at every call."""


def near(blocks: Blocks, device: torch.device, numbers: int) -> Blocks:
    """The blocks on a GPU: few and large ones that stay there, where they are not too many.

    To prepare them anew and to launch the small ones costs more time than an epoch of training does.

    Args:
        blocks: as they come from the data; on a processor they are left as they are.
        device: where the model is.
        numbers: how many are made of one row, at the least: K times the decoder's.
    """
    if device.type != "cuda":
        return blocks
    kept: list[Tensor] | None = None

    def there() -> Iterator[Tensor]:
        nonlocal kept
        if kept is None:
            kept = _gathered(blocks(), device, numbers)
        return iter(kept) if kept else (x.to(device) for x in blocks())

    return there


def _gathered(blocks: Iterator[Tensor], device: torch.device, numbers: int) -> list[Tensor]:
    """All rows in blocks of as many as are judged at a time; none where they are too many."""
    parts, total = [], 0
    for x in blocks:
        parts.append(x.to(device))
        total += x.numel()
        if total > KEPT:
            return []
    if not parts:
        return []
    rows = max(len(parts[0]), MOST_DECODED // max(numbers, parts[0][0].numel()))
    return list(torch.cat(parts).split(rows))
