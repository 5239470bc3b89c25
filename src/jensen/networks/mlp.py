"""Fully connected networks."""

import itertools
from collections.abc import Sequence

from torch import nn

from jensen.networks.activations import activation_named


def mlp(inputs: int, hidden: Sequence[int], outputs: int, activation: str = "tanh") -> nn.Sequential:
    """A multilayer perceptron ``[N, ...] -> [N, outputs]``; with no hidden layers, an affine map.

    The input is flattened, so images need no reshaping. Weights start at Glorot & Bengio (2010)
    uniform values, which keep the signal's variance through tanh layers; biases start at zero.

    Raises:
        ValueError: ``activation`` is not one of `ACTIVATIONS`.
    """
    activate = activation_named(activation)
    widths = [inputs, *hidden, outputs]
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        if i > 0:
            layers.append(activate())
        linear = nn.Linear(before, after)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers.append(linear)
    return nn.Sequential(*layers)
