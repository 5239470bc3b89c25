"""Networks: shape in, shape out, no probability. Any `nn.Module` of your own fits in beside them."""

from jensen.networks.inputs import Beside, Log1p, OneHot
from jensen.networks.mlp import ACTIVATIONS, mlp

__all__ = ["ACTIVATIONS", "Beside", "Log1p", "OneHot", "mlp"]
