"""Writing files so that a crash at any moment leaves either the old file or the new one; locks; YAML."""

import glob
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from jensen.errors import UserError

UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
"""Of the size of a file, in words: the first of which it is ten or more, else bytes."""


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block succeeds, rename it into place.

    The bytes are on disk before the name changes (fsync, then ``os.replace``), so a reader never
    sees half a file. When the block raises, the temporary file is removed and ``path`` is untouched.
    The suffix is kept, for writers that choose a format by it, and so is a link at ``path``, and the
    permissions of the file that is replaced.

    Raises:
        UserError: the folder of ``path`` does not exist or cannot be written, ``path`` is itself a
            folder, or the disk is full.
    """
    path, file = Path(path), Path(os.path.realpath(path))
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; give the path of a file")
    temporary = file.with_name(f".{file.stem}.{os.getpid()}-{threading.get_ident()}.partial{file.suffix}")
    try:
        temporary.touch()
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; give a path in a folder that exists"
        ) from None
    with suppress(OSError):  # no such file, or a file system without permissions
        shutil.copymode(file, temporary)
    try:
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:
        if error.filename and Path(error.filename) not in (
            temporary,
            path,
            file,
        ):  # what the block reads, say
            raise UserError(f"{error.filename}: {error.strerror}; mend that, and try again") from None
        raise UserError(f"cannot write {path}: {error.strerror or error}; give another path") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_folder(path: Path) -> None:
    """Refuse a file to write in a folder that is not there, before the work that makes it.

    Raises:
        UserError: there is no such folder.
    """
    if not path.parent.is_dir():
        raise UserError(
            f"cannot write {path}: there is no folder {path.parent}; make it, or give another path"
        )


def check_space(path: Path, size: int) -> None:
    """Refuse a file of ``size`` bytes or more for which its disk has no room, before the work that makes it.

    Raises:
        UserError: how much there is.
    """
    free = shutil.disk_usage(path.parent).free
    if size > free:
        by, unit = next((found for found in UNITS if size >= 10 * found[0]), (1, "bytes"))
        raise UserError(
            f"cannot write {path}: it would take {size / by:,.0f} {unit} or more, and {free / by:,.1f} "
            f"{unit} are free there; ask for fewer rows, or give another path"
        )


def sweep(path: Path) -> None:
    """Remove the temporary files of `atomic` that killed writers of ``path`` have left beside it."""
    path = Path(os.path.realpath(path))
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"):
        with suppress(OSError):
            leftover.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process, and one thread of it, at a time inside, for each ``path``: by a lock file beside it.

    A process that ends, in whatever way, gives its lock back. Where the system has no such locks (Windows,
    some network file systems), nothing is locked.
    """
    with open(path.with_name(f".{path.name}.lock"), "wb") as lock:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 digest of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML by libyaml where it is there (the schema of a table can have 50,000 levels); each key once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """A mapping; PyYAML would take the last of two values of a key and say nothing of the first."""
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if (name := (key.tag, str(key.value))) in seen:
                twice = f"{key.value} is given twice"
                raise yaml.constructor.ConstructorError(None, None, twice, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml_text(text: str) -> Any:
    """What YAML says.

    Raises:
        yaml.YAMLError: it is no YAML, or gives a key twice.
    """
    return yaml.load(text, _Loader)


def yaml_fault(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """The line of a text that is no YAML, and what is wrong there."""
    line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
    return ": ".join(filter(None, [f"line {line}", getattr(error, "problem", None)]))


def write_yaml_text(values: Any) -> str:
    """YAML for people to read: keys in order, short lists on a line."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        values, Dumper=dumper, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
    return text
