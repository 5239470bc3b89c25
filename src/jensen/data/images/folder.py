"""Folders of images: which files there are, and what the names of their folders say."""

import os
from pathlib import Path

import numpy as np

from jensen.data.arrays import Array
from jensen.data.cache import identity_of
from jensen.data.images.decode import ImageOptions
from jensen.data.images.prepared import Pictures, prepare
from jensen.data.labels import listed, numbered
from jensen.data.named import Named

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

    Files and folders whose names begin with a dot are passed over.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in SUFFIXES else []
    found = []
    for place, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(found)


def read_folder(path: Path, files: list[Path], options: ImageOptions) -> Named:
    """The images of a folder as rows, with the names of its sub-folders for labels.

    Sub-folders that are called train, validation and test (see `SPLIT_FOLDERS`) say the splits instead, and
    those below them the labels.

    Raises:
        UserError: an image that cannot be read, images of different sizes, or none that is left.
    """
    pictures = Pictures(str(path), [str(file) for file in files], files.__getitem__, identity_of(files))
    prepared = prepare(pictures, options)
    parts = [files[i].relative_to(path).parts[:-1] if path.is_dir() else () for i in prepared.kept]
    splits, parts = _splits(parts)
    labels, classes = numbered([place[0] if place else "" for place in parts])
    notes = list(prepared.notes)
    if len(classes) > 1:
        notes.append(f"labels by folder, for plots and --condition label: {listed(classes)}")
    return Named(
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
