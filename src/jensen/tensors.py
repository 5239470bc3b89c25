"""Tensors in a file: safetensors with a digest, so that a truncated or altered file is recognised."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from jensen.errors import UserError
from jensen.files import atomic

if TYPE_CHECKING:
    from torch import Tensor


def _digest(tensors: "dict[str, Tensor]", metadata: dict[str, str]) -> str:
    """SHA-256 over names, types, shapes, bytes and metadata."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.numpy().tobytes())
    for key in sorted(metadata):
        total.update(f"{key}={metadata[key]}".encode())
    return total.hexdigest()


def save_tensors(path: Path, tensors: "dict[str, Tensor]", metadata: dict[str, str]) -> None:
    """Write tensors and metadata as one safetensors file, atomically, with a digest of both.

    Equal contents give equal files. (That is why the metadata are one entry: safetensors writes several
    in no fixed order.)
    """
    from safetensors.torch import save

    on_cpu = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with atomic(path) as temporary:
        entry = json.dumps({**metadata, "sha256": _digest(on_cpu, metadata)})
        temporary.write_bytes(save(on_cpu, {"jensen": entry}))


def load_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Read what `save_tensors` wrote.

    Raises:
        UserError: the file is missing, truncated, altered or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} is missing: the run is incomplete; restore the file or train again")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = json.loads((file.metadata() or {}).get("jensen", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); restore it or train again") from None
    recorded = metadata.pop("sha256", None)
    if recorded != _digest(tensors, metadata):
        raise UserError(f"{path} was altered since jensen wrote it; restore it or train again")
    return tensors, metadata
