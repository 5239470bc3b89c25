"""When and how the engine compiles, launches and falls back; the weights must not depend on any of it."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

import jensen.data.stream
import jensen.saving
import jensen.training.engine
import jensen.training.worth
from jensen.config import Settings
from jensen.data.stream import RowStream
from jensen.errors import UserError
from jensen.mode import unvalidated
from jensen.objectives import elbo, pathwise
from jensen.session import resume, start
from jensen.training.engine import GATHERED, Engine
from jensen.training.loop import TrainingData, _reason_to_stop, train
from jensen.training.optimizer import Optimizer
from jensen.training.plan import Plan
from jensen.training.schedules import kl_weight
from jensen.training.step import Step
from jensen.training.witness import Witness
from jensen.training.worth import Work, count_work, is_worth_it
from tests.training.cases import CASES, Problem, problem
from tests.training.test_compiler import as_traced, before_weights
from tests.training.test_resume import SMALL, StoppedError, assert_equal, figures, rows, stop_after

__all__ = ["rows"]
CPU = torch.device("cpu")


def noisy(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """A backend whose rounding differs from the eager step's, as a real compiler's does."""

    def run(*tensors: Tensor) -> Any:
        values = graph(*tensors)
        tensors[before_weights(graph)].mul_(1 + 1e-6)
        return values

    return run


def weights(engine: Engine) -> list[Tensor]:
    return list(engine.state.model.state_dict().values())


def trained(name: str, epochs: int = 3, **options: Any) -> Engine:
    it = problem(name)
    settings = it.settings.replace(**options.pop("settings", {}))
    engine = Engine(it.state, it.rows, it.slope, settings, **options)
    for _ in range(epochs):
        torch.manual_seed(5)
        engine.epoch(1.0)
    return engine


@pytest.mark.parametrize("name", ["dynamic binarization", "score function, running mean", "adamw"])
def test_a_compiled_run_takes_the_steps_of_an_eager_one(name: str) -> None:
    said: list[str] = []
    eager = trained(name, settings={"compile": "off"})
    compiled = trained(name, settings={"compile": "on"}, backend=as_traced, say=said.append)
    assert compiled.step.compiled is not None, said
    assert compiled.state.compiled_from == 0
    torch.testing.assert_close(weights(eager), weights(compiled), rtol=1e-4, atol=1e-6)
    assert eager.step.total.item() == pytest.approx(compiled.step.total.item(), rel=1e-5)


def test_batches_gathered_at_once_are_those_gathered_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = trained("dynamic binarization", settings={"compile": "off"})
    assert at_once.rows[: 2 * at_once.batch_size].nbytes <= GATHERED, "more than one batch is gathered"
    monkeypatch.setattr("jensen.training.engine.GATHERED", 1)
    singly = trained("dynamic binarization", settings={"compile": "off"})
    assert all(map(torch.equal, weights(at_once), weights(singly)))


@pytest.mark.parametrize("steps", [1, 2])
def test_steps_launched_together_are_the_steps_taken_singly(steps: int) -> None:
    """With Python in the place of a CUDA graph: the same batches in the same order, to the last bit."""
    captured: list[int] = []

    def replayed(function: Callable[[], None]) -> Callable[[], None]:
        captured.append(1)
        return function

    singly = trained("dynamic binarization", settings={"batch_size": 6})
    it = problem("dynamic binarization", batch_size=6)  # eight full batches, and one of two rows
    engine = Engine(it.state, it.rows, it.slope, it.settings, capture=replayed)
    for _ in range(3):
        torch.manual_seed(5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jensen.training.engine, "STEPS", steps)
            engine.epoch(1.0)
    assert len(captured) == 1, "captured once"
    assert all(map(torch.equal, weights(singly), weights(engine)))


def test_steps_of_a_stream_are_launched_together_too() -> None:
    """Piece by piece: the weights, to the last bit, of steps taken singly."""
    captured: list[int] = []

    def replayed(function: Callable[[], None]) -> Callable[[], None]:
        captured.append(1)
        return function

    def streamed(capture: Callable[..., Any] | None) -> Engine:
        it = problem("dynamic binarization", batch_size=6)
        rows = RowStream(it.rows, torch.arange(len(it.rows)), seed=2, epoch_rows=32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jensen.training.engine, "STEPS", 2)
            patch.setattr(jensen.data.stream, "BUFFER", 20)  # two pieces an epoch
            engine = Engine(it.state, rows, it.slope, it.settings, capture=capture)
            for _ in range(3):
                torch.manual_seed(5)
                engine.epoch(1.0)
                assert engine.seen == 32
        return engine

    singly, together = streamed(None), streamed(replayed)
    assert together.launches is not None
    assert len(captured) == 1, "captured once"
    assert all(map(torch.equal, weights(singly), weights(together)))


def test_compiling_is_not_counted_as_training() -> None:
    """Neither in the pace nor in what the next epoch will take."""

    def slow(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        time.sleep(1.0)
        return graph

    it = problem("dynamic binarization")
    plan = it.settings.replace(compile="on", epochs=2, patience=0)
    data = TrainingData(it.rows, it.slope.prepare, lambda: iter([it.slope.prepare(it.rows[:10], None)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine.__init__, "__defaults__", (*Engine.__init__.__defaults__[:-2], slow, None))
        state = train(it.state, data, it.slope.bound, it.slope.estimator, plan)
    first, second = state.history
    assert first["compiling"] >= 1.0
    assert second["compiling"] == 0.0
    assert len(it.rows) / first["rows_per_second"] < first["seconds"] - 1.0
    state.history, state.seconds = [{"seconds": 60.0, "compiling": 50.0}], 60.0
    assert not _reason_to_stop(state, plan.replace(max_time=71.0)), "the next epoch will take ten seconds"
    assert _reason_to_stop(state, plan.replace(max_time=69.0))


def test_a_launch_begins_at_the_rate_of_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA graph replays what was done to tensors, without the Python of a compiled step."""

    def replayed(function: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Optimizer, "refresh", lambda self: None)
                function()

        return replay

    def moved(capture: Callable[..., Any] | None) -> Engine:
        it = problem("dynamic binarization", batch_size=6)
        engine = Engine(
            it.state, it.rows, it.slope, it.settings.replace(compile="on"), backend=as_traced, capture=capture
        )
        for rate in (1e-2, 1e-6, 1e-2):
            engine.state.optimizer.set_rate(rate)
            torch.manual_seed(5)
            engine.epoch(1.0)
        return engine

    monkeypatch.setattr(jensen.training.engine, "STEPS", 2)
    singly, together = moved(None), moved(replayed)
    assert together.launches is not None
    assert all(map(torch.equal, weights(singly), weights(together)))


def test_an_eager_step_after_a_launch_takes_the_rates_of_its_own_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The short batch of an epoch: a replay counts on the device, and the host does not see it."""

    def replayed(function: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            optimizer = it.state.optimizer
            optimizer.behind = True  # as when it was recorded
            function()
            optimizer.prepare(optimizer.count - 1, optimizer.lr, optimizer.rates)  # what it left there
            optimizer.behind = False

        return replay

    monkeypatch.setattr(jensen.training.engine, "STEPS", 2)
    ends = []
    for capture in (None, replayed):
        it = problem("averaged", batch_size=6)
        engine = Engine(it.state, it.rows, it.slope, it.settings, capture=capture)
        torch.manual_seed(5)
        engine.epoch(1.0)
        ends.append(list(it.state.optimizer.tensors().values()))
    assert engine.launches is not None
    assert all(map(torch.equal, *ends))


def test_an_epoch_has_as_many_rows_as_were_asked_for() -> None:
    it = problem("likelihood normal")
    seen: list[Tensor] = []
    prepare = it.slope.prepare
    it.slope.prepare = lambda rows, generator: seen.append(rows) or prepare(rows, generator)  # type: ignore[func-returns-value]
    engine = Engine(it.state, it.rows, it.slope, it.settings.replace(epoch_rows=20))
    for _ in range(2):
        engine.epoch(1.0)
        it.state.history.append({})
    assert engine.seen == 20
    assert [len(rows) for rows in seen] == [16, 4] * 2
    one, other = torch.cat(seen[:2]), torch.cat(seen[2:])
    assert not torch.equal(one.sort(0).values, other.sort(0).values), "other rows in the next epoch"
    assert Engine(it.state, it.rows, it.slope, it.settings.replace(epoch_rows=5)).batch_size == 5


def test_what_cannot_be_captured_is_taken_singly() -> None:
    def refused(function: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    said: list[str] = []
    options = {"batch_size": 2}  # 25 batches: enough for a launch
    engine = trained("likelihood normal", settings=options, capture=refused, say=said.append)
    assert said == ["steps are launched one by one: operation not permitted when stream is capturing"]
    assert all(map(torch.equal, weights(engine), weights(trained("likelihood normal", settings=options))))


def scheduled(number: Any) -> Problem:
    """A problem whose estimator weighs the bound by ``number[0]``."""
    it = problem("likelihood normal")
    it.slope.estimator = lambda *given: pathwise(*given) * number[0]
    return it


def over_epochs(it: Problem, change: Callable[[int], None], **options: Any) -> tuple[Engine, list[str]]:
    """Four epochs, each after a change."""
    said: list[str] = []
    plan = it.settings.replace(**{"compile": "on", **options.pop("settings", {})})
    engine = Engine(it.state, it.rows, it.slope, plan, said.append, as_traced, **options)
    for epoch in range(4):
        change(epoch)
        torch.manual_seed(5)
        engine.epoch(1.0)
        it.state.history.append({})
    return engine, said


CHANGED = (
    "the step has changed since it was compiled, by a number outside its tensors; training goes on without"
)


def test_a_number_that_changes_between_epochs_ends_compiled_steps() -> None:
    ends = []
    for compiling in ("on", "off"):
        number = [1.0]
        change = lambda epoch, n=number: n.__setitem__(0, 1.0 + epoch)  # noqa: E731
        engine, said = over_epochs(scheduled(number), change, settings={"compile": compiling})
        assert engine.step.compiled is None
        assert said.count(CHANGED) == (compiling == "on")
        ends.append(weights(engine))
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


def test_a_number_that_changes_ends_launches_and_is_remembered() -> None:
    number = [1.0]
    it = scheduled(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jensen.training.engine, "STEPS", 1)
        engine, said = over_epochs(
            it,
            lambda epoch: number.__setitem__(0, 1.0 + epoch),
            settings={"compile": "auto"},
            capture=lambda function: function,
        )
    assert engine.launches is None
    assert said == [CHANGED]
    assert it.state.changing
    assert Engine(it.state, it.rows, it.slope, it.settings.replace(compile="on")).settled


def test_a_tensor_that_changes_in_place_goes_on_compiled() -> None:
    ends = []
    for compiling in ("on", "off"):
        number = torch.ones(1)
        change = lambda epoch, n=number: n.fill_(1.0 + epoch)  # noqa: E731
        engine, said = over_epochs(scheduled(number), change, settings={"compile": compiling})
        assert (engine.step.compiled is not None) == (compiling == "on")
        assert CHANGED not in said
        assert number.item() == 4
        ends.append(weights(engine))
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


def test_a_late_change_is_found_within_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    it = problem("likelihood normal")  # four steps an epoch
    monkeypatch.setattr(jensen.training.engine, "WITNESSED", 8)
    monkeypatch.setattr(Witness, "agrees", lambda witness: bool(asked.append(it.state.epoch)) or True)
    over_epochs(it, lambda epoch: None)
    assert asked == [1, 3]


@pytest.mark.parametrize("name", CASES)
def test_training_itself_does_not_change_a_step(name: str) -> None:
    it = problem(name)
    witness = Witness(it.slope, it.rows[:16], it.weight)
    step = Step(it.slope, it.state.optimizer)
    for _ in range(2):
        step(it.rows[16:32])
    before = [tensor.clone() for tensor in it.slope.state_dict().values()]
    assert witness.agrees()
    assert all(map(torch.equal, before, it.slope.state_dict().values()))


def test_a_parameter_that_is_frozen_changes_the_step() -> None:
    it = problem("likelihood normal")
    witness = Witness(it.slope, it.rows[:16], it.weight)
    it.slope.learned[0].requires_grad_(False)
    assert not witness.agrees()


def test_a_compiler_that_fails_leaves_the_run_as_it_is() -> None:
    def broken(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        raise RuntimeError("no space left on device")

    said: list[str] = []
    engine = trained("likelihood normal", settings={"compile": "on"}, backend=broken, say=said.append)
    assert said[1:] == [
        "the training step is not compiled: RuntimeError: no space left on device; training goes on without"
    ]
    assert engine.state.compiled_from is None
    assert all(map(torch.equal, weights(engine), weights(trained("likelihood normal"))))


def test_work_is_counted() -> None:
    """Products: x W' for each layer, twice that backward, but no gradient by the data; K samples decoded."""
    it = problem("likelihood normal")
    work = count_work(it.slope, it.rows[:16], it.weight)
    widths = [(6, 8), (8, 4), (2, 8), (8, 6)]
    forward = sum(2 * 16 * a * b for a, b in widths)
    assert work.flops == 3 * forward - 2 * 16 * 6 * 8
    assert work.operations > 50


def test_compiling_waits_until_it_is_worth_it() -> None:
    work = Work(operations=1000, flops=0)
    a_step, cost = work.seconds(CPU), work.compilation(CPU)
    assert (a_step, cost) == pytest.approx((8e-3, 160.0))
    steps = 1000  # an epoch of 8 nominal seconds
    epochs = lambda n, **more: Plan(epochs=n, **{"patience": 10, **more})  # noqa: E731
    assert not is_worth_it(work, steps, 2, epochs(1000), CPU), "16 seconds in, and patience may end it"
    assert is_worth_it(work, steps, 3, epochs(1000), CPU)
    enough = math.ceil(3 + cost / 0.2 / 8)
    assert not is_worth_it(work, steps, 3, epochs(enough), CPU), "too little is left"
    assert is_worth_it(work, steps, 3, epochs(enough + 1), CPU)
    assert not is_worth_it(work, steps, 3, epochs(1000, max_time=600), CPU), "too little time is left"


def test_a_run_that_is_surely_long_is_compiled_at_once() -> None:
    work, steps = Work(operations=1000, flops=0), 1000
    enough = math.ceil(work.compilation(CPU) / 0.2 / 8)  # epochs
    assert is_worth_it(work, steps, 0, Plan(epochs=enough + 1, patience=0), CPU)
    assert not is_worth_it(work, steps, 0, Plan(epochs=enough, patience=0), CPU)
    assert is_worth_it(work, steps, 0, Plan(epochs=1000, patience=enough), CPU)
    assert not is_worth_it(work, steps, 0, Plan(epochs=1000, patience=enough - 1), CPU), "it may end early"
    assert not is_worth_it(work, steps, 0, Plan(epochs=1000, patience=0, max_time=700), CPU)


@pytest.fixture
def eager_to_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling pays from the third epoch on, and rounds differently."""
    monkeypatch.setattr(jensen.saving, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(jensen.training.engine, "is_short", lambda steps: False)
    monkeypatch.setattr(
        jensen.training.engine, "is_worth_it", lambda work, steps, epoch, plan, device: epoch >= 2
    )
    monkeypatch.setattr(Engine.__init__, "__defaults__", ((lambda said: None), noisy, None))


@pytest.mark.usefixtures("eager_to_compiled")
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_stopped_before_or_after_compiling_equals_never_stopped(
    stop: int, rows: dict[str, str], tmp_path: Path
) -> None:
    settings = Settings(data=rows["normal"], epochs=5, **SMALL)
    whole = start(settings, tmp_path / "whole")
    with pytest.raises(StoppedError):
        start(settings, tmp_path / "stopped", on_epoch=stop_after(stop))
    assert_equal(resume(tmp_path / "stopped", {}), whole)
    eager = start(settings.replace(compile="off"), tmp_path / "eager")
    assert figures(eager)[:2] == figures(whole)[:2]
    assert figures(eager)[2:] != figures(whole)[2:], "nothing was compiled, so this test shows nothing"


@pytest.mark.usefixtures("eager_to_compiled")
def test_a_compiled_run_may_be_resumed_without_the_compiler(rows: dict[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(data=rows["normal"], epochs=4, **SMALL)
    with pytest.raises(StoppedError):
        start(settings, tmp_path / "a", on_epoch=stop_after(3), on_choice=said.append)
    assert any("compiling" in line for line in said)
    said.clear()
    assert len(resume(tmp_path / "a", {"compile": "off"}, on_choice=said.append).history()) == 4
    assert said == []


def test_the_weight_of_the_kl_rises() -> None:
    plan = Plan(kl_warmup=4)
    assert [kl_weight(epoch, plan) for epoch in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert kl_weight(0, Plan()) == 1.0


class Checked(nn.Module):
    """A family whose distribution checks its arguments, as torch's do unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.checks.append(Distribution._validate_args)
        return x


def test_arguments_are_checked_at_the_first_step_alone_and_the_switch_is_left_as_it_was() -> None:
    it = problem("likelihood normal")
    it.state.model.encoder.network = nn.Sequential(Checked(), it.state.model.encoder.network)
    engine = Engine(it.state, it.rows, it.slope, it.settings)
    before = Distribution._validate_args
    engine.epoch(1.0)
    assert it.state.model.encoder.network[0].checks == [before, False, False, False]
    assert Distribution._validate_args == before
    with pytest.raises(ZeroDivisionError), unvalidated():
        raise ZeroDivisionError
    assert Distribution._validate_args == before


def test_two_threads_that_overlap_leave_the_checks_as_they_were() -> None:
    before = Distribution._validate_args
    one, other = unvalidated(), unvalidated()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not Distribution._validate_args, "the other thread is still inside"
    other.__exit__(None, None, None)
    assert Distribution._validate_args == before


@pytest.mark.parametrize(
    "shortage",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("x: can't allocate memory: y"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_running_out_of_memory_names_the_setting_to_lower(shortage: Exception) -> None:
    it = problem("bound iwae")
    calls = []

    def greedy(bound: Any, model: Any, x: Tensor, num_samples: int) -> Tensor:
        calls.append(1)
        if len(calls) > 4:
            raise shortage
        return pathwise(elbo, model, x, num_samples)

    data = TrainingData(it.rows, it.slope.prepare, lambda: iter([it.slope.prepare(it.rows[:10], None)]))
    with pytest.raises(UserError) as error:
        train(it.state, data, elbo, greedy, it.settings.replace(compile="off"))
    assert str(error.value) == (
        "memory ran out in epoch 2: lower --batch-size (now 16) or --num-samples (now 3); "
        "the last checkpoint is kept"
    )


def test_other_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    it = problem("likelihood normal")

    def faulty(bound: Any, model: Any, x: Tensor, num_samples: int) -> Tensor:
        raise RuntimeError("a fault of ours")

    data = TrainingData(it.rows, it.slope.prepare, lambda: iter(()))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        train(it.state, data, elbo, faulty, it.settings)


def test_a_batch_larger_than_the_data_is_said(rows: dict[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(data=rows["normal"], epochs=1, **{**SMALL, "batch_size": 500})
    assert len(start(settings, tmp_path / "a", on_choice=said.append).history()) == 1
    assert said == ["--batch-size 500 is more than the 72 training rows: an epoch is one step"]
