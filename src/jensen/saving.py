"""When a run is written while it trains, and what of it is kept when training ends early."""

import contextlib
import time
from collections.abc import Callable

from jensen.errors import UserError
from jensen.run import Run, UnwrittenError
from jensen.tensors import save_tensors
from jensen.training.state import Kept, TrainingState

SAVE_SECONDS = 5.0
"""A checkpoint is written after the first epoch, and then when so much time has passed since the last one."""
SAVE_COST = 0.05
"""Seconds of writing that this is meant for; where it takes longer, the wait is longer in proportion."""


class Saving:
    """Writes a run as its epochs end.

    Args:
        run: where to.
        state: where training starts.
        replaces: of a run over another: called once, when an epoch is done, to end the other.
    """

    def __init__(self, run: Run, state: TrainingState, replaces: Callable[[], None] | None) -> None:
        self.run, self.replaces = run, replaces
        self.due = time.monotonic()
        self.kept = Kept(state)

    def after_epoch(self, state: TrainingState) -> None:
        """Keep the state in memory, and write it if that is due."""
        self.kept.take()
        if self.replaces is not None:
            self.replaces()
            self.replaces = None
        if (began := time.monotonic()) >= self.due:
            self.run.save(state)
            now = time.monotonic()
            self.due = now + SAVE_SECONDS * max(1.0, (now - began) / SAVE_COST)

    def failed(self, state: TrainingState, error: UserError) -> None:
        """Keep the best weights of a training that diverged: its optimizer's state is of no use."""
        # But where no checkpoint found room, weights alone would be a run that can neither go on nor begin.
        room = self.run.checkpoint.exists() or not isinstance(error, UnwrittenError)
        if self.replaces is None and state.best and room:
            with contextlib.suppress(UserError):  # what went wrong first is what the user must know
                save_tensors(self.run.path / "model.safetensors", state.best, {"config": self.run.identity})

    def interrupted(self) -> int | None:
        """Write the whole epochs of a training that was stopped in one, and say how many there are.

        None where the run before is still there, as it was.
        """
        done = self.kept.put_back()
        if self.replaces is not None:
            return None
        if done.epoch:
            self.run.save(done)
        return done.epoch
