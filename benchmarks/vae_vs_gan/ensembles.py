"""The networks, and their training: ten seeds side by side as one ensemble of batched matrices."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import softplus

from jensen.distributions.delta import Delta
from jensen.families import Conditional, NetworkScale, Normal, SharedScale
from jensen.models.vae import VAE
from jensen.networks.mlp import mlp
from jensen.objectives import Bound, elbo, pathwise, reconstruction
from jensen.priors import StandardNormal

ACTIVATION = "leaky-relu"
GAN_BETAS = (0.5, 0.999)
"""Adam's for the GAN (Radford, Metz & Chintala 2016); the VAE and the autoencoder keep torch's defaults."""


@dataclass(frozen=True)
class Task:
    """One data set and what is trained on it."""

    name: str
    side: int
    latent_dim: int
    hidden: int
    steps: int
    train_rows: int
    reference_rows: int
    batch_size: int = 32
    seeds: int = 10
    classifier_steps: int = 1000
    iwae_rows: int = 500

    @property
    def size(self) -> int:
        """D, the number of pixels."""
        return self.side**2


def make_generator(task: Task, seed: int) -> nn.Module:
    """G: z -> pixels in (0, 1). The VAE's decoder, the GAN's generator; the same weights for one seed."""
    torch.manual_seed(seed)
    widths = [task.hidden, task.hidden]
    return nn.Sequential(mlp(task.latent_dim, widths, task.size, ACTIVATION), nn.Sigmoid())


class Standardise(nn.Module):
    """(x - mean) / sd, with the mean and sd of all training pixels."""

    mean: Tensor
    sd: Tensor

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", x.mean())
        self.register_buffer("sd", x.std())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.sd


def make_discriminator(task: Task, seed: int, x: Tensor) -> nn.Module:
    """Pixels -> the log-odds that the image is real; the encoder's shape, with one output.

    Standardised inputs and leaky ReLUs of slope 0.2, as usual for a GAN, and better for this one.
    """
    torch.manual_seed(1000 + seed)
    layers = mlp(task.size, [task.hidden, task.hidden], 1, ACTIVATION)
    leaky = (nn.LeakyReLU(0.2) if isinstance(layer, nn.LeakyReLU) else layer for layer in layers)
    return nn.Sequential(Standardise(x), *leaky)


def make_vae(task: Task, seed: int, sigma: float) -> VAE:
    """jensen's VAE: diagonal normal posterior, x | z ~ N(G(z), sigma^2 I) with one learned sigma."""
    decoder = Conditional(make_generator(task, seed), Normal([task.size], SharedScale(sigma)))
    torch.manual_seed(1000 + seed)
    network = mlp(task.size, [task.hidden, task.hidden], 2 * task.latent_dim, ACTIVATION)
    encoder = Conditional(network, Normal([task.latent_dim], NetworkScale(task.latent_dim)))
    return VAE(StandardNormal(task.latent_dim), encoder, decoder)


class WithNoise(Independent):
    """A diagonal normal whose draw is ``mean + stddev * eps`` for a given eps.

    torch's `vmap` cannot give each member of an ensemble its own noise inside ``rsample``.
    """

    def __init__(self, q: Any, eps: Tensor) -> None:
        super().__init__(q.base_dist, 1, validate_args=False)
        self.eps = eps

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.mean + self.stddev * self.eps


class Objective(nn.Module):
    """A bound of jensen's, of one VAE, with the noise given: ``(x [B, D], eps [1, B, M]) -> [B]``.

    With ``reconstruction`` the posterior is a point mass at the encoder's mean: the vanilla autoencoder.
    """

    def __init__(self, model: VAE, bound: Bound) -> None:
        super().__init__()
        self.model = model
        self.bound = bound

    def forward(self, x: Tensor, eps: Tensor) -> Tensor:
        (q,) = self.model.posterior(x)
        posterior = Delta(q.mean) if self.bound is reconstruction else WithNoise(q, eps)
        return self.bound(self.model.trace(x, 1, posterior=(posterior,)))


class Ensemble:
    """S independent modules of one architecture: parameters ``[S, ...]``, one `bmm` for each layer."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        stacked, self.buffers = stack_module_state(list(members))
        self.parameters = {name: p.detach().clone().requires_grad_() for name, p in stacked.items()}
        self.base = copy.deepcopy(members[0])
        self._call = vmap(lambda p, b, args: functional_call(self.base, (p, b), args))

    def __call__(self, *args: Tensor, frozen: bool = False) -> Tensor:
        """Every member at its own inputs, each ``[S, ...]``; ``frozen``: no gradient for the weights."""
        weights = {name: p.detach() if frozen else p for name, p in self.parameters.items()}
        return self._call(weights, self.buffers, args)

    def member(self, i: int) -> nn.Module:
        """A copy of member i as an ordinary module."""
        module = copy.deepcopy(self.base)
        module.load_state_dict({name: p.detach()[i] for name, p in self.parameters.items()}, strict=False)
        return module

    def finite(self, i: int) -> bool:
        """Whether every weight of member i is finite."""
        return all(bool(p[i].isfinite().all()) for p in self.parameters.values())


def train(task: Task, lr: float, model: str, x: Tensor, sigma: float) -> tuple[Ensemble, float, float]:
    """Train all seeds: the ensemble (for the GAN its generators), seconds of CPU and of wall a run."""
    began = time.process_time(), time.perf_counter()
    torch.manual_seed(0)
    if model == "gan":
        ensemble = _train_gan(task, lr, x)
    else:
        bound = {"vae": elbo, "autoencoder": reconstruction}[model]
        ensemble = Ensemble([Objective(make_vae(task, seed, sigma), bound) for seed in range(task.seeds)])
        _train_bound(task, lr, ensemble, x)
    cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    return ensemble, cpu / task.seeds, wall / task.seeds


def _batch(task: Task, x: Tensor) -> Tensor:
    """A batch of its own for every member, ``[S, B, D]``."""
    return x[torch.randint(len(x), (task.seeds, task.batch_size))]


def _train_bound(task: Task, lr: float, ensemble: Ensemble, x: Tensor) -> None:
    """Maximise the bound's mean. Members do not meet: the gradient of the sum is each one's own."""
    optimizer = torch.optim.Adam(ensemble.parameters.values(), lr, fused=True)
    for _ in range(task.steps):
        eps = torch.randn(task.seeds, 1, task.batch_size, task.latent_dim)
        values = ensemble(_batch(task, x), eps)
        optimizer.zero_grad()
        (-values.mean(1).sum()).backward()
        optimizer.step()


def _train_gan(task: Task, lr: float, x: Tensor) -> Ensemble:
    """One step of each player in turn, on the non-saturating losses (Goodfellow et al. 2014, section 3).

    D: ``min -log sigmoid(D(x)) - log(1 - sigmoid(D(G(z))))``; G: ``min -log sigmoid(D(G(z)))``.
    """
    G = Ensemble([make_generator(task, seed) for seed in range(task.seeds)])
    D = Ensemble([make_discriminator(task, seed, x) for seed in range(task.seeds)])
    players = [torch.optim.Adam(net.parameters.values(), lr, GAN_BETAS, fused=True) for net in (G, D)]
    for _ in range(task.steps):
        fake = G(torch.randn(task.seeds, task.batch_size, task.latent_dim))
        real_odds, fake_odds = D(torch.cat([_batch(task, x), fake.detach()], 1)).split(task.batch_size, 1)
        players[1].zero_grad()
        (softplus(-real_odds) + softplus(fake_odds)).mean((1, 2)).sum().backward()
        players[1].step()
        players[0].zero_grad()
        softplus(-D(fake, frozen=True)).mean((1, 2)).sum().backward()
        players[0].step()
    return G


def check_objective(task: Task, x: Tensor, sigma: float) -> None:
    """The ensemble's value and gradient are those of jensen's `pathwise(elbo, ...)`, member by member.

    Raises:
        AssertionError: they differ; then this benchmark would not measure jensen's objective.
    """
    members = [make_vae(task, seed, sigma) for seed in range(3)]
    ensemble = Ensemble([Objective(member, elbo) for member in members])
    x = x[:48].reshape(3, 16, -1)
    eps = []
    for i in range(3):
        torch.manual_seed(i)
        eps.append(torch.randn(1, 16, task.latent_dim))
    values = ensemble(x, torch.stack(eps))
    values.sum().backward()
    for i, member in enumerate(members):
        torch.manual_seed(i)
        expected = pathwise(elbo, member, x[i], 1)
        expected.sum().backward()
        torch.testing.assert_close(values[i], expected, rtol=1e-4, atol=1e-3)
        for name, p in member.named_parameters():
            assert p.grad is not None
            got = ensemble.parameters[f"model.{name}"].grad[i]
            torch.testing.assert_close(got, p.grad, rtol=1e-3, atol=1e-3 * float(p.grad.abs().max()))
