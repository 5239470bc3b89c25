"""One trained run and a few files of data, shared by the tests of the command line."""

import os
from pathlib import Path

import pytest

import jensen.cli
from tests.cli.helpers import TRAIN, Call, shell, write_data


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and three runs: ``run`` (rows), ``bits`` (zeros and ones), ``images``."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder)
    done = shell("train", "d.npy", "--out", "run", *TRAIN, cwd=folder)
    assert done.returncode == 0, done.stderr
    here = Path.cwd()
    os.chdir(folder)
    try:
        for data, run in (("binary", "bits"), ("images", "images")):
            assert jensen.cli.main(["train", f"{data}.npy", "--out", run, *TRAIN]) == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """``jensen WORDS`` in this process: exit status, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = jensen.cli.main(words)
        return status, *capsys.readouterr()

    return run
