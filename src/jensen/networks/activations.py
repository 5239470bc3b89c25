"""Activation functions by name."""

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


def activation_named(name: str) -> type[nn.Module]:
    """The module of an activation function, to be made once for each place in a network.

    Raises:
        ValueError: ``name`` is not one of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; give one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
