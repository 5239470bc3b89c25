"""Several VAEs of one shape, trained at once: an ordinary VAE whose linear layers are stacked."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jensen.config import Settings
from jensen.config.build import build_bound, build_estimator, build_memory
from jensen.config.fresh import fresh_model
from jensen.config.resolve import resolve
from jensen.data import Dataset, Preparation, evaluation_blocks, fit_preparation
from jensen.evaluation import estimate, evaluate
from jensen.models import VAE
from jensen.objectives import Bound
from jensen.tensors import save_tensors
from jensen.training.loop import TrainingData, train
from jensen.training.muon import MOMENTUM, MUON, SCALE, polar
from jensen.training.optimizer import Optimizer
from jensen.training.plan import Plan
from jensen.training.rule import Rule, Slot, Tensors
from jensen.training.schedules import LearningRate
from jensen.training.state import TrainingState

CLOCK_WARMUP = 20
"""Epochs over which the KL's weight rises where the clock says how many there will be."""


class StackedLinear(nn.Module):
    """S linear layers on a batch in which each datum has S rows beside each other, one for each layer.

    So ``[N * S, in] -> [N * S, out]``, whatever N counts: data, or samples of data.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        """One product of S matrices."""
        rows = x.unflatten(0, (-1, len(self.weight))).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], rows, self.weight.mT).transpose(0, 1).flatten(0, 1)


def stacked(members: Sequence[VAE]) -> VAE:
    """The members, which differ in the weights of their linear layers alone, as one VAE.

    Raises:
        ValueError: a member has other parameters, which would be the first's for all.
    """
    whole = copy.deepcopy(members[0])
    for name, layer in list(whole.named_modules()):
        if isinstance(layer, nn.Linear):
            parent, _, own = name.rpartition(".")
            layers = [member.get_submodule(name) for member in members]
            setattr(whole.get_submodule(parent), own, StackedLinear(layers))  # type: ignore[arg-type]
    if len(dict(whole.named_parameters())) != 2 * sum(isinstance(m, StackedLinear) for m in whole.modules()):
        raise ValueError("only linear layers are stacked, and the members have other parameters")
    return whole


def member(whole: VAE, i: int, like: VAE) -> VAE:
    """Member i of `stacked`, as a VAE of its own, ``like`` the one that it was made of."""
    model = copy.deepcopy(like)
    model.load_state_dict({name: tensor[i] for name, tensor in whole.state_dict().items()})
    return model.to(next(whole.parameters()).device).eval()


def _move(parameters: Tensors, gradients: Tensors, slots: Sequence[Slot], rates: Tensor) -> None:
    for parameter, gradient, slot in zip(parameters, gradients, slots, strict=True):
        ahead = gradient.lerp(slot[0], MOMENTUM)
        parameter.sub_((rates[0] * SCALE * math.sqrt(max(ahead.shape[1:]))) * polar(ahead))


STACKED_MUON = Rule(MUON.names, MUON.remember, _move)
"""`MUON`, for matrices ``[S, m, n]``."""


class ByClock(LearningRate):
    """A cosine to zero over the time that a run may take: the share of it that has gone is how far it is."""

    def __init__(self, plan: Plan, state: TrainingState) -> None:
        super().__init__(plan)
        self.state = state

    def at(self, epoch: int) -> float:
        """The rate now; the epoch does not matter."""
        assert self.plan.max_time is not None
        done = min(1.0, self.state.seconds / self.plan.max_time)
        return self.plan.lr * 0.5 * (1 + math.cos(math.pi * done))


def optimizer_of(whole: VAE, settings: Settings) -> Optimizer:
    """The settings' own, for stacks; members do not meet, so each moves as it would alone."""
    assert settings.lr is not None
    weights = [m.weight for m in whole.modules() if isinstance(m, StackedLinear)]
    matrices = weights if settings.optimizer == "muon" else []
    optimizer = Optimizer(whole.parameters(), settings.lr, settings.weight_decay, matrices)
    optimizer.rules = [STACKED_MUON if rule is MUON else rule for rule in optimizer.rules]
    return optimizer


def summed(settings: Settings, size: int) -> Callable[[Bound, Any, Tensor, int], Tensor]:
    """The settings' estimator, ``[B * S]``, summed over members, ``[B]``: the gradient is each one's own."""
    estimator = build_estimator(settings, build_memory(settings))
    return lambda bound, model, x, k: estimator(bound, model, x, k).unflatten(0, (-1, size)).sum(1)


def trained(
    settings: Sequence[Settings],
    dataset: Dataset,
    preparation: Preparation,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
) -> list[VAE]:
    """The runs of these settings, which differ in their seed alone, by one training of them all.

    Each has the weights that its seed starts from alone. The order of rows is that of the first seed; each
    member has binarizations and noise of its own. ``train_bound`` in the history is summed over members.
    """
    first, size = settings[0], len(settings)
    likes = [fresh_model(one, dataset, preparation) for one in settings]
    whole = stacked(likes).to(first.device)
    state = TrainingState.start(whole, first)
    state.optimizer = optimizer_of(whole, first)
    if first.max_time is not None:
        state.learning_rate = ByClock(first, state)
    on_device = preparation.to(torch.device(first.device))

    def validation() -> Any:
        blocks = evaluation_blocks(dataset, preparation, "validation", seed=first.seed)
        return (x.repeat_interleave(size, 0) for x in blocks)

    data = TrainingData(
        rows=dataset.rows("train"),
        prepare=lambda rows, generator: on_device(rows.repeat_interleave(size, 0), generator),
        validation=validation,
    )
    train(state, data, build_bound(first), summed(first, size), first, on_epoch, lambda said: print(said))
    return [member(whole, i, like) for i, like in enumerate(likes)]


def figures(
    name: str,
    settings: Sequence[Settings],
    dataset: Dataset,
    samples: int,
    images: int | None,
    out: Path,
    minutes: float | None = None,
) -> list[dict[str, Any]]:
    """Train one cell's seeds together and keep their weights; NLL and ELBO of each on the test images.

    With ``minutes``, for as long, compiling included. On a GPU the products of training are in tf32, those of
    the evaluation in float32.
    """
    preparation = fit_preparation(dataset, support="binary", binarize="dynamic", scaling="none")
    settings = [resolve(one, dataset)[0] for one in settings]
    size = len(settings)
    history: list[dict[str, Any]] = []

    def on_epoch(state: TrainingState) -> None:
        history.append(record := state.history[-1])
        if state.epoch % 10 == 0:
            print(
                f"{name}, {size} seeds, epoch {state.epoch}: bound {record['train_bound'] / size:.2f} in "
                f"training, {record['validation_bound']:.2f} on validation rows, {record['seconds']:.0f} s",
                flush=True,
            )

    torch.set_float32_matmul_precision("high")
    if minutes:
        settings = [
            one.replace(epochs=100_000, max_time=60 * minutes, kl_warmup=min(CLOCK_WARMUP, one.kl_warmup))
            for one in settings
        ]
    models = trained(settings, dataset, preparation, on_epoch)
    torch.set_float32_matmul_precision("highest")
    found = []
    for one, model in zip(settings, models, strict=True):
        save_tensors(out / f"{name}-seed{one.seed}.safetensors", model.state_dict(), {})
        began = time.perf_counter()
        blocks = evaluation_blocks(dataset, preparation, "test", seed=one.seed, limit=images)
        values = evaluate(model, (x.to(one.device) for x in blocks), samples)
        found.append(
            {
                "nll": estimate(-values["iwae"]).to_dict(),
                "elbo": estimate(values["elbo"]).to_dict(),
                "epochs": len(history),
                "training_seconds": history[-1]["seconds"],
                "compiling_seconds": sum(record["compiling"] for record in history),
                "seeds_together": size,
                "evaluation_seconds": time.perf_counter() - began,
            }
        )
        print(f"{name}, seed {one.seed}: NLL {found[-1]['nll']['value']:.2f} nats", flush=True)
    return found
