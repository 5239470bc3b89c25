"""Optimizers take the steps of torch's own, eagerly and in a graph, whoever took the ones before."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen.config import Settings
from jensen.session import start
from jensen.tensors import load_tensors
from jensen.training.muon import COEFFICIENTS, ITERATIONS, matrices, polar
from jensen.training.optimizer import Optimizer
from jensen.training.rule import remember


def gradients(steps: int, *shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(steps, *(shape or (5,)), generator=draw, dtype=torch.float64)


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64))


def reference(decay: float, lr: list[float]) -> Tensor:
    """Where torch's optimizer ends, float64."""
    it = parameter()
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    optimizer = kind([it], weight_decay=decay)
    for it.grad, optimizer.param_groups[0]["lr"] in zip(gradients(len(lr)), lr, strict=True):
        optimizer.step()
    return it.detach()


def as_in_a_graph(optimizer: Optimizer, gradient: Tensor) -> None:
    """A step as `jensen.training.compiler` records it."""
    optimizer.refresh()
    slots, rules = optimizer.slots, optimizer.rules
    with torch.no_grad():
        remember([gradient], slots, rules)
        optimizer.move(optimizer.parameters, [gradient], slots, rules, optimizer.rates)
        optimizer.count.add_(1)
        optimizer.prepare(optimizer.count, optimizer.lr, optimizer.rates)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("in_graph", ["", "01234567", "012", "4567", "0246"], ids=lambda s: s or "none")
def test_the_steps_are_those_of_torch(decay: float, in_graph: str) -> None:
    lr = [0.1] * 4 + [0.05] * 4
    it = parameter()
    adam = Optimizer([it], 0.1, decay)
    for i, gradient in enumerate(gradients(8)):
        adam.set_rate(lr[i]) if i == 4 else None
        as_in_a_graph(adam, gradient) if str(i) in in_graph else adam.step([gradient])
    torch.testing.assert_close(it.detach(), reference(decay, lr), rtol=1e-12, atol=0)


def test_a_checkpoint_is_that_of_torch() -> None:
    """Three steps of torch's, and three more from what its state holds."""
    theirs, idle = parameter(), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([theirs, idle], lr=0.1)
    for theirs.grad in gradients(6)[:3]:
        optimizer.step()
    slots = optimizer.state_dict()["state"]
    kept = {f"{i}/{name}": tensor for i, slot in slots.items() for name, tensor in slot.items()}
    adam = Optimizer([theirs, idle], 0.1)
    adam.load(kept)
    for gradient in gradients(6)[3:]:
        adam.step([gradient, None])
    torch.testing.assert_close(theirs.detach(), reference(0.0, [0.1] * 6), rtol=1e-12, atol=0)
    assert idle.tolist() == [1, 1]
    assert adam.tensors()["0/step"] == 6


def test_float32_on_its_way_differs_by_rounding_alone() -> None:
    single = nn.Parameter(parameter().detach().float())
    adam = Optimizer([single], 0.1)
    for gradient in gradients(8):
        as_in_a_graph(adam, gradient.float())
    torch.testing.assert_close(single.detach().double(), reference(0.0, [0.1] * 8), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (4, 4), (1, 6)], ids=str)
def test_the_polar_factor_keeps_the_singular_vectors(shape: tuple[int, int]) -> None:
    """The singular values go through the polynomial of the docstring, the vectors stay as they are."""
    m = gradients(1, *shape)[0]
    u, s, v = torch.linalg.svd(m, full_matrices=False)
    s = s / s.norm()
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    torch.testing.assert_close(polar(m), u @ s.diag() @ v, rtol=1e-10, atol=1e-12)
    assert s.max() < 1.3
    assert torch.equal(polar(torch.zeros(shape)), torch.zeros(shape))


@pytest.mark.parametrize("in_graph", ["", "0123", "02"], ids=lambda s: s or "none")
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)], ids=str)
def test_muon_takes_the_steps_of_torch(shape: tuple[int, int], in_graph: str) -> None:
    """torch's rounds to bfloat16 on the way, hence the tolerance: a hundredth of the way gone."""
    start = gradients(5, *shape)[4]
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    reference = torch.optim.Muon(
        [theirs], lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw", ns_steps=ITERATIONS
    )
    optimizer = Optimizer([ours], 0.1, 0.3, [ours])
    for i, gradient in enumerate(gradients(5, *shape)[:4]):
        theirs.grad = gradient
        reference.step()
        as_in_a_graph(optimizer, gradient) if str(i) in in_graph else optimizer.step([gradient])
    gone = (theirs - start).norm()
    assert gone > 0.5
    assert (ours - theirs).norm() < 0.02 * gone


def test_muon_moves_the_matrices_of_layers_and_adam_all_else() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2), nn.Embedding(4, 2))
    model[2].weight.requires_grad_(False)
    assert [tuple(p.shape) for p in matrices(model)] == [(3, 2, 3, 3)]
    optimizer = Optimizer(model.parameters(), 0.1, matrices=matrices(model))
    assert [len(slot) for slot in optimizer.slots] == [1, 2, 2, 2, 2]
    before = model[0].weight.detach().clone()
    gradient = torch.ones_like(before)  # of rank 1: all channels move alike, by 0.2 sqrt(18) lr in all
    optimizer.step([gradient if p.ndim == 4 else None for p in model.parameters()])
    moved = before - model[0].weight.detach()
    expected = 0.1 * 0.2 * 18**0.5 * polar(gradient.flatten(1)).reshape(before.shape)
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["adam", "muon"])
@pytest.mark.parametrize("in_graph", ["", "0123", "02"], ids=lambda s: s or "none")
def test_the_average_is_that_of_its_formula(kind: str, in_graph: str) -> None:
    start = gradients(5, 3, 2)[4]
    it = nn.Parameter(start.clone())
    optimizer = Optimizer([it], 0.1, matrices=[it] if kind == "muon" else [], average=0.25)
    average = start
    for i, gradient in enumerate(gradients(5, 3, 2)[:4]):
        as_in_a_graph(optimizer, gradient) if str(i) in in_graph else optimizer.step([gradient])
        d = min(0.25, (2 + i) / (11 + i))  # 0.18, 0.25, 0.25, 0.25
        average = d * average + (1 - d) * it.detach()
        own = it.detach().clone()
        with optimizer.averaged():
            torch.testing.assert_close(it.detach(), average, rtol=1e-12, atol=0)
        assert torch.equal(it, own)


def test_what_is_saved_is_the_average_and_training_goes_on_with_the_weights(tmp_path: Path) -> None:
    run = start(noisy(tmp_path).replace(epochs=1, average=0.9), tmp_path / "run")
    checkpoint, _ = load_tensors(next((run.path / "checkpoint").iterdir()))
    model = run.model()
    for i, (name, parameter) in enumerate(model.named_parameters()):
        assert torch.equal(parameter, checkpoint[f"optimizer/{i}/average"]), name
    assert not all(torch.equal(p, checkpoint[f"model/{name}"]) for name, p in model.named_parameters())


def test_what_is_validated_is_the_average(tmp_path: Path) -> None:
    """At a rate that throws the weights about, the average is better."""
    ends = [
        np.mean([line["validation_bound"] for line in run.history()[-10:]])
        for average in (0.0, 0.9)
        for run in [start(noisy(tmp_path).replace(average=average), tmp_path / f"run-{average}")]
    ]
    assert ends[1] > ends[0]


def noisy(folder: Path) -> Settings:
    """A training at a high and constant rate."""
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(400, 3)) @ np.ones((3, 4)))
    return Settings(data=str(folder / "x.npy"), epochs=40, lr=0.05, lr_schedule="constant", hidden=(8,))
