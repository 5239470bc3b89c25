"""The command line. Importing it imports no torch, so that ``jensen --help`` is quick."""

import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from jensen._version import __version__
from jensen.errors import UserError, did_you_mean
from jensen.memory import keep_large_blocks, within_memory

COMMANDS = {
    "train": "train a VAE on a data set or file, into a run's folder",
    "evaluate": "bounds on log p(x) in nats, with standard errors",
    "sample": "draw new data from a run's model",
    "encode": "posterior mean and standard deviation of each row",
    "reconstruct": "each row as the model sees it: E[x | z] at the posterior mean",
    "score": "log p(x) of each row: rare rows score low, and which columns make them rare",
    "impute": "fill the missing cells of a table, or draw them several times over",
    "report": "one self-contained HTML page about a run",
}

LOWER = {
    "train": "lower --batch-size, --num-samples, --hidden or --latent-dim",
    "evaluate": "lower --num-samples or --limit",
    "sample": "lower -n",
    "encode": "give the rows in several files",
    "reconstruct": "give the rows in several files",
    "score": "lower --num-samples, or give the rows in several files",
    "impute": "lower --num-samples or --draws, or give the rows in several files",
    "report": "lower --num-samples or --limit",
}
"""What takes less memory."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a standard output that takes no more."""

USAGE = "\n".join(
    [
        "usage: jensen COMMAND [OPTIONS]",
        "",
        "Variational autoencoders for your own data, with numbers you can trust.",
        "",
        *(f"  jensen {name:<12} {summary}" for name, summary in COMMANDS.items()),
        "",
        "  jensen COMMAND --help says what a command takes; jensen --version, which version this is.",
        "",
        "A first run:",
        "  jensen train digits --out runs/digits",
        "  jensen evaluate runs/digits",
        "  jensen sample runs/digits -n 64 -o new.png",
    ]
)


def _prepare_process() -> None:
    """What a training process on a CPU needs of its system, before torch starts."""
    # Not where the user has chosen how many OpenMP threads there are (as in parallel tests).
    ours = None if "OMP_NUM_THREADS" in os.environ else _processor_is_ours()
    if ours:
        # Two threads that land on one CPU stall each other 10 to 40 times, so each is bound to its own. Not
        # where other processes have their share: a thread that is bound cannot get out of their way.
        os.environ.setdefault("OMP_PROC_BIND", "true")
    elif ours is False and "GOMP_SPINCOUNT" not in os.environ:
        # A thread that waits for the others of a step spins, and keeps the core from the one that it waits
        # for, which has to share it with another process: up to 10 times as slow. Let it sleep.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_large_blocks()


def _processor_is_ours() -> bool | None:
    """Whether this process may use every core, and the machine does little else; None: nobody can tell."""
    cores = os.cpu_count() or 1
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        return len(os.sched_getaffinity(0)) == cores and os.getloadavg()[0] < cores / 2
    return None


class Terminated(KeyboardInterrupt):
    """SIGTERM came, by which clusters end a job whose time is up."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does."""

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread, the only one that signals reach
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    The exit status is 0 (done), 2 (the user's input is wrong), 1 (our fault), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_process()
    try:
        with _terminable():
            _run(words)
            sys.stdout.flush()
    except UserError as error:
        print(f"jensen: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(": ".join(["jensen: interrupted", *map(str, interrupt.args)]), file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output left, as `head` does
        _let_output_go()
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            raise
        _let_output_go()
        print(
            f"jensen: cannot write to standard output: {error.strerror}; free space there, or send it to "
            "another place",
            file=sys.stderr,
        )
        return 2
    return 0


def _let_output_go() -> None:
    """Where standard output takes no more: nowhere, lest what is left be flushed to it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> None:
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
    if not words or words[0] in ("--help", "-h", "help"):
        print(USAGE)
    elif words[0] == "--version":
        print(f"jensen {__version__}")
    elif words[0] in COMMANDS:
        with within_memory(lambda: f"; {LOWER[words[0]]}"):
            importlib.import_module(f"jensen.cli.{words[0]}").main(words[1:])
    else:
        near = did_you_mean(words[0], COMMANDS)
        raise UserError(f"unknown command {words[0]!r}{near}; the commands are {', '.join(COMMANDS)}")
