"""Memory: when it does not suffice, which setting to lower; and how much was used."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from jensen.errors import UserError
from jensen.training.plan import Plan
from jensen.training.state import TrainingState


@contextmanager
def within_memory(plan: Plan, state: TrainingState) -> Iterator[None]:
    """Running out of memory inside becomes an error that names the setting to lower.

    Raises:
        UserError: the memory of the device, or of the machine, does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_shortage(error):
            raise
        samples = f" or --num-samples (now {plan.num_samples})" if plan.num_samples > 1 else ""
        kept = "; the last checkpoint is kept" if state.epoch else ""
        raise UserError(
            f"memory ran out in epoch {state.epoch + 1}: lower --batch-size (now {plan.batch_size})"
            f"{samples}{kept}"
        ) from None


def _is_shortage(error: Exception) -> bool:
    """Whether an error means that there is no memory left (on a CPU torch has no type of its own for it)."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def peak_memory() -> int | None:
    """The most memory that this process has held so far, bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose ru_maxrss begins at that of the parent process
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return None if line is None else int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
