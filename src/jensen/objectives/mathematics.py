"""The lecture's formulas for the Gaussian pair, as they are written on the blackboard."""

import math

import torch
from torch import Tensor, nn

from jensen.distributions.recording import is_recorded
from jensen.mode import learning
from jensen.trace import Model


def _a(u: Tensor) -> Tensor:
    """A(u) = sum_i (u_i - log u_i), ``[..., M] -> [...]``."""
    return (u - u.log()).sum(-1)


def _positive(sigma: Tensor) -> bool:
    """Whether all entries are above 0, as far as one can look at them without waiting for a device."""
    if sigma.device.type != "cpu" or is_recorded():
        return True
    try:
        return bool((sigma > 0).all())
    except RuntimeError:  # inside of torch.func.vmap
        return True


def _check_posterior(eta: Tensor, sigma: Tensor) -> None:
    """Refuse what broadcasting would turn into a wrong number: the sums run over the M entries of each."""
    if not eta.dim() or eta.shape[-1:] != sigma.shape[-1:]:
        raise ValueError(
            f"eta has shape {tuple(eta.shape)} and sigma {tuple(sigma.shape)}; both must end in the same "
            "[M]: for one sigma in all dimensions give sigma.expand(eta.shape)"
        )
    if not _positive(sigma):
        raise ValueError(
            f"sigma has an entry of {sigma.min().item():g}; a standard deviation is above 0: give exp(raw), "
            "if the network says log sigma"
        )


def gaussian_kl(eta: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(eta, diag sigma^2) || N(0, I)) = A(sigma^2)/2 + |eta|^2/2 - M/2 (Kingma & Welling 2014, B).

    Args:
        eta: posterior means, ``[..., M]``.
        sigma: posterior standard deviations, ``[..., M]``.

    Returns:
        The divergence, ``[...]``, nats.

    Raises:
        ValueError: eta and sigma do not end in the same ``[M]``, or some sigma is not above 0 (looked at on
            the CPU only: a GPU would have to be waited for).
    """
    _check_posterior(eta, sigma)
    return (_a(sigma.square()) + eta.square().sum(-1) - eta.shape[-1]) / 2


def risk(x: Tensor, means: Tensor, eta: Tensor, sigma: Tensor) -> Tensor:
    """R = mean_k |x - G(z_k)|^2 + A(sigma^2) + |eta|^2, what a unit-variance Gaussian VAE minimises.

    It is the ELBO in other units: ``R = -2 ELBO - D log(2 pi) + M``, with the same samples z_k.

    Args:
        x: data, ``[B, D]`` (or one datum, ``[D]``, and all the others without B).
        means: decoder means G(z_k), ``[K, B, D]``.
        eta: posterior means, ``[B, M]``.
        sigma: posterior standard deviations, ``[B, M]``.

    Returns:
        The risk of each datum, ``[B]``; smaller is better.

    Raises:
        ValueError: the shapes are others, or some sigma is not above 0, as in `gaussian_kl`.
    """
    if not x.dim() or means.dim() != x.dim() + 1 or means.shape[1:] != x.shape:
        raise ValueError(
            f"means has shape {tuple(means.shape)} for x of shape {tuple(x.shape)}; it must be that of x "
            "with the K samples in front, [K, B, D]: for one sample give means[None], and flatten images"
        )
    _check_posterior(eta, sigma)
    if eta.shape[:-1] != x.shape[:-1] or sigma.shape != eta.shape:
        raise ValueError(
            f"eta has shape {tuple(eta.shape)} and sigma {tuple(sigma.shape)} for x of shape "
            f"{tuple(x.shape)}; each datum has its own, [B, M]: use eta.expand(B, M), if all share one"
        )
    return (x - means).square().sum(-1).mean(0) + _a(sigma.square()) + eta.square().sum(-1)


def elbo_from_risk(value: Tensor, num_dimensions: int, num_latents: int) -> Tensor:
    """The ELBO, nats, from the risk: ELBO = -(R + D log(2 pi) - M) / 2."""
    return -(value + num_dimensions * math.log(2 * math.pi) - num_latents) / 2


@learning
def decoder_gradient(
    model: Model, decoder: nn.Module, x: Tensor, num_samples: int = 1, *, context: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Compute_Grad_Dec: the gradient of the ELBO with respect to the decoder, averaged over latent samples.

    ``grad_theta mean_j ELBO_j ~ mean_j mean_k grad_theta log p_theta(x_j | z_jk)``, ``z_jk ~ q(z | x_j)``

    The distribution of z does not depend on theta, so the gradient goes inside the expectation and plain
    backpropagation is enough (Kingma & Welling 2014, section 2.2).

    Args:
        model: anything with ``trace`` and ``log_joint``.
        decoder: the part of it whose parameters theta are.
        x: data, ``[B, *event]``.
        num_samples: K.
        context: for conditional models, ``[B, ...]``.

    Returns:
        The gradient of each parameter of ``decoder`` that requires one (a frozen one has none), in their
        order; nats per datum. Zero for a parameter that is not used.

    Raises:
        ValueError: no parameter of ``decoder`` requires a gradient, or log p(x | z) uses none of them.
    """
    theta = tuple(p for p in decoder.parameters() if p.requires_grad)
    if not theta:
        name = type(decoder).__name__
        raise ValueError(f"no parameter of {name} requires a gradient; unfreeze some with requires_grad_()")
    with torch.no_grad():
        z = model.trace(x, num_samples, context=context).z
    value = model.log_joint(x, z, context=context).mean()
    gradient = torch.autograd.grad(value, theta, allow_unused=True) if value.requires_grad else ()
    if all(part is None for part in gradient):
        raise ValueError(
            f"log p(x | z) of this model uses no parameter of the {type(decoder).__name__} given as decoder; "
            "give the model's own, such as model.decoder"
        )
    used = zip(gradient, theta, strict=True)
    return tuple(torch.zeros_like(p) if part is None else part for part, p in used)
