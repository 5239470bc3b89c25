"""The cost of a two-tier training step, as its docstring counts it: decoder passes a datum."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.families import Conditional, NetworkScale, Normal, SharedScale
from jensen.models.local import two_tier
from jensen.networks import mlp
from jensen.objectives import elbo, pathwise
from jensen.priors import StandardNormal
from jensen.training.two_tier import inner_loop


class Counting(nn.Module):
    """A decoder that counts the latent vectors which pass it, forward and, in the inner loop, back."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = Conditional(mlp(2, [8], 5), Normal([5], SharedScale()))
        self.forwards = self.inner_backwards = 0

    def forward(self, z: Tensor, context: None = None) -> Distribution:
        self.forwards += z.numel() // 2
        if z.requires_grad:
            z.register_hook(self.count_back)
        distribution: Distribution = self.decoder(z)
        return distribution

    def count_back(self, gradient: Tensor) -> None:
        self.inner_backwards += gradient.numel() // 2


def test_a_gradient_step_costs_217_times_an_amortized_one() -> None:
    decoder = Counting()
    model = two_tier(StandardNormal(2), Normal([2], NetworkScale(2)), decoder, inner_loop())
    pathwise(elbo, model, torch.randn(10, 5), 1).mean().backward()
    forwards, backwards = decoder.forwards / 10, decoder.inner_backwards / 10 + 1
    assert (forwards, backwards) == (4 * 50 + 16 + 16 + 1, 4 * 50 + 1)
    assert (forwards + backwards) / 2 == 217
    assert "217 times" in (inner_loop.__doc__ or "")
