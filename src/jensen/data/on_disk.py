"""Arrays larger than memory: ``.npy`` files whose rows stay where they are."""

from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arrays import check_finite, check_layout, image_range
from jensen.data.cache import cached, identity_of
from jensen.data.dataset import digest_rows
from jensen.data.raw import Raw
from jensen.data.stored import LARGE, Stored
from jensen.errors import UserError

LISTED = 1 << 24
"""Rows up to which splits are lists of row numbers; of more, shares by a rule (see `jensen.data.shares`)."""


def read_large(path: Path) -> Raw | None:
    """The rows ``[N, *event]`` of a ``.npy`` file of `LARGE` bytes or more, on disk; None for other files.

    They are checked, and their digest taken, once for the same file. An array that is laid out by columns, or
    in the byte order of another machine, cannot stay on disk: None.

    Raises:
        UserError: what it holds is not rows of finite numbers.
    """
    if not path.is_file() or path.stat().st_size < LARGE:
        return None
    try:
        x = Stored(path)
    except UserError:
        return None

    def build(folder: Path) -> dict[str, str]:
        if x.dtype.is_floating_point:
            check_finite(x, str(path))
        return {"digest": digest_rows(x)}

    check_layout(x.shape, str(path))
    _, record = cached("arrays", identity_of([path]), build)
    few = {"train": np.arange(len(x))} if len(x) <= LISTED else {}
    return Raw(x, None, few, image_range(x.numpy_dtype, x.shape[1:]), digest=record["digest"])


def read_mapped(data: Any) -> Raw | None:
    """What `read_large` gives of an array that is all of a mapped file; None for any other."""
    if not isinstance(data, np.memmap) or data.filename is None:
        return None
    found = read_large(Path(data.filename))
    return found if found is not None and found.x.shape == data.shape else None
