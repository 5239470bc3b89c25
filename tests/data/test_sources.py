"""Which files are a source's own, or would be: what no command may write."""

from pathlib import Path

import numpy as np
import pytest

from jensen.data.sources import is_of


@pytest.mark.parametrize(
    ("source", "file", "own"),
    [
        ("a.csv", "a.csv", True),
        ("a.csv", "./tables/../a.csv", True),
        ("a.csv", "b.csv", False),  # is not there
        ("x.npz:key", "x.npz", True),
        ("tables", "tables/t.csv", True),
        ("tables", "tables/new.csv", True),  # would be
        ("tables", "tables/.new.csv", False),
        ("tables", "tables/runs/new.csv", False),
        ("tables", "tables/runs/report.png", True),  # beside an image, the tables are refused
        ("tables", "tables/runs/report.html", False),
        ("images", "images/new/j.png", True),
        ("images", "images/scores.csv", True),  # as many tables as images
        ("more", "more/scores.csv", False),  # beside more images, it is left out
        ("more", "more/.cache/3.png", False),
        ("images", "images/cat/i.png", True),
        ("images", "images/notes.txt", False),
        ("digits", "digits/samples.png", False),  # the named set, whatever the folder holds
        ("./digits", "digits/samples.png", True),
        ("hf:images", "images/cat/i.png", False),
    ],
)
def test_the_files_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, file: str, own: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", key=np.zeros(3))
    images = ("images/cat/i.png", "digits/samples.png", *(f"more/{i}.png" for i in range(3)))
    for name in ("a.csv", "tables/t.csv", "images/notes.txt", *images):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert is_of(source, Path(file)) == own
    assert is_of(str(tmp_path / source) if source == "tables" else source, Path(file).absolute()) == own
