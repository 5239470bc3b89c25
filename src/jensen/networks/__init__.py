"""Networks: shape in, shape out, no probability. Any `nn.Module` of your own fits in beside them."""

from jensen.networks.activations import ACTIVATIONS
from jensen.networks.conv import conv_decoder, conv_encoder, default_widths, most_stages
from jensen.networks.inputs import Beside, Log1p, NormalizedLog1p, OneHot
from jensen.networks.linear_part import CellExperts, Skip
from jensen.networks.mlp import mlp
from jensen.networks.pictures import Picture
from jensen.networks.resnet import resnet_decoder, resnet_encoder

__all__ = [
    "ACTIVATIONS",
    "Beside",
    "CellExperts",
    "Log1p",
    "NormalizedLog1p",
    "OneHot",
    "Picture",
    "Skip",
    "conv_decoder",
    "conv_encoder",
    "default_widths",
    "mlp",
    "most_stages",
    "resnet_decoder",
    "resnet_encoder",
]
