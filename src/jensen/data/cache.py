"""Work on a user's files that is done once: folders in the cache, each whole or absent."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jensen.data.download import cache_dir, not_kept
from jensen.errors import UserError
from jensen.files import locked

Identity = list[tuple[str, int, int]]
"""Of files: path, bytes and time of the last change, each."""


def identity_of(paths: Iterable[Path], *, gone_too: bool = False) -> Identity:
    """What tells files from changed ones without reading them: path, size, modification time (ns).

    Args:
        paths: of the files.
        gone_too: take files that are gone for such, by a size that no file has.

    Raises:
        UserError: a file is gone.
    """
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            if not gone_too:
                raise _unreadable(path, error) from None
            found.append((str(path.absolute()), -1, 0))
            continue
        found.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
    return found


def cached(kind: str, key: Any, build: Callable[[Path], None], root: Path | None = None) -> Path:
    """The folder that ``build`` fills, built at the first call with a key and found again at later ones.

    It is built under another name, by one process at a time, and renamed when whole: a build that is
    interrupted at any moment leaves nothing that looks finished.

    Args:
        kind: what is kept, a word: the first level of the cache.
        key: all that the content depends on, as JSON can write it (see `identity_of` for files).
        build: fills the empty folder that it is given.
        root: the cache; ``$XDG_CACHE_HOME/jensen`` or ``~/.cache/jensen`` if left out.

    Raises:
        UserError: the cache cannot be written, or a file is gone while it is read.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    parent = (root or cache_dir()) / kind
    folder, partial = parent / digest, parent / f"{digest}.partial"
    if folder.is_dir():
        return folder
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # its file may be a folder above the cache
        raise not_kept(parent, error) from None
    try:
        with locked(folder):
            if not folder.is_dir():  # another process may have built it meanwhile
                _build(partial, build)
                partial.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process was first, where nothing is locked
            return folder
        if error.filename is not None and not Path(str(error.filename)).is_relative_to(parent):
            raise _unreadable(error.filename, error) from None  # what is being kept, not the cache
        raise not_kept(parent, error) from None
    return folder


def _build(partial: Path, build: Callable[[Path], None]) -> None:
    """Fill the folder ``partial``; a build that fails leaves nothing."""
    shutil.rmtree(partial, ignore_errors=True)  # what a killed build has left
    partial.mkdir()
    try:
        build(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _unreadable(path: Path | str, error: OSError) -> UserError:
    return UserError(f"cannot read {path}: {error.strerror}; give files that exist")
