"""Finding the files of a named data set: in the user's folder, in the cache, or at their public origin."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jensen.errors import UserError
from jensen.files import locked
from jensen.progress import bar

ENVIRONMENT = "JENSEN_DATA"
TIMEOUT = 30.0  # seconds without an answer or a byte
_PIECE = 1 << 16  # bytes per read


@dataclass(frozen=True)
class RemoteFile:
    """A file at its origin: mirrors, tried in order, and its digest as ``sha256:...`` or ``md5:...``."""

    name: str
    urls: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Origin:
    """Where a named data set comes from, and under which names its files are kept in ``folder``.

    Without ``product`` the downloaded files are kept as they are. With it, ``convert(sources, target)``
    makes that one file of them, and only it is kept.
    """

    folder: str
    files: tuple[RemoteFile, ...]
    product: str | None = None
    convert: Callable[[list[Path], Path], None] | None = None


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/jensen``, or ``~/.cache/jensen``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jensen"


def locate(name: str, origin: Origin, data_dir: Path | None = None) -> list[Path]:
    """The files of a data set: each from ``data_dir`` (else $JENSEN_DATA), the cache, or its origin.

    Raises:
        UserError: the given folder does not exist, a file is nowhere and cannot be downloaded, or the cache
            cannot be written.
    """
    folders = [folder / origin.folder for folder in [*_given_folders(data_dir), cache_dir()]]
    if origin.product is None or origin.convert is None:
        return [_find(folders, file.name) or _obtain(name, origin, file, folders) for file in origin.files]
    product = _find(folders, origin.product)
    if product is None:
        product = folders[-1] / origin.product
        try:
            product.parent.mkdir(parents=True, exist_ok=True)
            with locked(product):
                if not product.exists():  # another process was quicker
                    _convert(name, origin, folders, origin.convert, product)
        except OSError as error:
            raise not_kept(product.parent, error) from None
    return [product]


def not_kept(folder: Path, error: OSError) -> UserError:
    """What to say of a cache that cannot be written."""
    return UserError(
        f"cannot keep prepared data in {folder}: {error.strerror or error}; make room there, or set "
        "XDG_CACHE_HOME to another folder"
    )


def _convert(
    name: str, origin: Origin, folders: list[Path], convert: Callable[[list[Path], Path], None], product: Path
) -> None:
    """Make the product of an origin's files; those that were downloaded for it are then not kept."""
    sources = [_find(folders, file.name) or _obtain(name, origin, file, folders) for file in origin.files]
    convert(sources, product)
    for source in sources:
        if source.parent == product.parent:
            source.unlink()


def download(file: RemoteFile, target: Path) -> None:
    """Fetch ``file`` to ``target``: resumed where a ``.part`` file is left, renamed once its digest is right.

    Raises:
        OSError: no mirror could be reached to the end; what did arrive stays in ``target.part``.
        UserError: the bytes that arrived are not the published ones; they have been deleted.
    """
    part = target.with_name(target.name + ".part")
    failure: OSError | UserError = OSError("no address is known")
    with locked(target):  # runs that start together all ask for it at once
        if target.exists():  # another process was quicker
            return
        for url in file.urls:
            try:
                _fetch(url, part)
                _check(file, part, url)
            except (OSError, UserError) as error:
                failure = error
            except http.client.HTTPException as error:
                failure = OSError(f"{type(error).__name__} from {url}")
            else:
                os.replace(part, target)
                return
    raise failure


def _given_folders(data_dir: Path | None) -> list[Path]:
    given, means = (data_dir, "--data-dir") if data_dir else (os.environ.get(ENVIRONMENT), ENVIRONMENT)
    if not given:
        return []
    if not Path(given).expanduser().is_dir():
        raise UserError(
            f"{means} is {given}, which is no folder; give the folder that holds mnist/, omniglot/, ..."
        )
    return [Path(given).expanduser()]


def _find(folders: list[Path], file: str) -> Path | None:
    return next((folder / file for folder in folders if (folder / file).is_file()), None)


def _obtain(name: str, origin: Origin, file: RemoteFile, folders: list[Path]) -> Path:
    """Download one file into the cache, or say which files to put where."""
    target = folders[-1] / file.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        download(file, target)
    except OSError as error:
        missing = [f.name for f in origin.files if _find(folders, f.name) is None]
        wanted = ", ".join(missing) + (f" (or {origin.product})" if origin.product else "")
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise UserError(
            f"{name} is not on this machine and cannot be downloaded from {file.urls[0]} ({reason}); "
            f"connect and try again, or put {wanted} into {folders[-1]}, or into {origin.folder}/ of a "
            f"folder named by --data-dir or {ENVIRONMENT}"
        ) from None
    return target


def _fetch(url: str, part: Path) -> None:
    """Append what ``part`` lacks; start anew where the server does not answer with the range asked for."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is left to send: the digest tells whether the part is whole
        raise OSError(f"{url} answered {error.code} {error.reason}") from None
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        start = have if resumed and _range_start(response.headers.get("Content-Range")) == have else 0
        if resumed and start != have:
            raise OSError(f"{url} sent another range than asked for")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        shown = bar(f"downloading {part.stem}", total, done=start, in_bytes=True)
        with open(part, "ab" if start else "wb") as stream, shown as advance:
            while piece := response.read(_PIECE):
                stream.write(piece)
                advance(len(piece))
            stream.flush()
            os.fsync(stream.fileno())
    # http.client ends a broken transfer quietly; unnoticed, the digest would condemn a good first half.
    if total is not None and part.stat().st_size < total:
        raise OSError(f"{url} broke off after {part.stat().st_size} of {total} bytes; run again to resume")


def _range_start(content_range: str | None) -> int | None:
    """``bytes 100-199/200`` -> 100."""
    first = (content_range or "").removeprefix("bytes").strip().partition("-")[0]
    return int(first) if first.isdigit() else None


def _check(file: RemoteFile, part: Path, url: str) -> None:
    algorithm, _, published = file.digest.partition(":")
    with open(part, "rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found != published:
        part.unlink()
        raise UserError(
            f"{file.name} from {url} has the {algorithm} checksum {found}, not the published {published}; "
            "the download has been deleted: run again, or get the file elsewhere"
        )
