"""Many images as one array: decoded once by several threads, and kept in the cache."""

import errno
import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jensen.data.arrays import Array
from jensen.data.cache import cached, damaged
from jensen.data.images.checks import check_any, check_asked, check_bad, check_turned, common_size, times
from jensen.data.images.decode import BadImageError, Header, ImageOptions, Opened, decode, read_header
from jensen.data.words import count
from jensen.progress import Advance, bar

FORMAT = 3
"""Goes into the cache's key: raise it when the same images would be decoded, or spoken of, otherwise."""
IN_MEMORY = 1 << 28
"""Bytes up to which decoded images are read into memory; larger arrays stay on disk, memory-mapped."""
FAINT = 1 << 12
"""16-bit grey that stays below it keeps 16 of 256 levels at most: so do the 12 bits of many cameras."""
BLOCK = 256
"""Images decoded before the threads wait for each other: what is in memory at a time."""
EVERY_SECONDS = 5.0
"""Between two lines of progress, where there is no terminal."""

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images that are yet to be decoded.

    Attributes:
        source: what the user gave.
        names: what to call each.
        open: the file, or the bytes, of an image by its number.
        identity: what tells them from changed ones, as JSON can write it.
    """

    source: str
    names: Sequence[str]
    open: Callable[[int], Opened]
    identity: Any


@dataclass(frozen=True, eq=False)
class Prepared:
    """Decoded images.

    Attributes:
        x: ``[N, H, W]`` in grey or ``[N, H, W, 3]``, uint8; memory-mapped where it is large.
        kept: the numbers of the images that are rows of ``x``, ascending.
        names: what each of them is called.
        notes: what was done to them, a sentence each.
    """

    x: Array
    kept: list[int]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(pictures: Pictures, options: ImageOptions) -> Prepared:
    """Images as rows of one array: decoded at the first call, found in the cache at later ones.

    Raises:
        UserError: an image that cannot be read (without ``skip_bad``), images of different sizes (without
            ``size``) or very large ones, none that can be read, or no room for them on the disk.
    """
    import PIL

    check_asked(options)
    how = [FORMAT, PIL.__version__, options.size, options.grey, options.skip_bad]
    folder, record = cached("images", [how, pictures.identity], partial(_build, pictures, options))
    try:
        path = folder / "x.npy"
        # Copy-on-write: torch takes writable arrays alone, and the file stays as it is.
        x = np.load(path, mmap_mode="c" if path.stat().st_size > IN_MEMORY else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from None
    bad = {int(number) for number in record["bad"]}
    kept = [number for number in range(len(pictures.names)) if number not in bad]
    return Prepared(x, kept, tuple(pictures.names[i] for i in kept), tuple(record["notes"]))


def _build(pictures: Pictures, options: ImageOptions, folder: Path) -> dict[str, Any]:
    """Decode the images into x.npy of ``folder``; the record is what there is to say."""
    # Pillow warns of odd EXIF data and of very large images: what matters is raised.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(os.cpu_count()) as pool:
        every = range(len(pictures.names))
        headers = list(_in_order(pool, lambda i: _tried(read_header, pictures.open(i)), every))
        bad = {i: found.args[0] for i, found in enumerate(headers) if isinstance(found, BadImageError)}
        check_bad(pictures.names, bad, options)
        sound = {i: found for i, found in enumerate(headers) if isinstance(found, Header)}
        check_any(pictures.source, pictures.names, len(sound), bad)
        size = options.size or common_size(pictures.source, pictures.names, sound)
        grey = all(header.grey for header in sound.values()) if options.grey is None else options.grey
        shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
        x = _allocated(folder / "all.npy", (len(sound), *shape))
        rows, peaks = 0, list[int]()
        with _progress(len(sound)) as advance:
            # Without a size asked for, nothing may be cut: what is not as its header says is refused.
            decoded = partial(decode, size=options.size, grey=grey)
            read = _in_order(pool, lambda i: _tried(decoded, pictures.open(i)), sound)
            for number, found in zip(sound, read, strict=True):
                if isinstance(found, BadImageError):
                    bad[number] = found.args[0]
                    check_bad(pictures.names, bad, options)
                else:
                    check_turned(pictures.names[number], found.x, size)
                    x[rows] = found.x
                    peaks += [] if found.peak is None else [found.peak]
                    rows += 1
                advance(1)
    check_any(pictures.source, pictures.names, rows, bad)
    _shorten(folder, x, rows)
    notes = _notes([sound[i] for i in sound if i not in bad], size, grey=grey)
    notes += _faint(peaks)
    notes += [f"left out {pictures.names[i]}: {reason}" for i, reason in sorted(bad.items())]
    return {"bad": sorted(bad), "notes": notes}


def _allocated(path: Path, shape: tuple[int, ...]) -> Any:
    """A new file as an array, its blocks taken: where one is lacking, a write into the map kills the process.

    Raises:
        OSError: there is no room for it.
    """
    needed, free = math.prod(shape), shutil.disk_usage(path.parent).free
    if needed > free:
        room = f"{needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} are free"
        raise OSError(errno.ENOSPC, f"{count(shape[0], 'image')} take {room}")
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                # Some file systems know no such thing.
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise
    return x


def _shorten(folder: Path, x: Any, rows: int) -> None:
    """Leave the first ``rows`` of all.npy in x.npy."""
    x.flush()
    if rows == len(x):
        (folder / "all.npy").rename(folder / "x.npy")
        return
    kept = _allocated(folder / "x.npy", (rows, *x.shape[1:]))
    for start in range(0, rows, BLOCK):
        kept[start : start + BLOCK] = x[start : min(start + BLOCK, rows)]
    kept.flush()
    (folder / "all.npy").unlink()


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[int], Result], numbers: Sequence[int] | dict[int, Any]
) -> Iterator[Result]:
    """What ``work`` makes of each number, in their order, a block of them at a time."""
    every = list(numbers)
    for start in range(0, len(every), BLOCK):
        yield from pool.map(work, every[start : start + BLOCK])


def _tried(work: Callable[[Opened], Result], file: Opened) -> Result | BadImageError:
    try:
        return work(file)
    except BadImageError as error:
        return error


def _notes(headers: list[Header], size: tuple[int, int], *, grey: bool) -> list[str]:
    """What a user should know of what was done."""
    notes = [f"{count(len(headers), 'image')} of {times(size)}, {'grey' if grey else 'in colour'}"]
    others = sum(header.size != size for header in headers)
    if others:
        notes.append(
            f"{count(others, 'image')} not of that size: scaled until {times(size)} is covered, the middle "
            "cut out"
        )
    transparent = sum(header.transparent for header in headers)
    if transparent:
        notes.append(f"{count(transparent, 'image')} with transparency: laid on white")
    coloured = sum(not header.grey for header in headers)
    if grey and coloured:
        notes.append(f"{count(coloured, 'image')} in colour: made grey")
    return notes


def _faint(peaks: list[int]) -> list[str]:
    """That 16-bit grey images, of these largest values, lose most of their levels; nothing if they do not."""
    peak = max(peaks, default=FAINT)
    if peak >= FAINT:
        return []
    return [
        f"{count(len(peaks), 'image')} of 16-bit grey with no value above {peak:,}: 65,535 becomes 255, so "
        f"they are nearly black, with {round(peak / 257) + 1} levels at most; stretch the values to 65,535 "
        "in the files, or save them as a .npy array of numbers, which keeps every digit"
    ]


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    """A bar on a terminal, a line now and then elsewhere; both on standard error."""
    if sys.stderr.isatty():
        with bar("decoding images", total) as advance:
            yield advance
        return
    done, said = 0, time.monotonic()

    def say(more: int) -> None:
        nonlocal done, said
        done += more
        if time.monotonic() - said >= EVERY_SECONDS:
            said = time.monotonic()
            print(f"decoding images: {done:,} of {total:,}", file=sys.stderr, flush=True)

    yield say
