"""The ensemble of benchmarks/iwae_table.py trains jensen's objectives, and each member its own."""

import torch
from benchmarks.iwae_ensemble import Cells

from jensen.config import Settings
from jensen.data import Preparation
from jensen.models import VAE
from jensen.objectives import elbo, iwae

BINARY = Preparation(
    "dynamic", False, torch.zeros(()).double(), torch.ones(()).double(), (0.0, 1.0), torch.uint8, "binary"
)


def member(bound: str, num_samples: int, seed: int) -> Settings:
    return Settings(
        latent_dim=2,
        hidden=(5,),
        bound=bound,  # type: ignore[arg-type]
        num_samples=num_samples,
        seed=seed,
        device="cpu",
    )


def test_members_have_the_value_and_the_update_that_they_would_have_alone() -> None:
    settings = {
        ("VAE-1", 0): member("elbo", 1, 0),
        ("VAE-1", 1): member("elbo", 1, 1),
        ("IWAE-3", 1): member("iwae", 3, 1),
    }
    x = torch.bernoulli(torch.full((6, 12), 0.3))
    cells = Cells(settings, (12,), BINARY, x)
    alone: dict[tuple[str, int], VAE] = {one: cells.model(one) for one in settings}
    torch.manual_seed(7)
    found = cells.step(x, torch.tensor(1.0), lr=1e-2)
    torch.manual_seed(7)
    noise = {"VAE-1": torch.randn(2, 1, 6, 2), "IWAE-3": torch.randn(1, 3, 6, 2)}
    for (cell, seed), model in alone.items():
        index = [s for c, s in settings if c == cell].index(seed)
        (q,) = model.posterior(x)
        z = q.mean + q.stddev * noise[cell][index]
        q.rsample = lambda shape, z=z: z  # type: ignore[method-assign]
        value = (iwae if cell == "IWAE-3" else elbo)(model.trace(x, len(z), posterior=(q,))).mean()
        torch.testing.assert_close(found[cell][index], value)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        (-value).backward()
        optimizer.step()
        for p, own in zip(model.parameters(), cells.model((cell, seed)).parameters(), strict=True):
            torch.testing.assert_close(own, p)
