"""A step keeps to its device and reads nothing back from it: what a GPU asks, held to without one.

Tensors without numbers stand on another device than the host's (`meta`). An operation on tensors of two
devices fails there as it does on a GPU, and so does whatever needs a number: an `item()`, a branch.
"""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.func import functional_call

from jensen.config import Settings
from jensen.config.build import build_bound, build_estimator, build_memory
from jensen.data.preparation import Preparation
from jensen.mode import unvalidated
from jensen.session import start
from jensen.training.optimizer import build_optimizer
from jensen.training.rule import remember
from jensen.training.step import Slope
from jensen.training.tracing import _convolution_backward
from tests.training.test_compiler import WHOLE, problem

ELSEWHERE = torch.device("meta")


def like(tensor: Tensor) -> Tensor:
    """A tensor of that shape and type elsewhere."""
    made = torch.empty_like(tensor, device=ELSEWHERE, requires_grad=False)
    return made.requires_grad_(tensor.requires_grad)


def moved(preparation: Preparation) -> Preparation:
    """`Preparation.to`, which looks at its numbers to check them, and here has none."""
    other = copy.copy(preparation)
    for name in ("shift", "scale"):
        object.__setattr__(other, name, like(getattr(preparation, name)))
    return other


def slope_elsewhere(slope: Slope, stored: Tensor) -> list[Tensor]:
    """The bound and the gradients of a step whose weights, buffers and rows are elsewhere."""
    with FakeTensorMode(allow_non_fake_inputs=True), unvalidated():
        if isinstance(slope.prepare, Preparation):
            slope.prepare = moved(slope.prepare)
        held = {n: like(t) for n, t in [*slope.named_parameters(), *slope.named_buffers()]}
        value, gradients = functional_call(slope, held, (like(stored), torch.ones((), device=ELSEWHERE)))
    return [value, *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("name", WHOLE)
def test_a_step_stays_on_its_device(name: str) -> None:
    it = problem(name)
    assert {t.device for t in slope_elsewhere(it.slope, it.rows[:16])} == {ELSEWHERE}


@pytest.mark.parametrize("given", [(), ("colour",)])
def test_a_step_of_a_table_stays_on_its_device(given: tuple[str, ...], tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    lines = ["size,colour,many"]
    lines += [
        f"{draws.normal():.6f},{draws.choice(['red', 'green', ''])},{draws.integers(0, 5)}" for _ in range(60)
    ]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = Settings(
        data=str(tmp_path / "table.csv"), epochs=1, hidden=(8,), latent_dim=2, condition=given
    )
    run = start(settings, tmp_path / "run")
    settings, dataset = run.settings, run.dataset()
    memory = build_memory(settings)
    slope = Slope(
        run.model().train(),
        memory,
        run.preparation,
        build_bound(settings),
        build_estimator(settings, memory),
        settings,
    )
    assert {t.device for t in slope_elsewhere(slope, dataset.rows("train")[:16])} == {ELSEWHERE}


@pytest.mark.parametrize("name", ["adamw", "muon, averaged"])
def test_the_update_stays_on_its_device(name: str) -> None:
    it = problem(name)
    parameters = list(it.slope.model.named_parameters())
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        for n, p in parameters:
            holder, _, last = n.rpartition(".")
            setattr(it.slope.model.get_submodule(holder), last, torch.nn.Parameter(like(p.detach())))
        optimizer = build_optimizer(it.slope.model, it.settings)
        optimizer.refresh()
        moved, slots, rules = optimizer.parameters, optimizer.slots, optimizer.rules
        gradients = [p.detach() for p in moved]
        remember(gradients, slots, rules)
        optimizer.move(moved, gradients, slots, rules, optimizer.rates)
        assert {t.device for t in [*optimizer.parameters, optimizer.rates]} == {ELSEWHERE}


def test_a_tensor_left_behind_is_found() -> None:
    it = problem("likelihood normal")
    it.slope.prepare = lambda stored, generator: stored.float() - torch.ones(6)
    with pytest.raises(RuntimeError, match=r"two (different )?devices"):
        slope_elsewhere(it.slope, it.rows[:16])


def test_a_number_read_back_is_found() -> None:
    it = problem("likelihood normal")
    it.slope.prepare = lambda stored, generator: stored.float() * stored.float().mean().item()
    with pytest.raises(DataDependentOutputException):
        slope_elsewhere(it.slope, it.rows[:16])


@pytest.mark.parametrize(("stride", "more"), [(2, 1), (2, 2), (1, 2)])
def test_the_gradient_of_a_transposed_convolution_has_the_shape_of_its_input(stride: int, more: int) -> None:
    """Also where the convolution that stands in for it on a GPU would give more."""
    how = ([stride] * 2, [1, 1], [3, 3], True, [more] * 2, 1)
    with FakeTensorMode():
        x, weight = torch.empty(2, 3, 5, 5, device="cuda"), torch.empty(3, 1, 3, 3, device="cuda")
        out = torch.convolution(x, weight, None, *how)
        found = _convolution_backward(out, x, weight, [1], *how, [True, True, True])
    assert found is NotImplemented if more >= stride else found[0].shape == x.shape
