"""Labels as a condition: a model of p(x | label) of arrays and of images, from the command line."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import jensen.cli
from jensen.data import load
from jensen.data.labelling import give_known_labels, give_labels
from jensen.data.labels import LABEL, Labels
from jensen.errors import UserError
from jensen.run import Run
from tests.cli.helpers import Call, done, evaluated, refused

SD = 0.4
MEANS = {2: -1.0, 5: 0.0, 9: 3.0}
"""Of every pixel, by label: whole numbers that do not begin at 0, as a user's may be."""
QUICK = ["--epochs", "12", "--batch-size", "64", "--hidden", "16", "--latent-dim", "1", "--lr", "0.01"]


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x ``[n, 2, 3]`` ~ N(mean of the label, SD^2), and the labels."""
    draw = np.random.default_rng(seed)
    y = draw.choice(list(MEANS), n, p=[0.5, 0.3, 0.2])
    mean = np.array([MEANS[label] for label in y])[:, None, None]
    return (mean + SD * draw.normal(size=(n, 2, 3))).astype(np.float32), y


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arrays with labels and a run on them."""
    folder = tmp_path_factory.mktemp("labels")
    x, y = pictures(3000, 0)
    np.savez(folder / "d.npz", x=x, y=y)
    words = ["train", str(folder / "d.npz"), "--condition", "label", "--out", str(folder / "run"), *QUICK]
    assert jensen.cli.main(words) == 0
    return folder


@pytest.mark.parametrize("label", list(MEANS))
def test_samples_have_the_mean_of_their_label(folder: Path, call: Call, label: int) -> None:
    out = folder / "s.npz"
    words = ("sample", str(folder / "run"), "-o", str(out), "-n", "500", "--where", f"label = {label}")
    _, said = done(call, *words)
    assert "of 2,400 training rows" in said
    drawn = np.load(out)
    assert drawn["x"].shape == (500, 2, 3)
    assert set(drawn["label"]) == {str(label)}
    # Chance, and what 2,400 rows leave open.
    assert drawn["x"].mean() == pytest.approx(MEANS[label], abs=0.1)
    assert drawn["x"].std() == pytest.approx(SD, rel=0.15)


def test_scores_are_log_p_of_x_given_the_label(folder: Path, call: Call, tmp_path: Path) -> None:
    x, y = pictures(500, 1)
    np.savez(tmp_path / "o.npz", x=x, y=y)
    args = ("score", str(folder / "run"), str(tmp_path / "o.npz"), "-o", str(tmp_path / "s.csv"))
    _, said = done(call, *args, "--per-column")
    assert "log p(x | label)" in said
    scores = pd.read_csv(tmp_path / "s.csv")
    places = [f"x{row}_{column}" for row, column in np.ndindex(x.shape[1:])]
    assert [name for name in scores if name.startswith("x")] == places
    assert np.allclose(scores.filter(regex="^x|latents").sum(axis=1), scores.log_px, atol=1e-4)
    mean = np.array([MEANS[label] for label in y])[:, None, None]
    exact = (-0.5 * ((x - mean) / SD) ** 2 - math.log(SD * math.sqrt(2 * math.pi))).sum((1, 2))
    # log p(x, label) would be lower by the entropy of the label, 1.0 nats.
    assert abs(scores.log_px.mean() - exact.mean()) < 0.2
    assert np.corrcoef(scores.log_px, exact)[0, 1] > 0.95


def test_a_label_is_drawn_as_in_training_where_none_is_asked_for(folder: Path, call: Call) -> None:
    out = folder / "all.csv"
    _, said = done(call, "sample", str(folder / "run"), "-o", str(out), "-n", "2000")
    assert "for the label of training rows" in said
    drawn = pd.read_csv(out)
    assert list(drawn) == ["label", "x0_0", "x0_1", "x0_2", "x1_0", "x1_1", "x1_2"]
    assert (drawn.label == 9).mean() == pytest.approx(0.2, abs=0.04)
    assert drawn[drawn.label == 9].x1_0.mean() == pytest.approx(3, abs=0.15)


def test_the_other_commands(folder: Path, call: Call, tmp_path: Path) -> None:
    run, data = str(folder / "run"), str(folder / "d.npz")
    for name, out in (("encode", "z.csv"), ("reconstruct", "r.npz"), ("reconstruct", "r.png")):
        done(call, name, run, data, "-o", str(tmp_path / out))
    assert np.load(tmp_path / "r.npz")["label"].tolist() == [str(y) for y in np.load(data)["y"]]
    out, page = evaluated(call, folder / "run")
    assert "p(x) stands for p(x | label)" in out
    assert "It is conditional on label" in page
    assert "which the model is given" in page
    before = (folder / "run" / "metrics.jsonl").read_text()
    assert call("train", "--resume", run, "--epochs", "13")[0] == 0
    assert (folder / "run" / "metrics.jsonl").read_text().startswith(before)


def test_a_changed_label_is_changed_data(folder: Path, call: Call, tmp_path: Path) -> None:
    dataset = give_labels(load(str(folder / "d.npz")))
    x, y = pictures(3000, 0)
    y[0] = 5 if y[0] == 2 else 2
    np.savez(tmp_path / "d.npz", x=x, y=y)
    other = give_labels(load(str(tmp_path / "d.npz")))
    assert dataset.digest != other.digest
    assert load(str(folder / "d.npz")).digest == load(str(tmp_path / "d.npz")).digest
    assert dataset.given is not None
    assert dataset.given.levels == {LABEL: ("2", "5", "9")}
    assert Run.open(folder / "run").dataset().digest == dataset.digest


@pytest.mark.parametrize(
    "words",
    [
        "--binarize dynamic",
        "--binarize static --prior mixture --components 2 --network conv --hidden 4,4",
        "--likelihood discretized-logistic --scaling per-dimension",
        "--likelihood categorical --inference semi-amortized --inner-steps 2",
        "--inference two-tier --inner-steps 2 --posterior full",
        "--likelihood discretized-logistic-mixture --components 2 --network resnet --hidden 4,4",
        "--posterior gumbel-softmax --categories 3 --variance per-dimension",
        "--posterior point",
    ],
)
def test_every_kind_of_model_takes_a_label(call: Call, tmp_path: Path, words: str) -> None:
    run, out = str(tmp_path / "run"), str(tmp_path / "s.png")
    quick = ["--epochs", "1", "--latent-dim", "2", "--device", "cpu"]
    hidden = [] if "--hidden" in words else ["--hidden", "4"]
    done(call, "train", "digits", "--condition", "label", "--out", run, *quick, *hidden, *words.split())
    assert call("sample", run, "-n", "3", "--where", "label in (3, 4)", "--mean", "-o", out)[0] == 0
    assert call("evaluate", run, "--limit", "5", "--num-samples", "2", "--refine-steps", "0")[0] == 0
    status, _, said = call("score", run, "digits", "--num-samples", "1", "-o", str(tmp_path / "s.csv"))
    assert (status, "point posterior" in said) == ((2, True) if "point" in words else (0, False))


def write_images(folder: Path, levels: dict[str, int], n: int) -> None:
    draw = np.random.default_rng(0)
    for name, level in levels.items():
        (folder / name).mkdir(parents=True)
        for number in range(n):
            grey = np.clip(level + draw.normal(0, 10, (8, 6)), 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(folder / name / f"{number:02}.png")


def test_folders_are_labels(call: Call, tmp_path: Path) -> None:
    shades = {"dark": 40, "light": 210}
    write_images(tmp_path / "shades", shades, 40)
    run, data, out = str(tmp_path / "run"), str(tmp_path / "shades"), tmp_path / "s.npz"
    words = ["--epochs", "60", "--batch-size", "16", *QUICK[4:], "--device", "cpu"]
    _, said = done(call, "train", data, "--condition", "label", "--out", run, *words)
    assert "conditional on the label (2: dark, light)" in said
    for name, level in shades.items():
        _, said = done(call, "sample", run, "-n", "50", "--where", f"label = {name}", "-o", str(out))
        assert np.load(out)["x"].mean() == pytest.approx(level, abs=20)
    # A folder of one label, and a single image, have the label that their folder says.
    for source in (f"{data}/light", f"{data}/light/03.png"):
        assert call("score", run, source, "-o", str(tmp_path / "s.csv"))[0] == 0
        light = pd.read_csv(tmp_path / "s.csv").log_px
        assert light.mean() > -300
    write_images(tmp_path / "more", {"fox": 90, "dark": 40}, 3)
    said = refused(call, "encode", run, str(tmp_path / "more"), "-o", str(tmp_path / "z.csv"))
    assert "3 of 6 rows have labels that training had not (fox); it had dark, light" in said
    said = refused(call, "encode", run, str(tmp_path / "more" / "fox"), "-o", str(tmp_path / "z.csv"))
    assert "has no labels, which --condition label needs (in training dark, light)" in said
    said = refused(call, "sample", run, "--where", "label = drak", "-o", str(tmp_path / "s.png"))
    assert "did you mean dark?" in said


def test_what_cannot_be_learned_from_is_refused(call: Call, tmp_path: Path) -> None:
    x = np.zeros((20, 3))
    for name, y in (("all", np.arange(20)), ("one", np.ones(20, int)), ("none", None)):
        np.savez(tmp_path / f"{name}.npz", **({"x": x} if y is None else {"x": x, "y": y}))
        words = ("train", str(tmp_path / f"{name}.npz"), "--condition", "label", "--out", str(tmp_path / "r"))
        said = refused(call, *words)
        assert ("has no labels" if name == "none" else "nothing can be learned") in said
    said = refused(call, "train", "digits", "--condition", "label", "--prior", "vamp")
    assert "--prior vamp is made of the encoder" in said


def test_many_labels_are_kept_apart(tmp_path: Path) -> None:
    """More labels than uint8 numbers, in the rows that a model is given and in its answers."""
    y = np.repeat(np.arange(400), 3)
    np.savez(tmp_path / "m.npz", x=np.full((1200, 2, 2), 7, np.uint8), y=y)
    dataset = give_labels(load(str(tmp_path / "m.npz")))
    rows = dataset.source[torch.arange(1200)]
    assert dataset.given is not None
    x, numbers = dataset.given.split(rows)
    assert (x == 7).all()
    assert dataset.given.texts(numbers) == {LABEL: [str(label) for label in y]}
    with pytest.raises(UserError, match="600 of 1200 rows have labels that training had not"):
        give_known_labels(
            load(str(tmp_path / "m.npz")), Labels({LABEL: tuple(str(label) for label in range(200))}, (2, 2))
        )


def test_labels_are_called_by_their_names(folder: Path) -> None:
    given = give_labels(load(str(folder / "d.npz"))).given
    assert given is not None
    assert given.texts(torch.arange(3)[:, None]) == {LABEL: ["2", "5", "9"]}
    assert load(str(folder / "d.npz")).label_name(9) == "9"


def test_a_record_of_the_one_label_of_former_days_is_read() -> None:
    record = {"names": ["a", "b"], "event_shape": [2, 3]}
    labels = Labels.from_dict(record)
    assert labels == Labels({LABEL: ("a", "b")}, (2, 3))
    assert Labels.from_dict(labels.to_dict()) == labels
