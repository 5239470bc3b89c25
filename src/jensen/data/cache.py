"""Work on a user's files that is done once: folders in the cache, each whole or absent, with a record."""

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
RECORD = "record.json"
"""The file of a folder that holds its record."""


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


def cached(kind: str, key: Any, build: Callable[[Path], Any]) -> tuple[Path, Any]:
    """A folder and its record, built at the first call with a key and found again at later ones.

    It is built under another name, by one process at a time, and renamed when whole: a build that is
    interrupted at any moment leaves nothing that looks finished.

    Args:
        kind: what is kept, a word: the first level of the cache.
        key: all that the content depends on, as JSON can write it (see `identity_of` for files).
        build: fills the empty folder that it is given, and returns its record, as JSON can write it.

    Raises:
        UserError: the cache cannot be written, or is damaged, or a file is gone while it is read.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache_dir() / kind / digest
    if not folder.is_dir():
        _build(folder, build)
    try:
        return folder, json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from None


def damaged(folder: Path, error: Exception) -> UserError:
    """What to say of a folder of the cache of which something cannot be read."""
    return UserError(f"what is kept in {folder} is damaged ({error}); delete that folder")


def _build(folder: Path, build: Callable[[Path], Any]) -> None:
    """Build a folder that is not there."""
    parent, partial = folder.parent, folder.with_name(f"{folder.name}.partial")
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # its file may be a folder above the cache
        raise not_kept(parent, error) from None
    try:
        with locked(folder):
            if not folder.is_dir():  # another process may have built it meanwhile
                _fill(partial, build)
                partial.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process was first, where nothing is locked
            return
        if error.filename is not None and not Path(str(error.filename)).is_relative_to(parent):
            raise _unreadable(error.filename, error) from None  # what is being kept, not the cache
        raise not_kept(parent, error) from None


def _fill(partial: Path, build: Callable[[Path], Any]) -> None:
    """Fill the folder ``partial``; a build that fails leaves nothing."""
    shutil.rmtree(partial, ignore_errors=True)  # what a killed build has left
    partial.mkdir()
    try:
        record = build(partial)
        (partial / RECORD).write_text(json.dumps(record), encoding="utf-8")
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _unreadable(path: Path | str, error: OSError) -> UserError:
    return UserError(f"cannot read {path}: {error.strerror}; give files that exist")
