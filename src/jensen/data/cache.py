"""Work on a user's files that is done once: folders in the cache, each whole or absent."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jensen.data.download import cache_dir
from jensen.errors import UserError

Identity = list[tuple[str, int, int]]
"""Of files: path, bytes and time of the last change, each."""


def identity_of(paths: Iterable[Path]) -> Identity:
    """What tells files from changed ones without reading them: path, size, modification time (ns).

    Raises:
        UserError: a file is gone.
    """
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; give files that exist") from None
        found.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
    return found


def cached(kind: str, key: Any, build: Callable[[Path], None], root: Path | None = None) -> Path:
    """The folder that ``build`` fills, built at the first call with a key and found again at later ones.

    It is built under another name and renamed when whole, so that a build that is interrupted at any moment,
    or one that runs twice at a time, leaves nothing that looks finished.

    Args:
        kind: what is kept, a word: the first level of the cache.
        key: all that the content depends on, as JSON can write it (see `identity_of` for files).
        build: fills the empty folder that it is given.
        root: the cache; ``$XDG_CACHE_HOME/jensen`` or ``~/.cache/jensen`` if left out.

    Raises:
        UserError: the cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    parent = (root or cache_dir()) / kind
    folder = parent / digest
    if folder.is_dir():
        return folder
    partial = parent / f"{digest}.{os.getpid()}.partial"
    try:
        _sweep(parent, digest)
        partial.mkdir(parents=True)
        build(partial)
        with suppress(FileExistsError):
            partial.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process was first
            return folder
        raise UserError(
            f"cannot keep prepared data in {parent}: {error.strerror or error}; make room there, or set "
            "XDG_CACHE_HOME to another folder"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _sweep(parent: Path, digest: str) -> None:
    """Remove what builds of processes that are no more have left."""
    for leftover in parent.glob(f"{digest}.*.partial"):
        process = leftover.name.split(".")[1]
        if process.isdigit() and not _alive(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
