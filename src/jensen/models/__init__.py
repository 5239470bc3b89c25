"""Models: what can trace data (see `jensen.trace`) and sample new data."""

from jensen.models.conditional import ConditionalVAE
from jensen.models.vae import VAE

__all__ = ["VAE", "ConditionalVAE"]
