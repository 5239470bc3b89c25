"""Data sets of Hugging Face, by name or in a local folder: ``hf:NAME``, ``hf:NAME@CONFIG:SPLIT``."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.cache import identity_of
from jensen.data.extras import extra
from jensen.data.images.decode import ImageOptions, Opened
from jensen.data.images.folder import SPLIT_FOLDERS
from jensen.data.images.prepared import Pictures, prepare
from jensen.data.raw import Raw
from jensen.data.sources import HUB, Reading
from jensen.errors import UserError, one_line

MARKS = ("dataset_info.json", "dataset_dict.json")
"""What a folder holds that ``Dataset.save_to_disk`` has written."""
REFUSALS = (401, 403, 404)
"""Answers of the hub about what is not there, or not for this user: it does not say which."""


def read_hub(source: str, reading: Reading) -> Raw:
    """The rows of a data set: its images, where a column holds some, else its columns as a table.

    Splits called train, validation (valid, val, dev) and test are kept; a single split, or the one that is
    named, is all there is, and splits are drawn from it. Labels of images are the first column of classes.

    Raises:
        UserError: the package datasets is not installed, no such data set, or it cannot be used.
    """
    library = extra("datasets", source)
    data, split_of, notes = _joined(library, source, _load(library, source))
    images = [name for name, kind in data.features.items() if isinstance(kind, library.Image)]
    if images:
        if len(images) > 1:
            notes.append(f"of several columns of images, {images[0]!r} is read")
        raw, kept = _images(library, source, data, images[0], reading.images)
        split_of = split_of[kept]
    else:
        raw = _table(library, source, data, reading)
    splits = {str(name): np.flatnonzero(split_of == name) for name in np.unique(split_of)}
    return replace(raw, splits=splits, notes=(*raw.notes, *notes))


def _load(library: Any, source: str) -> Any:
    """A data set, or a mapping of splits to them."""
    name, _, split = source.removeprefix(HUB).partition(":")
    name, _, config = name.partition("@")
    folder = Path(name).expanduser()
    try:
        if any((folder / mark).is_file() for mark in MARKS):
            found = library.load_from_disk(str(folder))
            return found[split] if split else found
        where = str(folder) if folder.exists() else name
        with _quiet(library):
            return library.load_dataset(where, config or None, split=split or None)
    except Exception as error:  # the library raises errors of many kinds, of its own, of the net, of files
        raise UserError(f"cannot load {source}: {_reason_and_mend(library, name, error)}") from None


def _reason_and_mend(library: Any, name: str, error: Exception) -> str:
    """Why a data set did not load, and what to do about it."""
    kind, status = type(error).__name__, getattr(getattr(error, "response", None), "status_code", 0)
    if isinstance(error, library.exceptions.DatasetNotFoundError) or status in REFUSALS:
        return (
            f"the hub has no data set {name!r} that you may read; correct the name, or if it is private or "
            "gated, log in with `hf auth login` or set HF_TOKEN"
        )
    if any(word in kind for word in ("Connect", "Timeout", "Offline")):
        return (
            f"the hub cannot be reached ({kind}), and the data set is not in its cache; connect and try "
            "again, or give a folder, as in hf:FOLDER"
        )
    return (
        f"{kind}: {one_line(error)}; write hf:NAME, hf:NAME:SPLIT or hf:NAME@CONFIG:SPLIT, with a name that "
        "there is, or a folder"
    )


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without the library's log, which repeats what is raised in the end; bars on a terminal alone."""
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    barred = not (sys.stderr.isatty() or library.utils.are_progress_bars_disabled())
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        if barred:
            library.utils.disable_progress_bars()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if barred:
            library.utils.enable_progress_bars()


def _joined(library: Any, source: str, found: Any) -> tuple[Any, Array, list[str]]:
    """All rows one after the other, the split of each, and what there is to say."""
    if not isinstance(found, dict):
        found = {"train": found}
    elif len(found) == 1:
        found = {"train": next(iter(found.values()))}
    named = {name: SPLIT_FOLDERS[name] for name in found if name in SPLIT_FOLDERS}
    if "train" not in named.values():
        raise UserError(
            f"{source} has the splits {', '.join(found)}; name one, as in {source}:{next(iter(found))}"
        )
    others = [name for name in found if name not in named]
    notes = [f"left out the splits {', '.join(others)} of {source}"] if others else []
    parts = [found[name] for name in named]
    sizes = [len(part) for part in parts]
    return library.concatenate_datasets(parts), np.repeat(list(named.values()), sizes), notes


def _images(
    library: Any, source: str, data: Any, column: str, options: ImageOptions
) -> tuple[Raw, list[int]]:
    """The images of a column as rows, and the numbers of those that are kept."""
    undecoded = data.select_columns([column]).cast_column(column, library.Image(decode=False))

    def cell(number: int) -> Any:
        return undecoded[number][column] or {"bytes": b"", "path": None}

    def opened(number: int) -> Opened:
        found = cell(number)
        return Path(found["path"]) if found["bytes"] is None else BytesIO(found["bytes"])

    files = [Path(each["filename"]) for each in data.cache_files]
    if len(data) and cell(0)["bytes"] is None:  # the images are files of their own
        files += [Path(cell(number)["path"]) for number in range(len(data))]
    names = [f"{source}[{number}]" for number in range(len(data))]
    prepared = prepare(Pictures(source, names, opened, [source, identity_of(files)]), options)
    labels = [name for name, kind in data.features.items() if isinstance(kind, library.ClassLabel)]
    numbers = np.asarray(data[labels[0]], dtype=np.int64)[prepared.kept] if labels else None
    classes = tuple(data.features[labels[0]].names) if labels else ()
    raw = Raw(
        prepared.x, numbers, {}, (0.0, 255.0), names=prepared.names, classes=classes, notes=prepared.notes
    )
    return raw, prepared.kept


def _table(library: Any, source: str, data: Any, reading: Reading) -> Raw:
    """The columns as those of a table, classes by their names."""
    import pyarrow as pa

    from jensen.data.tables.source import read_arrow

    table = data.with_format("arrow")[:]
    for name, kind in data.features.items():
        if isinstance(kind, library.ClassLabel):
            place = table.column_names.index(name)
            numbers = table[name].combine_chunks().cast(pa.int64())
            known = pa.array([None if n is None or n < 0 else n for n in numbers.to_pylist()], pa.int64())
            table = table.set_column(place, name, pa.array(kind.names).take(known))
    if not len(table):
        raise UserError(f"{source} has no rows; give another split")
    return read_arrow(table, source, reading.schema, strict=reading.strict, on_choice=reading.on_choice)
