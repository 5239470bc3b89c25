"""What runs an epoch: batches by index from resident rows, and a step that is compiled when that pays."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jensen.data.seeds import derive_seed
from jensen.data.stream import RowStream
from jensen.mode import unvalidated
from jensen.training.compiler import Backend, compile_step, inductor
from jensen.training.launches import STEPS, WARM_UP, Capture, Launches, cuda_graph
from jensen.training.plan import Plan
from jensen.training.state import TrainingState
from jensen.training.step import Slope, Step
from jensen.training.tracing import CompilationError
from jensen.training.witness import Witness
from jensen.training.worth import Work, count_work, is_short, is_worth_it

Say = Callable[[str], None]
"""Told, in one line, what a user might wonder about."""

SHARE_OF_GPU = 0.5
"""Of a GPU's free memory that the rows may take; larger data stay on the host."""


GATHERED = 2**20
"""Bytes of rows that are gathered at once: several batches, where they are small."""
WITNESSED = 200
"""Steps, at the least, between two checks that recorded steps still do what an eager step would do. What has
held for some epochs is checked again after as many more. A check costs as much as a few eager steps."""


def place(rows: Tensor | RowStream, device: torch.device) -> Tensor | RowStream:
    """The rows where batches are taken from: on the device if they fit there, else on the host."""
    if device.type != "cuda" or isinstance(rows, RowStream):
        return rows
    free, _ = torch.cuda.mem_get_info(device)
    return rows.to(device) if rows.nbytes <= SHARE_OF_GPU * free else rows


class Engine:
    """Takes the steps of each epoch.

    Args:
        state: of the run; its ``compiled_from`` says from which epoch on the step is compiled.
        rows: the training rows as stored, ``[N, *event]``, where `place` has put them; or a stream of them.
        slope: the step up to the optimizer's update.
        plan: batch size, seed, whether to compile.
        say: told when the step is compiled, or why it is not.
        backend: compiles the step's graph.
        capture: records several steps as one launch; None where steps are launched one by one.
    """

    def __init__(
        self,
        state: TrainingState,
        rows: Tensor | RowStream,
        slope: Slope,
        plan: Plan,
        say: Say = lambda said: None,
        backend: Backend = inductor,
        capture: Capture | None = None,
    ) -> None:
        self.state, self.rows, self.slope, self.plan, self.say = state, rows, slope, plan, say
        self.backend = backend
        self.settled = plan.compile == "off" or state.changing
        """Whether there is nothing more to compile."""
        self.step = Step(slope, state.optimizer)
        near = rows.is_cuda if isinstance(rows, Tensor) else self.step.device.type == "cuda"
        self.capture = capture or (cuda_graph if near and not self.settled else None)
        self.seen = (
            rows.epoch_rows if isinstance(rows, RowStream) else min(len(rows), plan.epoch_rows or len(rows))
        )
        """Rows of an epoch."""
        self.batch_size = min(plan.batch_size, self.seen)
        self.work: Work | None = None
        self.launches: Launches | None = None
        self.witness: Witness | None = None
        """Knows what was compiled or captured."""
        self.recorded = self.witnessed = 0
        """The epoch in which it was made, and the first in which to consult it."""
        self.compiling = 0.0
        """Seconds that compiling took, in all."""

    def epoch(self, weight: float) -> float:
        """One pass over the rows in random order: the sum of the bound over them.

        Args:
            weight: of the KL, during its warm-up.
        """
        self.slope.model.train()
        self.step.reset(weight)
        self._look_for_changes()
        if not self.settled and (self.plan.compile == "on" or self.state.compiled_from is not None):
            self._compile()
        seed = derive_seed(self.plan.seed, "rows", self.state.number)
        if isinstance(self.rows, RowStream):
            self.seen, generator = 0, torch.Generator().manual_seed(seed)
            for piece, order in self.rows.pieces(self.batch_size, generator, self.state.epoch):
                self._pass(piece.to(self.step.device), order.to(self.step.device))
                self.seen += len(order)
        else:
            generator = torch.Generator(self.rows.device).manual_seed(seed)
            order = torch.randperm(len(self.rows), generator=generator, device=self.rows.device)
            self._pass(self.rows, order[: self.seen])
        return self.step.total.item()

    def decide(self) -> None:
        """Before the first epoch, and between an epoch and its checkpoint: decide whether to compile now."""
        state, plan = self.state, self.plan
        if self.settled or state.compiled_from is not None or is_short(plan.epochs * self._steps()):
            return
        if self.work is None:
            self.slope.model.train()
            with unvalidated():
                self.work = count_work(self.slope, self.some_rows(), self.step.weight)
        if is_worth_it(self.work, self._steps(), state.epoch, plan, self.step.device):
            state.compiled_from = state.epoch

    def _steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.seen // self.batch_size)

    def some_rows(self) -> Tensor:
        """The first rows as stored, as many as a batch has, on the step's device."""
        count = self.batch_size
        rows = self.rows.first(count) if isinstance(self.rows, RowStream) else self.rows[:count]
        return rows.to(self.step.device)

    def _compile(self) -> None:
        """Compile the step; where that fails, say why and go on as before."""
        self.settled = True
        began = time.perf_counter()
        stored = self.some_rows()
        self.say("compiling the training step (half a minute or more; seconds if it was compiled before)")
        try:
            with unvalidated():
                compiled = compile_step(
                    self.slope, self.state.optimizer, stored, self.step.weight, self.backend
                )
        except CompilationError as error:
            self.say(f"the training step is not compiled: {error}; training goes on without")
            return
        finally:
            self.compiling += time.perf_counter() - began
        self.step.compiled, self.step.compiled_size = compiled, len(stored)
        self._testify(compiled.constants)
        self.launches = None  # what was captured was not compiled
        if self.state.compiled_from is None:
            self.state.compiled_from = self.state.epoch
        self.say(f"compiled in {time.perf_counter() - began:.0f} s")

    def _testify(self, others: Sequence[Tensor] = ()) -> None:
        """Record what the step does now that it is compiled or captured."""
        self.witness = Witness(self.slope, self.some_rows(), self.step.weight, others)
        self.recorded = self.state.epoch
        self.witnessed = self.recorded + 1

    def _look_for_changes(self) -> None:
        """Go on with eager steps if the step is no longer the one that was recorded."""
        if self.witness is None or self.state.epoch < self.witnessed:
            return
        held = self.state.epoch - self.recorded
        self.witnessed = self.state.epoch + max(held, -(-WITNESSED // self._steps()))
        if not self.witness.agrees():
            self.witness = self.step.compiled = self.launches = self.capture = None
            self.settled = self.state.changing = True
            self.say(
                "the step has changed since it was compiled, by a number outside its tensors; "
                "training goes on without"
            )

    def _pass(self, rows: Tensor, order: Tensor) -> None:
        """Take steps on the rows with these numbers: together, as far as possible, then one by one."""
        if self.capture is not None:
            order = self._launch(rows, order, self.capture)
        self._take(rows, order)

    def _take(self, rows: Tensor, order: Tensor) -> None:
        """Take steps one by one, on the rows with these numbers."""
        batch_bytes = self.batch_size * rows[:1].nbytes
        some = self.batch_size * max(1, GATHERED // max(1, batch_bytes))
        for index in order.split(some) if len(order) else ():
            gathered = self._gathered(rows, index).to(self.step.device, non_blocking=True)
            for stored in gathered.split(self.batch_size):
                self.step(stored)

    def _gathered(self, rows: Tensor, index: Tensor) -> Tensor:
        """The rows with these numbers; for a GPU in pinned memory, so that nothing waits for them."""
        if self.step.device.type != "cuda" or rows.is_cuda:
            return rows.index_select(0, index)
        pinned = torch.empty(len(index), *rows.shape[1:], dtype=rows.dtype, pin_memory=True)
        return torch.index_select(rows, 0, index, out=pinned)

    def _launch(self, rows: Tensor, order: Tensor, capture: Capture) -> Tensor:
        """Take the steps that can be launched together; return the row numbers that are left."""
        first = self.batch_size * max(0, WARM_UP - self.step.taken)
        self._take(rows, order[:first])
        if self.launches is None and len(order) - first >= STEPS * self.batch_size:
            try:
                with unvalidated():
                    self.launches = Launches(self.step, rows, self.batch_size, capture, STEPS)
                if self.witness is None:
                    self._testify()
            except RuntimeError as error:  # a step that waits for the host cannot be captured
                self.say(f"steps are launched one by one: {str(error).splitlines()[0]}")
                self.capture = None
        return order[first:] if self.launches is None else self.launches.take(rows, order[first:])
