"""Folders of images: which files there are, and what the names of their folders say."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jensen.data.arrays import Array
from jensen.data.cache import identity_of
from jensen.data.images.decode import ImageOptions
from jensen.data.images.prepared import Pictures, prepare
from jensen.data.labels import listed, numbered
from jensen.data.raw import Raw

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".jp2", ".avif"),
)
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Sub-folders that say which images train, validate and test, where there are no others."""


def image_files(path: Path) -> list[Path]:
    """The images in a folder and below it, in the order of their paths; or the one that ``path`` is.

    Files and folders whose names begin with a dot are passed over. Links to files that are gone are among
    them, as images that cannot be read; pipes and devices, whose end may never come, are not.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in SUFFIXES and _may_be_read(path) else []
    return sorted(
        Path(place, name)
        for place, files in _folders(path)
        for name in files
        if name.lower().endswith(SUFFIXES) and name[0] != "." and _may_be_read(Path(place, name))
    )


def _may_be_read(file: Path) -> bool:
    return os.path.isfile(file) or not os.path.exists(file)


def _folders(top: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and those below it with their files, each once, whatever links lead to it.

    Links are followed last, so that a folder goes by its own name, and never up to where ``top`` lies.
    """
    seen = set(map(str, top.resolve().parents))
    waiting = [str(top)]
    for start in waiting:  # grows as links are met
        for place, folders, files in os.walk(start):
            real = os.path.realpath(place)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            waiting += filter(os.path.islink, (os.path.join(place, name) for name in folders))
            yield place, files


def read_folder(path: Path, files: list[Path], options: ImageOptions) -> Raw:
    """The images of a folder as rows, with the names of its sub-folders for labels.

    Sub-folders that are called train, validation and test (see `SPLIT_FOLDERS`) say the splits instead, and
    those below them the labels.

    Raises:
        UserError: an image that cannot be read, images of different sizes, or none that is left.
    """
    identity = identity_of(files, gone_too=path.is_dir())
    pictures = Pictures(str(path), [str(file) for file in files], files.__getitem__, identity)
    prepared = prepare(pictures, options)
    parts = [files[i].relative_to(path).parts[:-1] if path.is_dir() else () for i in prepared.kept]
    splits, parts = _splits(parts)
    labels, classes = numbered([place[0] if place else "" for place in parts])
    notes = list(prepared.notes)
    if len(classes) > 1:
        notes.append(f"labels by folder, for plots and --condition label: {listed(classes)}")
    return Raw(
        prepared.x, labels, splits, (0.0, 255.0), names=prepared.names, classes=classes, notes=tuple(notes)
    )


def _splits(parts: list[tuple[str, ...]]) -> tuple[dict[str, Array], list[tuple[str, ...]]]:
    """Row numbers of the splits that the first folders name, and the folders below those."""
    first = [place[0].lower() if place else "" for place in parts]
    named = [SPLIT_FOLDERS.get(name) for name in first]
    if "train" not in named or None in named or len(set(named)) == 1:
        return {"train": np.arange(len(parts))}, parts
    splits = {
        str(name): np.flatnonzero([one == name for one in named]) for name in sorted(set(named), key=str)
    }
    return splits, [place[1:] for place in parts]
