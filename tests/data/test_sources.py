"""Which files are a source's own: what no command may write over."""

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
        ("tables", "tables/new.csv", False),
        ("tables", "tables/runs/report.png", False),  # beside tables, and no data of theirs
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
    for name in ("a.csv", "tables/t.csv", "images/cat/i.png", "images/notes.txt", "digits/samples.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert is_of(source, Path(file)) == own
    assert is_of(str(tmp_path / source) if source == "tables" else source, Path(file).absolute()) == own
