"""Where memory runs out, users are told which setting to lower; where the disk would, before it does."""

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jensen.evaluation
from jensen.cli import COMMANDS, LOWER
from jensen.errors import UserError
from jensen.estimator import VariationalAutoencoder
from jensen.evaluation import sample, sample_blocks
from jensen.files import check_space
from jensen.memory import within_memory
from jensen.run import Run
from tests.cli.helpers import Call, done, refused

SHORTAGES = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("Storage size calculation overflowed with sizes=[200, 9000000000000000000]"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_a_shortage_of_any_type_names_the_mend(shortage: Exception) -> None:
    with pytest.raises(UserError, match=r"^memory ran out; lower it$"), within_memory(lambda: "; lower it"):
        raise shortage


@pytest.mark.parametrize("error", [RuntimeError("a fault"), OSError(errno.ENOENT, "none"), UserError("no")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, within_memory(lambda: ""):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--hidden 8,90000000000", "--hidden (now 8,90000000000) or --latent-dim (now 2)"),
        ("--latent-dim 900000000000", "--hidden (now 8) or --latent-dim (now 900000000000)"),
    ],
)
def test_a_model_too_large_is_refused(
    given: str, said: str, trained: Path, tmp_path: Path, call: Call
) -> None:
    words = ["--hidden", "8", "--latent-dim", "2", "--epochs", "1", "--out", str(tmp_path / "run")]
    line = refused(call, "train", str(trained / "d.npy"), *words, *given.split())
    assert line == f"jensen: memory ran out for the weights: lower {said}"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", ["--latent-dim 99999999999999999999", "--hidden 8,1099511627776"])
def test_sizes_that_torch_cannot_count_are_refused_at_once(
    given: str, trained: Path, tmp_path: Path, call: Call
) -> None:
    line = refused(call, "train", str(trained / "d.npy"), *given.split(), "--out", str(tmp_path / "run"))
    assert line.startswith(f"jensen: {given.split()[0]} is ")
    assert line.endswith(" less than 1,099,511,627,776")


def test_a_model_too_large_is_refused_in_the_words_of_python() -> None:
    with pytest.raises(UserError) as caught:
        VariationalAutoencoder(hidden=(900_000_000_000,), latent_dim=3).fit(np.eye(30))
    assert str(caught.value) == (
        "memory ran out for the weights: lower hidden (now 900000000000) or latent_dim (now 3)"
    )


def test_every_command_says_what_takes_less_memory() -> None:
    assert list(LOWER) == list(COMMANDS)


def test_a_command_that_runs_out_of_memory_is_no_fault(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def greedy(*given: Any, **more: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(jensen.evaluation, "sample_blocks", greedy)
    line = refused(call, "sample", str(trained / "run"), "-o", str(tmp_path / "new.npy"))
    assert line == "jensen: memory ran out; lower -n"


def test_more_samples_than_the_disk_has_room_for_are_refused(
    trained: Path, tmp_path: Path, call: Call
) -> None:
    words = ("sample", str(trained / "run"), "-n", "1000000000000000", "-o", str(tmp_path / "new.npy"))
    line = refused(call, *words)
    assert "new.npy: it would take 5,000,000 GB or more, and " in line
    assert line.endswith(" GB are free there; ask for fewer rows, or give another path")
    assert not list(tmp_path.iterdir())


def test_samples_written_in_pieces_are_those_drawn_at_once(trained: Path, tmp_path: Path, call: Call) -> None:
    run = Run.open(trained / "run")
    whole = sample(run.model(), 600, seed=3)
    sizes = [len(x) for x in sample_blocks(run.model(), 600, seed=3)]
    assert sizes == [256, 256, 88]
    done(call, "sample", str(run.path), "-n", "600", "--seed", "3", "-o", str(tmp_path / "new.npy"))
    assert np.array_equal(np.load(tmp_path / "new.npy"), run.preparation.invert(whole).numpy())


@pytest.mark.parametrize(
    ("size", "free", "words"),
    [
        (450_000_000, 400_000_000, "it would take 450 MB or more, and 400.0 MB are free"),
        (1_200_000, 1_000_000, "it would take 1,200 kB or more, and 1,000.0 kB are free"),
        (9, 0, "it would take 9 bytes or more, and 0.0 bytes are free"),
    ],
)
def test_sizes_are_in_units_that_tell_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, free: int, words: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(free, 0, free))
    with pytest.raises(UserError, match=words):
        check_space(tmp_path / "new.npy", size)
