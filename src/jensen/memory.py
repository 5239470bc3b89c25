"""Memory: when it does not suffice, which setting to lower; and how much was used. Free of torch."""

import contextlib
import ctypes
import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jensen.errors import UserError

SHORTAGES = (
    "can't allocate memory",
    "out of memory",
    "Storage size calculation overflowed",
)
"""What torch says, in errors of several types, where there is no memory or no number for so much of it."""


@contextmanager
def within_memory(mend: Callable[[], str]) -> Iterator[None]:
    """Running out of memory inside becomes an error that names the setting to lower.

    Args:
        mend: says when it happened, and what to do: what follows "memory ran out".

    Raises:
        UserError: the memory of the device, or of the machine, does not suffice.
    """
    try:
        yield
    except Exception as error:
        if not _is_shortage(error):
            raise
        raise UserError(f"memory ran out{mend()}") from None


def _is_shortage(error: Exception) -> bool:
    """Whether an error means that there is no memory left (on a CPU torch has no type of its own for it)."""
    if isinstance(error, UserError):
        return False
    full = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return full or isinstance(error, MemoryError) or any(said in str(error) for said in SHORTAGES)


def keep_large_blocks() -> None:
    """Have this process keep the memory that it frees, where its allocator is glibc's.

    That hands large blocks back to the system at every step, and takes as many page faults to get them again:
    10 to 20 % of an eager step, or of a compiled one with many samples.
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc: nothing to mend
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


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
