"""Where data come from: a name, a file or a folder, each read by the module for its kind."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data import python
from jensen.data.arrays import image_range
from jensen.data.images.decode import ImageOptions
from jensen.data.labels import numbered
from jensen.data.named import NAMED
from jensen.data.npy import read_file
from jensen.data.raw import Raw
from jensen.data.tables.schema import Schema
from jensen.errors import UserError, did_you_mean

HUB = "hf:"
"""What a name on Hugging Face begins with."""
KEYED = (".npz", ".h5ad")
"""Files that hold several arrays, of which FILE:KEY names one."""
KINDS = (
    "a table (.csv, .tsv, .parquet, .arrow) or a folder of tables, a folder of images (.png, .jpg, ...), "
    ".npy, .npz or .h5ad (FILE.npz:KEY or FILE.h5ad:LAYER for one of several arrays), or hf:NAME of a data "
    "set on Hugging Face"
)


@dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes:
        data_dir: folder of the named data sets.
        schema: of a table: that of the table trained on, whose columns these are; or a file with edits.
        strict: refuse cells that training could not have had (see `jensen.data.tables.odd`).
        images: how images become rows.
        on_choice: told of what was done to the rows.
    """

    data_dir: Path | None = None
    schema: Schema | Path | None = None
    strict: bool = False
    images: ImageOptions = field(default_factory=ImageOptions)
    on_choice: Callable[[str], None] = lambda said: None


def read(source: Any, reading: Reading) -> Raw:
    """The rows of a source, with what is known of them.

    Raises:
        UserError: no such data, or they cannot be used.
    """
    raw = _read(source, reading)
    if isinstance(reading.schema, Path) and raw.schema is None:
        raise UserError(
            f"--schema gives the types of the columns of a table, and {name_of(source)} is none; leave it out"
        )
    asked, are_files = reading.images.asked, raw.schema is None and raw.names
    if asked and not are_files:
        does = "does" if len(asked) == 1 else "do"
        reading.on_choice(
            f"{' and '.join(asked)} {does} nothing here: {name_of(source)} holds no image files"
        )
    return raw


def _read(source: Any, reading: Reading) -> Raw:
    if not isinstance(source, str | Path):
        return python.read(source, reading.schema, strict=reading.strict, on_choice=reading.on_choice)
    source = str(source)
    if source in NAMED:
        raw = NAMED[source](reading.data_dir)
        hidden = f"{source} is the data set of that name; write ./{source} for what is in this folder"
        return replace(raw, notes=(hidden,)) if Path(source).exists() else raw
    if source.startswith(HUB):
        from jensen.data.huggingface import read_hub

        return read_hub(source, reading)
    array = parse_source(source)
    path = Path(source).expanduser() if array is None else array[0]
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(f"{path} is a pipe or a device, and data are read more than once; give a file")
    return _folder_or_file(path, reading) if array is None else _array(*array)


def parse_source(source: str) -> tuple[Path, str | None] | None:
    """``FILE`` or ``FILE:key`` of a file of arrays -> ``(path, key)``; None for anything else."""
    lower = source.lower()
    if lower.endswith((".npy", *KEYED)):
        return Path(source).expanduser(), None
    for suffix in KEYED:
        end = lower.rfind(f"{suffix}:") + len(suffix)
        if end >= len(suffix):
            return Path(source[:end]).expanduser(), source[end + 1 :]
    return None


def _array(path: Path, key: str | None) -> Raw:
    if path.suffix.lower() == ".h5ad":
        from jensen.data.h5ad import read_h5ad

        return read_h5ad(path, key)
    if path.suffix.lower() == ".npy":
        from jensen.data.on_disk import read_large

        found = read_large(path)
        if found is not None:
            return found
    x, labels = read_file(path, key)
    raw = Raw(x, labels, {"train": np.arange(len(x))}, image_range(x.dtype, x.shape[1:]))
    if labels is None or labels.dtype.kind != "U":
        return raw
    numbers, classes = numbered(labels.tolist())
    return replace(raw, labels=numbers, classes=classes)


def _folder_or_file(path: Path, reading: Reading) -> Raw:
    """A table, images, or a folder of either; of a folder with both, what there is more of."""
    from jensen.data.images.folder import image_files, read_folder
    from jensen.data.tables.read import table_files
    from jensen.data.tables.source import read_tables

    images, tables = image_files(path), table_files(path)
    if len(images) > len(tables):
        raw = read_folder(path, images, reading.images)
        beside = f"{path}: tables beside the images, such as {tables[0].name}, are left out" if tables else ""
        return replace(raw, notes=(*raw.notes, beside)) if beside else raw
    if images:
        raise UserError(
            f"{path} holds tables, such as {tables[0].name}, and as few images, such as {images[0].name}; "
            "give a folder of one kind, or one file"
        )
    if tables:
        return read_tables(path, reading.schema, strict=reading.strict, on_choice=reading.on_choice)
    if path.is_dir():
        raise UserError(
            f"the folder {path} holds neither images (.png, .jpg, ...) nor tables (.csv, .parquet, ...); "
            "give another folder, or the path of a file"
        )
    if path.is_file():
        raise UserError(
            f"{path} ends in {path.suffix or 'no suffix'!r}, by which no kind of data is known; give it the "
            f"name of its kind: {KINDS}"
        )
    near = did_you_mean(str(path), NAMED)
    raise UserError(f"unknown data set {str(path)!r}{near}; give {', '.join(NAMED)}, or {KINDS}")


def path_of(source: str) -> Path | None:
    """The file or folder that a source names; None of a data set that is known by its name."""
    if source in NAMED or source.startswith(HUB):  # a folder that is called so is something else
        return None
    path, _ = parse_source(source) or (Path(source).expanduser(), None)
    return path


def is_there(source: str) -> bool:
    """Whether the file or folder that a source names exists; of named data sets only reading them tells."""
    path = path_of(source)
    return path is None or path.exists()


def is_of(source: str, file: Path) -> bool:
    """Whether a file is what a source names, or is or would be one of the tables or images of its folder."""
    from jensen.data.images.folder import SUFFIXES, image_files
    from jensen.data.tables.read import suffix_of, table_files

    given = path_of(source)
    if given is None:
        return False
    path, file = given.resolve(), file.expanduser().resolve()
    if file == path or path not in file.parents:
        return file == path and path.exists()
    images, tables = image_files(path), table_files(path)
    hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
    if file.exists() or hidden:
        return file in (*images, *tables)
    # One table more is left out where there are more images still; one image more is read or refused.
    joins = file.parent == path and suffix_of(file) is not None and len(images) <= len(tables) + 1
    return joins or file.suffix.lower() in SUFFIXES


def name_of(source: Any) -> str:
    """What to call a source: its name or path, or the class of a Python object."""
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__}"


def absolute(source: str) -> str:
    """The source as it can be found from any folder: a file's path made absolute, other names as they are."""
    if source in NAMED:
        return source
    if source.startswith(HUB):
        name, *rest = source.removeprefix(HUB).split(":")
        local = Path(name).expanduser()
        return ":".join([HUB + (str(local.resolve()) if local.exists() else name), *rest])
    path, key = parse_source(source) or (Path(source).expanduser(), None)
    return f"{path.resolve()}:{key}" if key is not None else str(path.resolve())
