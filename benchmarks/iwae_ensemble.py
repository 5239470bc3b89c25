"""Many VAEs of one shape, trained at once: weights stacked, one optimizer, one pass over the data."""

import argparse
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from benchmarks.vae_vs_gan.ensembles import Ensemble, WithNoise
from torch import Tensor, nn

from jensen.config import Settings
from jensen.config.build import MARGINAL_ROWS, build_model
from jensen.data import Dataset, Preparation, fit_preparation
from jensen.data.blocks import evaluation_blocks
from jensen.data.seeds import derive_seed
from jensen.evaluation import estimate, evaluate
from jensen.models import VAE
from jensen.objectives import beta, iwae
from jensen.tensors import load_tensors, save_tensors

Member = tuple[str, int]
"""Cell and seed."""


class Objective(nn.Module):
    """The bound of each datum with the noise given: ELBO with a weight on the KL, or IWAE."""

    def __init__(self, model: VAE, is_iwae: bool) -> None:
        super().__init__()
        self.model = model
        self.is_iwae = is_iwae

    def forward(self, x: Tensor, eps: Tensor, weight: Tensor) -> Tensor:
        """``(x [B, *event], eps [K, B, M], KL's weight) -> [B]``, nats."""
        (q,) = self.model.posterior(x)
        trace = self.model.trace(x, len(eps), posterior=(WithNoise(q, eps),))
        return (iwae if self.is_iwae else beta(weight))(trace)  # type: ignore[arg-type]


class Cells:
    """An ensemble for each cell, whose members are its seeds; all are trained by one optimizer."""

    def __init__(
        self, settings: dict[Member, Settings], event_shape: tuple[int, ...], data: Preparation, rows: Tensor
    ) -> None:
        """``rows``: some of the training rows, prepared, at whose rates the decoders start."""
        self.settings = settings
        self.device = next(iter(settings.values())).device
        self.models: dict[Member, VAE] = {}
        for member, one in settings.items():
            torch.manual_seed(derive_seed(one.seed, "weights"))
            resolved = one.replace(likelihood="bernoulli", posterior="diagonal", prior="standard")
            self.models[member] = build_model(resolved, event_shape, data, rows).to(self.device)
        self.members: dict[str, list[Member]] = {}
        for member in settings:
            self.members.setdefault(member[0], []).append(member)
        self.ensembles = {
            cell: Ensemble([Objective(self.models[m], settings[m].bound == "iwae") for m in members])
            for cell, members in self.members.items()
        }
        parameters = [p for ensemble in self.ensembles.values() for p in ensemble.parameters.values()]
        self.optimizer = torch.optim.Adam(parameters, fused=True)

    def bounds(self, x: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """The mean bound of each member, by cell ``[members]``: the same ``x``, noise of their own."""
        found = {}
        for cell, members in self.members.items():
            one, count = self.settings[members[0]], len(members)
            eps = torch.randn(count, one.num_samples, len(x), one.latent_dim, device=x.device)
            shared = x.expand(count, *x.shape), eps, weight.expand(count)
            found[cell] = self.ensembles[cell](*shared).mean(1)
        return found

    def step(self, x: Tensor, weight: Tensor, lr: float) -> dict[str, Tensor]:
        """One update of all members; they do not meet, so the gradient of the sum is each one's own."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        found = self.bounds(x, weight)
        self.optimizer.zero_grad(set_to_none=True)
        (-torch.cat(list(found.values())).sum()).backward()
        self.optimizer.step()
        return {cell: values.detach() for cell, values in found.items()}

    def model(self, member: Member) -> VAE:
        """A member with its weights."""
        objective = self.ensembles[member[0]].member(self.members[member[0]].index(member))
        model: VAE = objective.model  # type: ignore[assignment]
        return model.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimizer's moments, for a checkpoint."""
        found = {
            f"weight/{cell}/{name}": p
            for cell, ensemble in self.ensembles.items()
            for name, p in ensemble.parameters.items()
        }
        for index, slots in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer/{index}/{name}": value for name, value in slots.items()}
        return found

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take `tensors` back."""
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, index, name = key.split("/", 2)
            if kind == "weight":
                self.ensembles[index].parameters[name].copy_(value)
            else:
                slots.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})


def train_ensemble(
    settings: dict[Member, Settings], dataset: Dataset, options: argparse.Namespace
) -> Iterator[tuple[Member, dict[str, Any]]]:
    """Train all members, save after every epoch, and yield each with its figure.

    With --minutes, the schedule follows the clock: the share of the time that has gone is the share of the
    cosine that has gone.
    """
    any_settings = next(iter(settings.values()))
    device, epochs = any_settings.device, any_settings.epochs
    preparation = fit_preparation(dataset, support="binary", binarize="dynamic", scaling="none").to(device)
    rows = dataset.rows("train").to(device)
    start = preparation(rows[:MARGINAL_ROWS], torch.Generator(device).manual_seed(0))
    ensemble = Cells(settings, tuple(rows.shape[1:]), preparation, start)
    options.out.mkdir(parents=True, exist_ok=True)
    path, spent, epoch = options.out / "ensemble.safetensors", 0.0, 0
    names = json.dumps([list(member) for member in settings])
    if path.exists():
        tensors, metadata = load_tensors(path)
        if metadata["members"] != names:
            raise SystemExit(f"{path} holds other cells or seeds; remove it, or choose another --out")
        ensemble.load(tensors)
        spent, epoch = float(metadata["seconds"]), int(metadata["epoch"])
    limit = 60 * options.minutes if options.minutes else math.inf
    warmup = min(50, epochs // 5) if math.isinf(limit) else 20
    while epoch < epochs and spent < limit:
        began = time.perf_counter()
        done = epoch / epochs if math.isinf(limit) else spent / limit
        lr = options.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        weight = torch.tensor(min(1.0, epoch / warmup) if warmup else 1.0, device=device)
        torch.manual_seed(derive_seed(0, "epoch", epoch))
        noise = torch.Generator(device).manual_seed(derive_seed(0, "rows", epoch))
        order = torch.randperm(len(rows), generator=noise, device=device)
        totals: dict[str, Tensor] = {}
        for batch in order.split(options.batch_size):
            found = ensemble.step(preparation(rows[batch], noise), weight, lr)
            for cell, values in found.items():
                totals[cell] = totals.get(cell, torch.zeros_like(values)) + values * len(batch)
        means = {cell: [round(v, 2) for v in (t / len(rows)).tolist()] for cell, t in totals.items()}
        spent, epoch = spent + time.perf_counter() - began, epoch + 1
        record = {"members": names, "seconds": str(spent), "epoch": str(epoch)}
        save_tensors(path, ensemble.tensors(), record)
        print(f"epoch {epoch}: {means}, {spent:.0f} s", flush=True)
    yield from figures(ensemble, dataset, preparation, options, {"epochs": epoch, "training_seconds": spent})


def figures(
    ensemble: Cells,
    dataset: Dataset,
    preparation: Preparation,
    options: argparse.Namespace,
    notes: dict[str, float],
) -> Iterator[tuple[Member, dict[str, Any]]]:
    """NLL and ELBO of each member on the test images."""
    for member in ensemble.settings:
        began = time.perf_counter()
        blocks = evaluation_blocks(dataset, preparation, "test", seed=member[1], limit=options.images)
        x = (block.to(ensemble.device) for block in blocks)
        values = evaluate(ensemble.model(member), x, options.samples)
        yield (
            member,
            {
                "nll": estimate(-values["iwae"]).to_dict(),
                "elbo": estimate(values["elbo"]).to_dict(),
                **notes,
                "evaluation_seconds": time.perf_counter() - began,
            },
        )
