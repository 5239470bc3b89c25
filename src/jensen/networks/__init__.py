"""Networks: shape in, shape out, no probability. Any `nn.Module` of your own fits in beside them."""

from jensen.networks.inputs import Log1p, NormalizedLog1p, OneHot
from jensen.networks.mlp import ACTIVATIONS, mlp

__all__ = ["ACTIVATIONS", "Log1p", "NormalizedLog1p", "OneHot", "mlp"]
