"""The cache of prepared data: built once, whole or absent."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jensen.data.cache import RECORD, cached, identity_of
from jensen.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "jensen"


def kept(folder: Path) -> list[str]:
    """What a cache holds, its locks aside."""
    return [path.name for path in folder.glob("[!.]*")]


def test_a_key_is_built_once() -> None:
    calls = []

    def build(folder: Path) -> dict[str, int]:
        calls.append(folder)
        (folder / "x").write_text("whole")
        return {"calls": len(calls)}

    first, record = cached("rows", {"a": 1}, build)
    assert record == {"calls": 1}
    assert cached("rows", {"a": 1}, build) == (first, record)
    assert (first / "x").read_text() == "whole"
    assert len(calls) == 1
    assert cached("rows", {"a": 2}, build)[0] != first


@pytest.mark.parametrize("found", ["", '{"digest": ', None])
def test_a_damaged_record_is_said_with_the_folder_to_delete(found: str | None) -> None:
    folder, _ = cached("rows", 1, lambda folder: "a record")
    if found is None:
        (folder / RECORD).unlink()
    else:
        (folder / RECORD).write_text(found)
    with pytest.raises(UserError, match=rf"{folder.name} is damaged \(.*\); delete that folder"):
        cached("rows", 1, lambda folder: "a record")


def test_a_build_that_fails_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "x").write_text("half")
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        cached("rows", 1, fail)
    assert kept(cache / "rows") == []


def test_two_that_ask_at_once_share_one_build() -> None:
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        time.sleep(0.2)
        (folder / "x").write_text("whole")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: cached("rows", 1, build), range(2))
    assert first == second
    assert (first[0] / "x").read_text() == "whole"
    assert len(calls) == 1


def test_what_a_killed_build_left_is_swept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a container, the next process may well have the number of the one that was killed.
    monkeypatch.setattr(os, "getpid", lambda: 7)
    killed = """
import os, signal
from jensen.data.cache import cached
own = os.getpid()
os.getpid = lambda: 7

def build(folder):
    (folder / "x").write_text("half")
    os.kill(own, signal.SIGKILL)

cached("rows", 1, build)
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(list((cache / "rows").glob("*.partial"))) == 1
    folder, _ = cached("rows", 1, lambda folder: (folder / "x").write_text("whole"))
    assert kept(cache / "rows") == [folder.name]
    assert (folder / "x").read_text() == "whole"


@pytest.mark.parametrize("root", [".", "link/below"])
def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    (tmp_path / "jensen").write_text("a file where the folder should be")
    (tmp_path / "link").symlink_to("gone")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / root))
    with pytest.raises(UserError, match=r"cannot keep prepared data in .*rows: .*XDG_CACHE_HOME"):
        cached("rows", 1, lambda folder: None)


def test_a_file_that_goes_while_it_is_read_is_named_and_not_the_cache(tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    with pytest.raises(UserError, match=r"cannot read .*gone\.csv: No such file or directory; give files"):
        cached("words", 1, lambda folder: gone.read_text())


def test_a_changed_file_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a")
    before = identity_of([path])
    os.utime(path, ns=(0, 0))
    assert identity_of([path]) != before
    with pytest.raises(UserError, match="cannot read"):
        identity_of([tmp_path / "gone"])
