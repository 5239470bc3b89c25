"""The cache of prepared data: built once, whole or absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jensen.data.cache import cached, identity_of
from jensen.errors import UserError


def test_a_key_is_built_once(tmp_path: Path) -> None:
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").write_text("whole")

    first = cached("rows", {"a": 1}, build, tmp_path)
    assert cached("rows", {"a": 1}, build, tmp_path) == first
    assert (first / "x").read_text() == "whole"
    assert len(calls) == 1
    assert cached("rows", {"a": 2}, build, tmp_path) != first


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "x").write_text("half")
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        cached("rows", 1, fail, tmp_path)
    assert list((tmp_path / "rows").iterdir()) == []


def test_what_a_killed_build_left_is_swept(tmp_path: Path) -> None:
    killed = f"""
import os, signal
from pathlib import Path
from jensen.data.cache import cached

def build(folder):
    (folder / "x").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

cached("rows", 1, build, Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(list((tmp_path / "rows").glob("*.partial"))) == 1
    folder = cached("rows", 1, lambda folder: (folder / "x").write_text("whole") and None, tmp_path)
    assert [path.name for path in (tmp_path / "rows").iterdir()] == [folder.name]
    assert (folder / "x").read_text() == "whole"


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cached("rows", 1, lambda folder: None, tmp_path)


def test_a_changed_file_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a")
    before = identity_of([path])
    os.utime(path, ns=(0, 0))
    assert identity_of([path]) != before
    with pytest.raises(UserError, match="cannot read"):
        identity_of([tmp_path / "gone"])
