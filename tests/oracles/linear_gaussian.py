"""The linear-Gaussian VAE, where everything is known exactly: the oracle of the oracles.

p(z) = N(0, I_M), p(x | z) = N(W z + b, sigma^2 I_D): probabilistic PCA (Tipping & Bishop 1999). Then
p(x) = N(b, W W' + sigma^2 I), p(z | x) = N(S W'(x - b) / sigma^2, S), S = (I + W'W / sigma^2)^-1.
"""

import math
from dataclasses import dataclass

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from jensen.families import Conditional, FixedScale
from jensen.families import Normal as NormalFamily
from jensen.models import VAE
from jensen.networks import mlp
from jensen.priors import StandardNormal


@dataclass
class LinearGaussian:
    weight: Tensor
    """W, ``[D, M]``."""
    bias: Tensor
    """b, ``[D]``."""
    sigma: float

    def posterior_scale(self) -> Tensor:
        """The covariance S of p(z | x), ``[M, M]``; it does not depend on x."""
        precision = torch.eye(self.weight.shape[1], dtype=self.weight.dtype)
        precision = precision + self.weight.T @ self.weight / self.sigma**2
        return torch.linalg.inv(precision)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        S = self.posterior_scale()
        return MultivariateNormal((x - self.bias) @ self.weight @ S / self.sigma**2, S)

    def log_px(self, x: Tensor) -> Tensor:
        D = len(self.bias)
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(D, dtype=self.weight.dtype)
        return MultivariateNormal(self.bias, covariance).log_prob(x)

    def vae(self, encoder: nn.Module) -> VAE:
        D, M = self.weight.shape
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.weight.dtype)  # sigma itself must not pass through float32
        try:
            decoder = mlp(M, [], D)
            family = NormalFamily([D], FixedScale(self.sigma))
            model = VAE(StandardNormal(M), encoder, Conditional(decoder, family))
        finally:
            torch.set_default_dtype(before)
        with torch.no_grad():
            decoder[1].weight.copy_(self.weight)
            decoder[1].bias.copy_(self.bias)
        return model


class ExactEncoder(nn.Module):
    """q(z | x) = p(z | x), or off it by ``shift`` and ``stretch``."""

    def __init__(self, truth: LinearGaussian, shift: float = 0.0, stretch: float = 1.0) -> None:
        super().__init__()
        self.truth, self.shift, self.stretch = truth, shift, stretch

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        exact = self.truth.posterior(x)
        return MultivariateNormal(exact.loc + self.shift, scale_tril=exact.scale_tril * self.stretch)


class DiagonalEncoder(nn.Module):
    """The posterior's mean with the marginal standard deviations: not exact when S is not diagonal."""

    def __init__(self, truth: LinearGaussian) -> None:
        super().__init__()
        self.truth = truth

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        exact = self.truth.posterior(x)
        return Independent(Normal(exact.loc, exact.stddev), 1)


def from_pca(x: Tensor, num_latents: int) -> tuple[LinearGaussian, PCA]:
    """The maximum-likelihood model of data ``[N, D]``, by scikit-learn's PCA (Tipping & Bishop 1999, 7)."""
    pca = PCA(num_latents, svd_solver="full").fit(x.numpy())
    noise = pca.noise_variance_
    scale = (torch.tensor(pca.explained_variance_) - noise).sqrt()
    weight = torch.tensor(pca.components_).T * scale
    return LinearGaussian(weight, torch.tensor(pca.mean_), math.sqrt(noise)), pca


def random_model(num_dimensions: int, num_latents: int, sigma: float = 0.5, seed: int = 0) -> LinearGaussian:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(num_dimensions, num_latents, generator=generator, dtype=torch.float64)
    bias = torch.randn(num_dimensions, generator=generator, dtype=torch.float64)
    return LinearGaussian(weight / math.sqrt(num_latents), bias, sigma)
