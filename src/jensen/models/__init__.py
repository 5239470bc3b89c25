"""Models: what can trace data (see `jensen.trace`) and sample new data."""

from jensen.models import local
from jensen.models.conditional import ConditionalVAE, PairEncoder, RowDecoder, RowEncoder
from jensen.models.vae import VAE

__all__ = ["VAE", "ConditionalVAE", "PairEncoder", "RowDecoder", "RowEncoder", "local"]
