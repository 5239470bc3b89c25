"""A run with a missing, truncated or altered file: every command that needs the file says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jensen.run import Run
from tests.cli.helpers import TRAIN, Call, digests, done, refused

Damage = Callable[[Path], object]

CONFIG, MODEL = "config.yaml", "model.safetensors"
METRICS, STATE = "metrics.jsonl", "checkpoint/state.safetensors"

READERS = {
    "evaluate": "evaluate copy --num-samples 2",
    "sample": "sample copy -n 2 -o new.npy",
    "encode": "encode copy d.npy -o new.npy",
    "reconstruct": "reconstruct copy d.npy -o new.npy",
    "report": "report copy --num-samples 2",
}
RESUME = {"resume": "train --resume copy --epochs 4"}


def remove(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def cut(name: str) -> Damage:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[: (run / name).stat().st_size // 2])


def flip(name: str) -> Damage:
    def damage(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[-9] ^= 1
        (run / name).write_bytes(content)

    return damage


def empty(name: str) -> Damage:
    return lambda run: (run / name).write_bytes(b"")


def other(name: str) -> Damage:
    """The file of another run."""
    return lambda run: shutil.copy(run.parent / "bits" / name, run / name)


def edit(name: str, old: str, new: str) -> Damage:
    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return damage


CASES: list[tuple[str, Damage, dict[str, str], str]] = [
    ("no config", remove(CONFIG), READERS | RESUME, "config.yaml"),
    ("half a config", cut(CONFIG), READERS | RESUME, "config.yaml"),
    ("empty config", empty(CONFIG), READERS | RESUME, "config.yaml"),
    ("no recorded", edit(CONFIG, "recorded:", "# "), READERS | RESUME, "config.yaml"),
    ("other width", edit(CONFIG, "hidden: [8]", "hidden: [9]"), READERS | RESUME, "altered"),
    ("other rate", edit(CONFIG, "lr: 0.001", "lr: 0.002"), READERS | RESUME, "altered"),
    ("other seed", edit(CONFIG, "seed: 0", "seed: 1"), READERS | RESUME, "altered"),
    ("other shape", edit(CONFIG, "shape: [60, 5]", "shape: [60, 6]"), READERS | RESUME, "altered"),
    ("no shape", edit(CONFIG, "    shape: [60, 5]\n", ""), READERS | RESUME, "config.yaml"),
    ("other digest", edit(CONFIG, "digest: ", "digest: 0"), READERS | RESUME, "altered"),
    ("other scale", edit(CONFIG, "scale: [", "scale: [9.0, "), READERS | RESUME, "config.yaml"),
    ("other support", edit(CONFIG, "support: real", "support: seal"), READERS | RESUME, "altered"),
    ("other dtype", edit(CONFIG, "float64", "float32"), READERS | RESUME, "altered"),
    ("unknown key", edit(CONFIG, "latent_dim", "latentdim"), READERS | RESUME, "did you mean latent_dim?"),
    ("no weights", remove(MODEL), READERS, "--resume copy` writes it anew"),
    ("half the weights", cut(MODEL), READERS, "truncated"),
    ("a bit of the weights", flip(MODEL), READERS, "altered"),
    ("empty weights", empty(MODEL), READERS, "truncated"),
    ("weights of another run", other(MODEL), READERS, "another run"),
    ("no metrics", remove(METRICS), {"report": READERS["report"]}, "--resume copy` writes it anew"),
    ("half the metrics", cut(METRICS), {"report": READERS["report"]}, "--resume copy` writes it anew"),
    ("metrics edited", edit(METRICS, ": -", ": -1"), {"report": READERS["report"]}, "altered"),
    ("no checkpoint", remove(STATE), RESUME, "missing"),
    ("half a checkpoint", cut(STATE), RESUME, "truncated"),
    ("a bit of the checkpoint", flip(STATE), RESUME, "altered"),
    ("checkpoint of another run", other(STATE), RESUME, "altered"),
    (
        "weights for a checkpoint",
        lambda run: shutil.copy(run / MODEL, run / STATE),
        RESUME,
        "no checkpoint",
    ),
]


@pytest.mark.parametrize(
    ("damage", "line", "says"),
    [
        pytest.param(damage, line, says, id=f"{what}, {command}")
        for what, damage, commands, says in CASES
        for command, line in commands.items()
    ],
)
def test_damage_is_named(
    damage: Damage, line: str, says: str, trained: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(trained)
    shutil.copytree("run", "copy")
    try:
        damage(Path("copy"))
        before = digests(trained)
        status, out, err = call(*line.split())
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert says in err
        assert "copy" in err
        assert digests(trained) == before
    finally:
        shutil.rmtree("copy")


@pytest.mark.parametrize("damage", [remove(MODEL), cut(MODEL), remove(METRICS), cut(METRICS)])
def test_resume_mends_what_the_checkpoint_remembers(
    damage: Damage, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(trained)
    shutil.copytree("run", tmp_path / "copy")
    before = digests(tmp_path)
    damage(tmp_path / "copy")
    assert call("train", "--resume", str(tmp_path / "copy"))[0] == 0
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut(MODEL), "model.safetensors is truncated or damaged"),
        (flip(MODEL), "model.safetensors was altered"),
        (other(MODEL), "model.safetensors do not belong together"),
        (remove(METRICS), "cannot read copy/metrics.jsonl"),
        (cut(METRICS), "metrics.jsonl is truncated or damaged"),
    ],
)
def test_resume_says_what_it_writes_anew(
    damage: Damage, said: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    shutil.copytree(trained / "run", tmp_path / "copy")
    shutil.copytree(trained / "bits", tmp_path / "bits")
    monkeypatch.chdir(tmp_path)
    assert "anew" not in done(call, "train", "--resume", "copy")[1]
    damage(tmp_path / "copy")
    (line,) = [line for line in done(call, "train", "--resume", "copy")[1].splitlines() if "anew" in line]
    assert said in line
    assert line.endswith(": it is written anew from the checkpoint")


def test_a_report_without_the_checkpoint_says_that_its_curves_are_not_checked(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    shutil.copytree(trained / "run", tmp_path / "copy")
    monkeypatch.chdir(trained)
    copy = str(tmp_path / "copy")
    assert "unchecked" not in done(call, "report", copy, "--num-samples", "2")[1]
    remove(STATE)(tmp_path / "copy")
    said = done(call, "report", copy, "--num-samples", "2")[1]
    assert f"{STATE} is missing: the curves of metrics.jsonl are shown as they are, unchecked" in said


def test_fewer_epochs_than_are_done_are_refused(
    trained: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(trained)
    before = digests(trained)
    said = refused(call, "train", "--resume", "run", "--epochs", "2")
    assert "--epochs 2 is less than the 3 that run has done" in said
    assert digests(trained) == before


def test_data_that_changed_since_training(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained / "d.npy", "d.npy")
    assert call("train", "d.npy", "--out", "run", *TRAIN)[0] == 0
    shutil.copy(trained / "grey.npy", "d.npy")
    for line in ("evaluate run", "report run", "train --resume run"):
        status, _, err = call(*line.split())
        assert (status, err.count("\n")) == (2, 1)
        assert "d.npy is not what run was trained on" in err


def test_data_that_moved(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained / "d.npy", "d.npy")
    done(call, "train", "d.npy", "--out", "run", *TRAIN)
    shutil.move("d.npy", "moved.npy")
    for line in ("evaluate run", "report run", "train --resume run", "train no.npy --resume run"):
        said = refused(call, *line.split())
        assert "no such file or folder; restore" in said
        assert said.endswith("jensen train NEWPATH --resume run")
    before = digests(tmp_path)
    said = refused(call, "train", str(trained / "wide.npy"), "--resume", "run")
    assert "DATA cannot change" in said
    assert "wide.npy is not what run was trained on" in said
    assert digests(tmp_path) == before
    done(call, "train", "moved.npy", "--resume", "run")
    assert Run.open("run").settings.data == str(tmp_path / "moved.npy")
    done(call, "evaluate", "run", "--num-samples", "2", "--limit", "9")
    shutil.move("moved.npy", "again.npy")
    done(call, "train", "again.npy", "--resume", "run", "--epochs", "4")
    shutil.copy("again.npy", "moved.npy")
    config = Path("run/config.yaml")
    config.write_text(config.read_text().replace("lr: 0.001", "lr: 0.002"))
    assert "altered" in refused(call, "train", "moved.npy", "--resume", "run", "--epochs", "5")


def test_scores_of_a_run_whose_data_are_gone_are_without_percentiles(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained / "d.npy", "d.npy")
    done(call, "train", "d.npy", "--out", "run", *TRAIN)
    shutil.move("d.npy", "away.npy")
    line = ("score", "run", "away.npy", "-o", "scores.csv", "--num-samples", "3")
    for content in (None, trained / "grey.npy"):
        if content is not None:
            shutil.copy(content, "d.npy")
        _, said = done(call, *line)
        assert "no percentiles, which need the training data once" in said
        assert "restore" in said.splitlines()[-1]
        assert Path("scores.csv").read_text().splitlines()[0] == "log_px,effective_sample_size"
    shutil.copy("away.npy", "d.npy")
    done(call, *line)
    Path("d.npy").unlink()  # the scores of its rows are kept
    done(call, *line)
    assert Path("scores.csv").read_text().splitlines()[0] == "log_px,percentile,effective_sample_size"
