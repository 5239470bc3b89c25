"""Writing a run while it trains: what is written, when, and what is kept when training ends early."""

import contextlib
import time
from collections.abc import Callable

from jensen.errors import UserError
from jensen.files import atomic
from jensen.run import Run
from jensen.tensors import save_tensors
from jensen.training.history import as_lines
from jensen.training.state import Kept, TrainingState

SAVE_SECONDS = 5.0
"""A checkpoint is written after the first epoch, and then when so much time has passed since the last one."""
SAVE_COST = 0.05
"""Seconds of writing that this is meant for; where it takes longer, the wait is longer in proportion."""


class UnwrittenError(UserError):
    """The files of a run could not be written, as on a full disk."""


def write(run: Run, state: TrainingState) -> None:
    """Write checkpoint, weights and metrics, each atomically; the checkpoint, which decides, first.

    Raises:
        UnwrittenError: one of them cannot be written.
    """
    try:
        state.save(run.checkpoint, run.identity)
        _write_weights(run, state)
        with atomic(run.path / "metrics.jsonl") as temporary:
            temporary.write_bytes(as_lines(state.history))
    except UserError as error:
        raise UnwrittenError(
            f"{str(error).partition(';')[0]}; free space there and go on with `jensen train --resume "
            f"{run.path}`, or train into another folder with --out"
        ) from None


def _write_weights(run: Run, state: TrainingState) -> None:
    """Write the best weights, with the digest of the config.yaml that they belong to."""
    save_tensors(run.path / "model.safetensors", state.best, {"config": run.identity})


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
            write(self.run, state)
            now = time.monotonic()
            self.due = now + SAVE_SECONDS * max(1.0, (now - began) / SAVE_COST)

    def failed(self, state: TrainingState, error: UserError) -> None:
        """Keep the best weights of a training that diverged: its optimizer's state is of no use."""
        # But where no checkpoint found room, weights alone would be a run that can neither go on nor begin.
        room = self.run.checkpoint.exists() or not isinstance(error, UnwrittenError)
        if self.replaces is None and state.best and room:
            with contextlib.suppress(UserError):  # what went wrong first is what the user must know
                _write_weights(self.run, state)

    def interrupted(self) -> int | None:
        """Write the whole epochs of a training that was stopped in one, and say how many there are.

        None where the run before is still there, as it was.
        """
        done = self.kept.put_back()
        if self.replaces is not None:
            return None
        if done.epoch:
            write(self.run, done)
        return done.epoch
