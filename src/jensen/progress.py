"""A bar for what takes long, on standard error: where that is a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

Block = TypeVar("Block", bound=Sized)
Advance = Callable[[int], None]
"""Told how much more is done."""
Begin = Callable[[str, int], Advance]
"""Told what is begun, and how much of it there is to do."""

NARROW = 24
"""Letters of a bar that leaves room for long words, on a terminal of 80."""


@contextmanager
def bar(what: str, total: int | None, *, done: int = 0, in_bytes: bool = False) -> Iterator[Advance]:
    """Yield a function that is told of what more is done.

    Args:
        what: is done, as "decoding images".
        total: of it; None where it is not known.
        done: of it already.
        in_bytes: it is counted in bytes; then the bar says how fast they come, and stays.
    """
    if not sys.stderr.isatty():
        yield lambda more: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *(columns if in_bytes else Progress.get_default_columns()),
        console=Console(stderr=True),
        transient=not in_bytes,
    ) as shown:
        task = shown.add_task(what, total=total, completed=done)
        yield lambda more: shown.advance(task, more)


def told_of(blocks: Iterable[Block], told: Advance) -> Iterator[Block]:
    """The blocks of rows as they are; ``told`` of the rows of each when the next one is asked for."""
    for rows in blocks:
        yield rows
        told(len(rows))


def unseen(what: str, total: int) -> Advance:
    """A `Begin` that shows nothing."""
    return lambda more: None


@contextmanager
def parts() -> Iterator[Begin]:
    """Yield a `Begin` for work of several parts: one bar says which part it is at, and how far that is."""
    if not sys.stderr.isatty():
        yield unseen
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(NARROW),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:

        def begin(what: str, total: int) -> Advance:
            for before in shown.task_ids:
                shown.remove_task(before)
            task = shown.add_task(what, total=total)
            return lambda more: shown.advance(task, more)

        yield begin
