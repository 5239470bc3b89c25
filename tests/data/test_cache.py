"""The cache of prepared data: built once, whole or absent."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jensen.data.cache import cached, identity_of
from jensen.errors import UserError


def kept(folder: Path) -> list[str]:
    """What a cache holds, its locks aside."""
    return [path.name for path in folder.glob("[!.]*")]


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
    assert kept(tmp_path / "rows") == []


def test_two_that_ask_at_once_share_one_build(tmp_path: Path) -> None:
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        time.sleep(0.2)
        (folder / "x").write_text("whole")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: cached("rows", 1, build, tmp_path), range(2))
    assert first == second
    assert (first / "x").read_text() == "whole"
    assert len(calls) == 1


def test_what_a_killed_build_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a container, the next process may well have the number of the one that was killed.
    monkeypatch.setattr(os, "getpid", lambda: 7)
    killed = f"""
import os, signal
from pathlib import Path
from jensen.data.cache import cached
own = os.getpid()
os.getpid = lambda: 7

def build(folder):
    (folder / "x").write_text("half")
    os.kill(own, signal.SIGKILL)

cached("rows", 1, build, Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(list((tmp_path / "rows").glob("*.partial"))) == 1
    folder = cached("rows", 1, lambda folder: (folder / "x").write_text("whole") and None, tmp_path)
    assert kept(tmp_path / "rows") == [folder.name]
    assert (folder / "x").read_text() == "whole"


@pytest.mark.parametrize("root", [".", "link/below"])
def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, root: str) -> None:
    (tmp_path / "rows").write_text("a file where the folder should be")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(UserError, match=r"cannot keep prepared data in .*rows: .*XDG_CACHE_HOME"):
        cached("rows", 1, lambda folder: None, tmp_path / root)


def test_a_file_that_goes_while_it_is_read_is_named_and_not_the_cache(tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    with pytest.raises(UserError, match=r"cannot read .*gone\.csv: No such file or directory; give files"):
        cached("words", 1, lambda folder: gone.read_text(), tmp_path / "cache")


def test_a_changed_file_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a")
    before = identity_of([path])
    os.utime(path, ns=(0, 0))
    assert identity_of([path]) != before
    with pytest.raises(UserError, match="cannot read"):
        identity_of([tmp_path / "gone"])
