"""Many VAEs of one shape, trained at once: weights stacked, one optimizer, one pass over the data."""

import argparse
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from jensen.config import Settings
from jensen.config.build import build_model
from jensen.data import Dataset, Preparation, fit_preparation
from jensen.data.blocks import evaluation_blocks
from jensen.data.seeds import derive_seed
from jensen.evaluation import estimate, evaluate
from jensen.models import VAE
from jensen.objectives import beta, iwae, pathwise
from jensen.tensors import load_tensors, save_tensors

Member = tuple[str, int]
"""Cell and seed."""


class Objective(nn.Module):
    """The mean bound of a batch: ELBO with a weight on the KL, or IWAE."""

    def __init__(self, model: VAE, settings: Settings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Bound over ``x`` ``[B, *event]``, a number; ``weight`` is the KL's."""
        bound = iwae if self.settings.bound == "iwae" else beta(weight)  # type: ignore[arg-type]
        return pathwise(bound, self.model, x, self.settings.num_samples).mean()


class Ensemble:
    """The stacked weights, grouped by cell: members of one cell are one batched computation."""

    def __init__(
        self, settings: dict[Member, Settings], event_shape: tuple[int, ...], data: Preparation
    ) -> None:
        self.settings, self.device = settings, next(iter(settings.values())).device
        self.models: dict[Member, VAE] = {}
        for member, one in settings.items():
            torch.manual_seed(derive_seed(one.seed, "weights"))
            resolved = one.replace(likelihood="bernoulli", prior="standard")
            self.models[member] = build_model(resolved, event_shape, data).to(self.device)
        self.cells: dict[str, list[Member]] = {}
        for member in settings:
            self.cells.setdefault(member[0], []).append(member)
        self.objectives, self.weights = {}, {}
        for cell, members in self.cells.items():
            objectives = [Objective(self.models[member], settings[member]) for member in members]
            self.weights[cell], _ = stack_module_state(objectives)  # type: ignore[arg-type]
            self.objectives[cell] = objectives[0]
        parameters = [weight for stacked in self.weights.values() for weight in stacked.values()]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def bounds(self, x: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """The mean bound of each member, by cell ``[members]``: the same ``x``, noise of their own."""
        found = {}
        for cell, stacked in self.weights.items():
            objective = self.objectives[cell]

            def one(weights: dict[str, Tensor], objective: Objective = objective) -> Tensor:
                value: Tensor = functional_call(objective, weights, (x, weight))
                return value

            found[cell] = vmap(one, randomness="different")(stacked)
        return found

    def step(self, x: Tensor, weight: Tensor, lr: float) -> dict[str, Tensor]:
        """One update of all members."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        found = self.bounds(x, weight)
        self.optimizer.zero_grad(set_to_none=True)
        (-sum(values.sum() for values in found.values())).backward()  # type: ignore[union-attr]
        self.optimizer.step()
        return {cell: values.detach() for cell, values in found.items()}

    def model(self, member: Member) -> VAE:
        """A member with its weights."""
        cell, index = member[0], self.cells[member[0]].index(member)
        state = {name.removeprefix("model."): w[index].detach() for name, w in self.weights[cell].items()}
        self.models[member].load_state_dict(state, strict=False)
        return self.models[member].eval()

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimizer's moments, for a checkpoint."""
        found = {
            f"weight/{cell}/{name}": w
            for cell, stacked in self.weights.items()
            for name, w in stacked.items()
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
                self.weights[index][name].copy_(value)
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
    ensemble = Ensemble(settings, tuple(rows.shape[1:]), preparation)
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
    ensemble: Ensemble,
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
