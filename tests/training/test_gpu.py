"""On a GPU: captured and compiled steps are the eager ones; runs end where a processor's do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from jensen.config import Settings
from jensen.config.build import build_bound, build_estimator, build_memory
from jensen.config.evaluation import EvaluationSettings
from jensen.figures import evaluate_run
from jensen.mode import unvalidated
from jensen.session import resume, start
from jensen.training.compiler import compile_step
from jensen.training.launches import WARM_UP, Launches, cuda_graph
from jensen.training.state import TrainingState
from jensen.training.step import Slope, Step
from tests.training.cases import Problem, problem
from tests.training.test_compiler import WHOLE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def on_gpu(name: str) -> Problem:
    """A case of `CASES` there."""
    it = problem(name, device="cuda")
    it.rows = it.rows.cuda()
    it.state = TrainingState.start(it.slope.model.cuda(), it.settings, build_memory(it.settings))
    it.slope = Slope(
        it.slope.model,
        it.state.memory.cuda(),
        it.slope.prepare.to(torch.device("cuda")),  # type: ignore[attr-defined]
        build_bound(it.settings),
        build_estimator(it.settings, it.state.memory),
        it.settings,
    )
    return it


def after_steps(name: str, captured: bool) -> list[Tensor]:
    """Where eager steps lead, and four more, eager or captured two by two."""
    it = on_gpu(name)
    step = Step(it.slope, it.state.optimizer)
    torch.manual_seed(1)
    for _ in range(WARM_UP):
        step(it.rows[:8])
    with unvalidated():
        launches = Launches(step, it.rows, 8, cuda_graph if captured else lambda work: work, steps=2)
    torch.manual_seed(2)
    launches.take(it.rows, torch.arange(32, device="cuda"))
    return [step.total, *it.slope.buffers(), *it.slope.parameters()]


@pytest.mark.parametrize("name", WHOLE)
def test_captured_steps_are_the_eager_ones(name: str) -> None:
    eager, captured = after_steps(name, False), after_steps(name, True)
    for one, other in zip(eager, captured, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["likelihood bernoulli", "bf16", "bound iwae", "muon, convolutions"])
def test_a_compiled_step_is_the_eager_one(name: str) -> None:
    it = on_gpu(name)
    weight = torch.ones((), device="cuda")
    compile_step(it.slope, it.state.optimizer, it.rows[:16], weight)  # which compares the two


def test_bf16_is_native_and_near_float32() -> None:
    def gradients(name: str) -> Tensor:
        it = on_gpu(name)
        torch.manual_seed(0)
        _, found = it.slope(it.rows[:16], torch.ones((), device="cuda"))
        return torch.cat([g.flatten() for g in found if g is not None])

    exact, rounded = gradients(""), gradients("bf16")
    assert not torch.equal(exact, rounded)
    assert float((exact - rounded).norm() / exact.norm()) < 0.02


def test_convolutions_in_bf16_are_compiled(tmp_path: Path) -> None:
    """The default network: eager and compiled gradients agree where a decoder says the same everywhere."""
    x = (np.random.default_rng(0).random((1200, 3, 32, 32)) < 0.2).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    said = list[str]()
    given = {"network": "conv", "epochs": 2, "batch_size": 512, "device": "cuda", "compile": "on"}
    run = start(
        Settings(data=str(tmp_path / "x.npy"), **given),  # type: ignore[arg-type]
        tmp_path / "run",
        on_choice=said.append,
    )
    assert run.settings.precision == "bf16"
    assert any("compiled in" in line for line in said), said


def settings(folder: Path, **changes: object) -> Settings:
    rows = (np.random.default_rng(0).random((700, 20)) < 0.3).astype(np.uint8)
    np.save(folder / "x.npy", rows)
    given = {"epochs": 4, "batch_size": 10, "hidden": (16,), "latent_dim": 2, "device": "cuda"} | changes
    return Settings(data=str(folder / "x.npy"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("compiling", ["off", "auto", "on"])
def test_runs_on_a_gpu(compiling: str, tmp_path: Path) -> None:
    """Eager, captured and compiled ones end alike, and at the figures that a processor gives."""
    ends, said = {}, []
    for device in ("cpu", "cuda"):
        how = "off" if device == "cpu" else compiling
        run = start(
            settings(tmp_path, device=device, compile=how, precision="float32"),
            tmp_path / device,
            on_choice=said.append,
        )
        ends[device] = run.history()[-1]["train_bound"]
    assert not [line for line in said if "one by one" in line or "not compiled" in line], said
    assert ends["cuda"] == pytest.approx(ends["cpu"], abs=0.3)
    few = EvaluationSettings(num_samples=500, limit=40, refine_steps=5)
    one, other = (evaluate_run(run, run.dataset(), few, device=d) for d in ("cpu", "cuda"))
    assert other["iwae"]["value"] == pytest.approx(one["iwae"]["value"], abs=0.05)
    assert other["elbo"]["value"] == pytest.approx(one["elbo"]["value"], abs=0.05)


def test_a_run_that_is_gone_on_with_ends_where_it_would_have(tmp_path: Path) -> None:
    whole = start(settings(tmp_path), tmp_path / "whole")
    start(settings(tmp_path, epochs=2), tmp_path / "parts")
    parts = resume(tmp_path / "parts", {"epochs": 4})
    ends = [run.history()[-1]["train_bound"] for run in (whole, parts)]
    assert ends[1] == pytest.approx(ends[0], rel=1e-3)


def test_convolutions_of_float32_are_not_rounded(tmp_path: Path) -> None:
    """The bound of one image model on a processor and on a GPU, which could take tf32."""
    draws = np.random.default_rng(0).integers(0, 256, size=(60, 16, 16)).astype(np.uint8)
    np.save(tmp_path / "x.npy", draws)
    run = start(
        Settings(data=str(tmp_path / "x.npy"), network="conv", epochs=1, latent_dim=4, device="cpu"),
        tmp_path / "run",
    )
    x = next(iter(run.blocks(run.dataset(), "test")))
    z = torch.randn(1, len(x), 4, generator=torch.Generator().manual_seed(0))
    values = [
        run.model(device).likelihood((z.to(device),)).log_prob(x.to(device)).cpu()
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-2)


def test_a_step_that_waits_is_refused_and_leaves_the_generator_usable() -> None:
    it = on_gpu("likelihood normal")
    step = Step(it.slope, it.state.optimizer)
    step(it.rows[:8])
    prepare = it.slope.prepare
    it.slope.prepare = lambda rows, generator: prepare(rows, generator) * rows.abs().max().item()
    with pytest.raises(RuntimeError), unvalidated():
        Launches(step, it.rows, 8, cuda_graph, steps=2)
    with pytest.raises(RuntimeError):
        cuda_graph(lambda: print(torch.rand(3, device="cuda").sum().item()))
    torch.rand(3, device="cuda")
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


def test_too_large_a_batch_is_named(tmp_path: Path) -> None:
    from jensen.errors import UserError

    big = settings(tmp_path, batch_size=500, num_samples=2_000_000, hidden=(4096,), compile="off")
    with pytest.raises(UserError, match="memory ran out in epoch 1: lower --batch-size"):
        start(big, tmp_path / "run")
