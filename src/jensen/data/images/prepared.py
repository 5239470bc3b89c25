"""Many images as one array: decoded once by several threads, and kept in the cache."""

import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jensen.data.arrays import Array
from jensen.data.cache import cached
from jensen.data.images.decode import BadImageError, Header, ImageOptions, Opened, decode, read_header
from jensen.errors import UserError
from jensen.progress import Advance, bar

FORMAT = 1
"""Goes into the cache's key: raise it when the same images would be decoded otherwise."""
IN_MEMORY = 1 << 28
"""Bytes up to which decoded images are read into memory; larger arrays stay on disk, memory-mapped."""
MOST_VALUES = 1 << 22
"""Values of one image beyond which a size is asked for: a network's first layer has many times as many."""
BLOCK = 256
"""Images decoded before the threads wait for each other: what is in memory at a time."""

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
        UserError: an image that cannot be read (without ``skip_bad``), images of different sizes or very
            large ones (without ``size``), or none that can be read.
    """
    import PIL

    how = [FORMAT, PIL.__version__, options.size, options.grey, options.skip_bad]
    folder = cached("images", [how, pictures.identity], partial(_build, pictures, options))
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        path = folder / "x.npy"
        # Copy-on-write: torch takes writable arrays alone, and the file stays as it is.
        x = np.load(path, mmap_mode="c" if path.stat().st_size > IN_MEMORY else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"the decoded images in {folder} are damaged ({error}); delete that folder") from None
    bad = {int(number) for number in record["bad"]}
    kept = [number for number in range(len(pictures.names)) if number not in bad]
    return Prepared(x, kept, tuple(pictures.names[i] for i in kept), tuple(record["notes"]))


def _build(pictures: Pictures, options: ImageOptions, folder: Path) -> None:
    """Decode the images into ``folder``: x.npy, and record.json for what there is to say."""
    count = len(pictures.names)
    # Pillow warns of odd EXIF data and of very large images: what matters is raised.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = list(_in_order(pool, lambda i: _tried(read_header, pictures.open(i)), range(count)))
        bad = {i: found.args[0] for i, found in enumerate(headers) if isinstance(found, BadImageError)}
        _check_bad(pictures, bad, options)
        sound = {i: found for i, found in enumerate(headers) if isinstance(found, Header)}
        _check_any(pictures, len(sound), bad)
        size = options.size or _common_size(pictures, sound)
        grey = all(header.grey for header in sound.values()) if options.grey is None else options.grey
        shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
        x = np.lib.format.open_memmap(
            folder / "all.npy", mode="w+", dtype=np.uint8, shape=(len(sound), *shape)
        )
        rows = 0
        with _progress(len(sound)) as advance:
            read = _in_order(
                pool, lambda i: _tried(partial(decode, size=size, grey=grey), pictures.open(i)), sound
            )
            for number, found in zip(sound, read, strict=True):
                if isinstance(found, BadImageError):
                    bad[number] = found.args[0]
                    _check_bad(pictures, bad, options)
                else:
                    x[rows] = found
                    rows += 1
                advance(1)
    _check_any(pictures, rows, bad)
    _shorten(folder, x, rows)
    notes = _notes([sound[i] for i in sound if i not in bad], size, grey=grey)
    notes += [f"left out {pictures.names[i]}: {reason}" for i, reason in sorted(bad.items())]
    record = {"bad": sorted(bad), "notes": notes}
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def _shorten(folder: Path, x: Any, rows: int) -> None:
    """Leave the first ``rows`` of all.npy in x.npy."""
    x.flush()
    if rows == len(x):
        (folder / "all.npy").rename(folder / "x.npy")
        return
    kept = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=x.dtype, shape=(rows, *x.shape[1:]))
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


def _check_bad(pictures: Pictures, bad: dict[int, str], options: ImageOptions) -> None:
    """Refuse images that cannot be read, unless they may be left out."""
    if not bad or options.skip_bad:
        return
    first = min(bad)
    more = f" (and {len(bad) - 1} more cannot be read)" if len(bad) > 1 else ""
    raise UserError(
        f"{pictures.names[first]} cannot be read as an image: {bad[first]}{more}; mend or remove it, or add "
        "--skip-bad to go on without such images"
    )


def _check_any(pictures: Pictures, rows: int, bad: dict[int, str]) -> None:
    if rows == 0:
        first = min(bad)
        raise UserError(
            f"{pictures.source} has no image that can be read, of {len(bad)} (the first, "
            f"{pictures.names[first]}: {bad[first]}); give other images"
        )


def _common_size(pictures: Pictures, headers: dict[int, Header]) -> tuple[int, int]:
    """The size that all images have.

    Raises:
        UserError: they have different ones, or it is very large.
    """
    sizes = Counter(header.size for header in headers.values())
    (width, height), _ = sizes.most_common(1)[0]
    if len(sizes) > 1:
        odd = next(i for i, header in headers.items() if header.size != (width, height))
        usual = next(i for i, header in headers.items() if header.size == (width, height))
        least = min(min(size) for size in sizes)
        raise UserError(
            f"{pictures.source} has images of different sizes: {pictures.names[usual]} is {width}x{height}, "
            f"{pictures.names[odd]} is {_times(headers[odd].size)}; add --size to bring all to one, such as "
            f"--size {min(least, 64)}"
        )
    if width * height > MOST_VALUES:
        raise UserError(
            f"{pictures.source} has images of {width}x{height}, too large for a network to see whole; add "
            "--size to make them smaller, such as --size 64"
        )
    return width, height


def _notes(headers: list[Header], size: tuple[int, int], *, grey: bool) -> list[str]:
    """What a user should know of what was done."""
    notes = [f"{len(headers):,} images of {_times(size)}, {'grey' if grey else 'in colour'}"]
    others = sum(header.size != size for header in headers)
    if others:
        notes.append(
            f"{others:,} images of other sizes were scaled until they cover {_times(size)}, and their middle "
            "cut out"
        )
    transparent = sum(header.transparent for header in headers)
    if transparent:
        notes.append(f"{transparent:,} images with transparency were laid on white")
    coloured = sum(not header.grey for header in headers)
    if grey and coloured:
        notes.append(f"{coloured:,} images in colour were made grey")
    return notes


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@contextmanager
def _progress(total: int, every_seconds: float = 5.0) -> Iterator[Advance]:
    """A bar on a terminal, a line now and then elsewhere; both on standard error."""
    if sys.stderr.isatty():
        with bar("decoding images", total) as advance:
            yield advance
        return
    done, said = 0, time.monotonic()

    def say(more: int) -> None:
        nonlocal done, said
        done += more
        if time.monotonic() - said >= every_seconds:
            said = time.monotonic()
            print(f"decoding images: {done:,} of {total:,}", file=sys.stderr, flush=True)

    yield say
