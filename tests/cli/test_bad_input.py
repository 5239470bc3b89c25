"""What a user gets wrong: status 2, one line that names it and the mend, and no file touched."""

import io
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.helpers import Call, digests, shell

Refused = Callable[[str], str]

NEW = "--out new --epochs 1 --hidden 4 --device cpu"

DATA = [
    ("holes", "2 NaN and 1 infinite", "the first at row 3, column 2"),
    ("empty", "(0, 5)", "at least 1"),
    ("objects", "never opened", "np.save(path, array.astype(float))"),
    ("cut", "cut short", "copy or write it again"),
    ("nothing", "not a NumPy file", "np.save"),
    ("text", "dtype <U1", "convert"),
    ("one", "too few", "at least 3"),
    ("flat", "shape (5,)", "reshape"),
    ("folder", "Is a directory", "readable"),
    ("missing", "no such file", "file that exists"),
]
ROWS = [
    *DATA[:5],
    ("missing", "no such file", "file that exists"),
    ("wide", "rows of shape [6]", "rows of shape [5]"),
]
TRAIN = [
    ("train", "no data", "jensen train digits"),
    ("train digts", "'digts'", "did you mean digits?"),
    ("train table.xyz", "table.xyz", ".npy"),
    ("train grey.npy --likelihood bernoulli", "300 of 300 values", "--binarize"),
    ("train outside.npy --binarize dynamic", "outside [0, 1]", "scale them"),
    ("train outside.npy --binarize static", "outside [0, 1]", "scale them"),
    ("train grey.npy --binarize static --likelihood normal", "--binarize static", "--likelihood"),
    ("train d.npy more.npy", "'more.npy'", "too many"),
    ("train d.npy --latentdim 3", "--latentdim", "--latent-dim"),
    ("train d.npy --lat 3", "--lat ", "--latent-dim"),
    ("train d.npy --latent-dim 0", "--latent-dim is 0", "at least 1"),
    ("train d.npy --latent-dim -1", "--latent-dim is -1", "at least 1"),
    ("train d.npy --latent-dim two", "--latent-dim is 'two'", "a whole number"),
    ("train d.npy --latent-dim 2.5", "--latent-dim is '2.5'", "a whole number"),
    ("train d.npy --batch-size 0", "--batch-size is 0", "at least 1"),
    ("train d.npy --batch-size -8", "--batch-size is -8", "at least 1"),
    ("train d.npy --num-samples 0", "--num-samples is 0", "at least 1"),
    ("train d.npy --epochs 0", "--epochs is 0", "at least 1"),
    ("train d.npy --epochs", "--epochs", "needs a value"),
    ("train d.npy --hidden 20,x", "'20,x'", "such as 200,200"),
    ("train d.npy --hidden 0", "--hidden", "at least 1"),
    ("train d.npy --precision fp16", "--precision is fp16", "auto, float32, bf16"),
    ("train d.npy --compile yes", "--compile is yes", "auto, on, off"),
    ("train d.npy --lr 0", "--lr is 0.0", "positive"),
    ("train d.npy --lr nan", "--lr is nan", "positive"),
    ("train d.npy --lr fast", "--lr is 'fast'", "a number"),
    ("train d.npy --seed -1", "--seed is -1", "0 or more"),
    ("train d.npy --max-time 0", "--max-time is 0.0", "positive"),
    ("train d.npy --max-time soon", "--max-time is 'soon'", "a number"),
    ("train d.npy --grad-clip -1", "--grad-clip is -1.0", "positive"),
    ("train d.npy --weight-decay 0.1", "--weight-decay is 0.1", "optimizer is adamw or muon"),
    ("train d.npy --sigma 2", "--sigma 2 has no effect with --variance shared", "--variance fixed"),
    ("train d.npy --beta 4 --bound iwae", "--beta 4 has no effect with --bound iwae", "--bound beta"),
    ("train d.npy --validation-fraction 1", "--validation-fraction is 1.0", "between 0 and 1"),
    ("train d.npy --test-fraction 0.95", "0.95", "below 1"),
    (
        "train d.npy --validation-fraction 0.6 --test-fraction 0.5",
        "--validation-fraction 0.6 and --test-fraction 0.5 leave nothing",
        "below 1",
    ),
    ("train d.npy --bound elb", "--bound is elb", "elbo"),
    ("train d.npy --device tpu", "'tpu'", "cpu"),
    ("train d.npy --out run --device tpu", "'tpu'", "cpu"),
    ("train d.npy --config nowhere.yaml", "nowhere.yaml", "lecture"),
    ("train d.npy --config folder.npy", "folder.npy", "config.yaml"),
    ("train d.npy --out run", "run already holds a run", "--overwrite"),
    ("train d.npy --out run", "run already holds a run", "--resume run"),
    ("train d.npy --out a_file", "a_file", "--out"),
    ("train d.npy --out a_file/run", "a_file/run", "--out"),
    ("train --resume nowhere", "nowhere", "jensen train wrote"),
    ("train --resume run --lr 0.1", "--lr", "--epochs"),
    ("train --resume run --epochs 0", "--epochs is 0", "at least 1"),
    ("train --resume run --overwrite", "--overwrite", "--resume"),
    ("train wide.npy --resume run", "DATA cannot change", "train a new run"),
]
OTHERS = [
    ("trian d.npy", "'trian'", "train"),
    ("evaluate", "RUN", "--help"),
    ("evaluate nowhere", "nowhere", "jensen train wrote"),
    ("evaluate a_file", "a_file", "jensen train wrote"),
    ("evaluate run --num-samples 0", "--num-samples is 0", "at least 1"),
    ("evaluate run --limit -1", "--limit is -1", "at least 1"),
    ("evaluate run --seed -1", "--seed is -1", "0 or more"),
    ("evaluate run --split all", "--split is all", "validation"),
    ("evaluate run --jsn", "--jsn", "--json"),
    ("evaluate run --device tpu", "'tpu'", "cpu"),
    ("sample run", "--out", "--help"),
    ("sample run -n 0 -o new.npy", "-n is 0", "at least 1"),
    ("sample run -n many -o new.npy", "'many'", "a whole number"),
    ("sample run --seed -1 -o new.npy", "--seed is -1", "0 or more"),
    ("sample run -o new.xyz", "'.xyz'", ".parquet"),
    ("sample run -o new", "new", ".parquet"),
    ("sample run -o new.png", "no picture", ".csv"),
    ("sample run -o nowhere/new.npy", "nowhere", "make it"),
    ("sample run -o folder.npy", "folder.npy", "a file"),
    ("encode run -o new.npy", "DATA", "--help"),
    ("encode run d.npy -o new.png", "no picture", ".csv"),
    ("encode nowhere d.npy -o new.npy", "nowhere", "jensen train wrote"),
    ("encode bits grey.npy -o new.npy", "300 of 300 values", "0 nor 1"),
    ("reconstruct bits grey.npy -o new.npy", "300 of 300 values", "0 nor 1"),
    ("encode bits grey.npy -o new.npy", "the model cannot take them", "like those of its training"),
    ("reconstruct run d.npy -o a_file/new.npy", "a_file", "folder"),
    ("reconstruct run images.npy -o new.npy", "[4, 4]", "[5]"),
    ("report nowhere", "nowhere", "jensen train wrote"),
    ("report run --limit 0", "--limit is 0", "at least 1"),
    ("report run -o new.pdf", "new.pdf", ".html"),
    ("report run -o nowhere/new.html", "nowhere", "exists"),
]


@pytest.fixture
def refused(trained: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> Refused:
    """Runs a command that must be refused; returns the one line that says so."""
    monkeypatch.chdir(trained)

    def run(line: str) -> str:
        before = digests(trained)
        status, out, err = call(*shlex.split(line))
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert digests(trained) == before
        return err

    return run


@pytest.mark.parametrize(("name", "given", "mend"), DATA)
def test_train_on_unusable_data(name: str, given: str, mend: str, refused: Refused) -> None:
    message = refused(f"train {name}.npy {NEW}")
    assert f"{name}.npy" in message
    assert given in message
    assert mend in message


@pytest.mark.parametrize("command", ["encode", "reconstruct"])
@pytest.mark.parametrize(("name", "given", "mend"), ROWS)
def test_unusable_rows(command: str, name: str, given: str, mend: str, refused: Refused) -> None:
    message = refused(f"{command} run {name}.npy -o new.npy")
    assert f"{name}.npy" in message
    assert given in message
    assert mend in message


@pytest.mark.parametrize("command", ["encode", "reconstruct"])
def test_rows_too_large_once_they_are_scaled(command: str, trained: Path, refused: Refused) -> None:
    rows = np.load(trained / "d.npy")
    rows[3, 2] = 1e300
    np.save(trained / "large.npy", rows)
    try:
        message = refused(f"{command} run large.npy -o new.npy")
    finally:
        (trained / "large.npy").unlink()
    assert "large.npy has values in row 3 (counted from 0) that are too large for float32" in message


@pytest.mark.parametrize(("line", "given", "mend"), TRAIN)
def test_train_refuses(line: str, given: str, mend: str, refused: Refused) -> None:
    message = refused(line)
    assert given in message
    assert mend in message


@pytest.mark.parametrize(("line", "given", "mend"), OTHERS)
def test_other_commands_refuse(line: str, given: str, mend: str, refused: Refused) -> None:
    message = refused(line)
    assert given in message
    assert mend in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize(
    "line", ["train d.npy --out run --overwrite", "train --resume run --epochs 9", "evaluate run"]
)
def test_a_device_that_is_not_there_costs_no_run(line: str, refused: Refused) -> None:
    assert "--device cpu" in refused(f"{line} --device cuda")


@pytest.mark.parametrize("data", ["holes.npy", "nowhere.npy", "grey.npy --likelihood bernoulli"])
def test_overwrite_with_bad_data_costs_no_run(data: str, refused: Refused) -> None:
    refused(f"train {data} --out run --overwrite")


@pytest.mark.parametrize(
    ("text", "given", "mend"),
    [
        ("latentdim: 3", "'latentdim'", "did you mean latent_dim?"),
        ("latent_dim: two", "'two'", "a whole number"),
        ("latent_dim:", "'None'", "a whole number"),
        ("latent_dim: 0", "--latent-dim is 0", "at least 1"),
        ("lr: -1", "--lr is -1.0", "positive"),
        ("hidden: [8, x]", "'8,x'", "200,200"),
        ("hidden: {a: 1}", "'a'", "200,200"),
        ("bound: elb", "--bound is elb", "elbo"),
        ("epochs: 2.5", "'2.5'", "a whole number"),
        ("epochs: true", "'True'", "a whole number"),
        ("grey: 0", "--grey is 0", "true or false"),
        ("grey: maybe", "--grey is 'maybe'", "true or false"),
        ("grey: null", "--grey is None", "true or false"),
        ("skip-bad: 'true'", "--skip-bad is 'true'", "without quotes"),
        ("latent_dim: [3]", "--latent-dim is [3]", "one value"),
        ("data: [d.npy, d.npy]", "--data is ['d.npy', 'd.npy']", "one value"),
        ("latent_dim: 3\nlatent_dim: 4", "line 2: latent_dim is given twice", "mend it"),
        ("latent-dim: 3\nlatent_dim: 4", "latent_dim is given twice", "leave one of them out"),
        ("help: true", "unknown setting 'help'", "(see jensen train --help)"),
        ("1: 2", "unknown setting '1'", "(see jensen train --help)"),
        ("out: new", "unknown setting 'out'", "(see jensen train --help)"),
        ("[1, 2]", "no settings", "latent_dim: 8"),
        ("", "no settings", "latent_dim: 8"),
        ("a: [", "not valid YAML", "mend it"),
        ("\x00", "not valid YAML", "mend it"),
    ],
)
def test_a_config_that_cannot_be_used(
    text: str, given: str, mend: str, trained: Path, refused: Refused
) -> None:
    path = trained / "settings.yaml"
    path.write_text(text)
    try:
        message = refused(f"train d.npy --config settings.yaml {NEW}")
    finally:
        path.unlink()
    assert "settings.yaml" in message
    assert given in message
    assert mend in message


class Trap:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("sprung", "w")


def test_a_pickle_is_never_opened(trained: Path, refused: Refused) -> None:
    file = io.BytesIO()
    np.save(file, np.array([[Trap()]], dtype=object), allow_pickle=True)
    for name in ("trap.npy", "trap.npz"):
        (trained / name).write_bytes(file.getvalue())
        try:
            refused(f"train {name} {NEW}")
            refused(f"encode run {name} -o new.npy")
        finally:
            (trained / name).unlink()
    assert not (trained / "sprung").exists()


def test_an_unwritable_folder(tmp_path: Path, trained: Path, call: Call) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    try:
        (locked / "probe").touch()
    except PermissionError:
        pass
    else:
        pytest.skip("this user may write anywhere")
    for words in (
        ("train", str(trained / "d.npy"), "--out", str(locked / "run")),
        ("sample", str(trained / "run"), "-o", str(locked / "x.npy")),
    ):
        status, _, err = call(*words)
        assert (status, err.count("\n")) == (2, 1)
        assert "locked" in err


def test_the_exit_status_reaches_the_shell(trained: Path) -> None:
    before = digests(trained)
    done = shell("train", "holes.npy", "--out", "new", cwd=trained)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("jensen: holes.npy holds")
    done = shell("train", "d.npy", "--latent-dm", "3", cwd=trained)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert digests(trained) == before
