"""The ensemble of benchmarks/iwae_table.py: each member has the value and the step that it has alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from benchmarks.iwae_ensemble import (
    StackedLinear,
    figures,
    member,
    optimizer_of,
    stacked,
    summed,
)
from torch import Tensor
from torch.distributions import Distribution, Independent

from jensen.config import Settings
from jensen.config.build import build_bound, build_estimator, build_memory, build_model
from jensen.data import Dataset, Preparation
from jensen.models import VAE
from jensen.training.optimizer import build_optimizer

BINARY = Preparation(
    "dynamic", False, torch.zeros(()).double(), torch.ones(()).double(), (0.0, 1.0), torch.uint8, "binary"
)
S, B, D, M = 3, 6, 12, 2


def settings(bound: str, seed: int = 0, followed: int | None = None) -> Settings:
    return Settings(
        likelihood="bernoulli",
        posterior="diagonal",
        prior="standard",
        latent_dim=M,
        hidden=(5,),
        bound=bound,  # type: ignore[arg-type]
        num_samples=4,
        backward_samples=followed,
        estimator="doubly-reparameterized" if bound == "iwae" else "pathwise",
        optimizer="muon",
        lr=0.01,
        seed=seed,
        device="cpu",
    )


class Given(Independent):
    """A diagonal normal whose noise is given."""

    def __init__(self, q: Distribution, eps: Tensor) -> None:
        super().__init__(q.base_dist, 1)  # type: ignore[attr-defined]
        self.eps = eps

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.mean + self.stddev * self.eps


class WithNoise(VAE):
    """A VAE whose noise is given, ``eps [K, B, M]``."""

    eps: Tensor

    def posterior(self, x: Tensor, **more: Tensor | None) -> tuple[Distribution, ...]:
        return (Given(super().posterior(x)[0], self.eps),)


def members() -> list[VAE]:
    models = []
    for seed in range(S):
        torch.manual_seed(seed)
        models.append(build_model(settings("elbo"), (D,), BINARY, torch.ones(B, D)))
    return models


def with_noise(model: VAE, eps: Tensor) -> VAE:
    model.__class__, model.eps = WithNoise, eps  # type: ignore[assignment]
    return model


@pytest.mark.parametrize(("bound", "followed"), [("elbo", None), ("iwae", None), ("iwae", 2)])
def test_members_have_the_value_and_the_update_that_they_would_have_alone(
    bound: str, followed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "rand_like", lambda like: torch.full_like(like, 0.3))  # picks alike
    one, likes = settings(bound, followed=followed), members()
    K = one.num_samples
    x = torch.bernoulli(torch.full((B, D), 0.3))
    eps = torch.randn(K, B, S, M)
    whole = with_noise(stacked(likes), eps.flatten(1, 2))
    values = summed(one, S)(build_bound(one), whole, x.repeat_interleave(S, 0), K)
    optimizer = optimizer_of(whole, one)
    optimizer.step(torch.autograd.grad(-values.mean(), list(whole.parameters())))

    alone = torch.zeros(B)
    for i, like in enumerate(likes):
        moved = member(whole, i, like)
        model = with_noise(like, eps[:, :, i])
        value = build_estimator(one, build_memory(one))(build_bound(one), model, x, K)
        alone += value.detach()
        build_optimizer(model, one).step(torch.autograd.grad(-value.mean(), list(model.parameters())))
        for p, own in zip(model.parameters(), moved.parameters(), strict=True):
            torch.testing.assert_close(own, p, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(values.detach(), alone)


def test_other_parameters_than_those_of_linear_layers_are_refused() -> None:
    models = members()
    for model in models:
        model.register_parameter("more", torch.nn.Parameter(torch.zeros(())))
    with pytest.raises(ValueError, match="only linear layers"):
        stacked(models)


def test_a_cell_is_trained_and_judged(tmp_path: Path) -> None:
    """Two seeds together: figures of both, each of its own weights."""
    source = (torch.rand(90, D, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.uint8) * 255
    splits = {"train": torch.arange(60), "validation": torch.arange(60, 75), "test": torch.arange(75, 90)}
    dataset = Dataset("some", source, None, splits, (0.0, 255.0), "", False)
    both = [settings("elbo", seed).replace(epochs=2, batch_size=20, compile="off") for seed in (0, 1)]
    found = figures("VAE-4", both, dataset, samples=20, images=None, out=tmp_path)
    assert [f["epochs"] for f in found] == [2, 2]
    assert all(f["nll"]["value"] < -f["elbo"]["value"] + 0.5 for f in found)
    assert found[0]["nll"]["value"] != found[1]["nll"]["value"]
    assert {p.name for p in tmp_path.iterdir()} == {f"VAE-4-seed{seed}.safetensors" for seed in (0, 1)}


def test_layers_side_by_side() -> None:
    layers = [torch.nn.Linear(4, 3) for _ in range(S)]
    x = torch.randn(5, S, 4)
    expected = torch.stack([layer(x[:, i]) for i, layer in enumerate(layers)], 1)
    torch.testing.assert_close(StackedLinear(layers)(x.flatten(0, 1)), expected.flatten(0, 1))
