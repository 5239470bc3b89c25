"""Which device a name stands for."""

import torch

from jensen.errors import UserError


def choose_device(name: str) -> str:
    """A device by name; `auto` takes a GPU where there is one.

    Raises:
        UserError: the device is unknown or not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise UserError(f"--device is {name!r}; it must be auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name} was asked for, but there is no CUDA device here; use --device cpu")
    if kind == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise UserError(f"--device {name} was asked for, but the last CUDA device here is cuda:{last}")
    return name
