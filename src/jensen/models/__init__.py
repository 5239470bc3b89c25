"""Models: what can trace data (see `jensen.trace`) and sample new data."""

import importlib
from typing import Any

from jensen.models.conditional import ConditionalVAE, PairEncoder, RowDecoder, RowEncoder
from jensen.models.vae import VAE

__all__ = ["VAE", "ConditionalVAE", "PairEncoder", "RowDecoder", "RowEncoder", "local"]


def __getattr__(name: str) -> Any:
    if name == "local":
        return importlib.import_module("jensen.models.local")
    raise AttributeError(f"module 'jensen.models' has no attribute {name!r}")
