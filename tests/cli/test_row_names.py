"""What tells rows apart goes with whatever is written of them, and can be read back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jensen.data import load_rows
from tests.cli.helpers import Call, done

QUICK = ["--epochs", "1", "--hidden", "4", "--latent-dim", "1", "--device", "cpu"]


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    ids = [f"{number:05}" for number in range(9, 309)]  # with leading zeros, and not of one length if counted
    return pd.DataFrame({"y": draw.normal(size=300), "patient_id": ids, "kind": draw.choice(["a", "b"], 300)})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["text", "number", "date"])
def test_a_reconstructed_table_keeps_its_ids(
    call: Call, tmp_path: Path, frame: pd.DataFrame, ending: str, kind: str
) -> None:
    if kind == "number":
        frame["patient_id"] = 10**12 + 7 * np.arange(300)
    if kind == "date":
        frame["patient_id"] = pd.date_range("2020-01-01", periods=300).astype(str) + "T10:00"
        frame["patient_id"] = "visit of " + frame["patient_id"]
    frame.to_parquet(tmp_path / "t.parquet")
    run, data, out = str(tmp_path / "run"), str(tmp_path / "t.parquet"), tmp_path / f"o.{ending}"
    done(call, "train", data, "--out", run, *QUICK)
    done(call, "reconstruct", run, data, "-o", str(out))
    read = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out, dtype={"patient_id": str})
    assert list(read) == list(frame)
    assert read.patient_id.astype(str).tolist() == frame.patient_id.astype(str).tolist()
    assert ending == "csv" or (read.patient_id.dtype.kind == "i") == (kind == "number")
    # What is written can be read again, and is called the same.
    done(call, "encode", run, str(out), "-o", str(tmp_path / "z.csv"))
    assert pd.read_csv(tmp_path / "z.csv", dtype=str).patient_id[299] == str(frame.patient_id[299])
    frame.loc[[4, 7], "y"] = np.nan
    frame.to_parquet(tmp_path / "holes.parquet")
    done(call, "impute", run, str(tmp_path / "holes.parquet"), "-o", str(tmp_path / "f.parquet"))
    assert pd.read_parquet(tmp_path / "f.parquet").patient_id.tolist() == frame.patient_id.tolist()


def test_a_reconstructed_image_keeps_the_name_of_its_file(call: Call, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "pics" / label).mkdir(parents=True)
        for number in range(20):
            grey = draw.integers(0, 256, (5, 4), dtype=np.uint8)
            Image.fromarray(grey).save(tmp_path / "pics" / label / f"{number}.png")
    run, data, out = str(tmp_path / "run"), str(tmp_path / "pics"), tmp_path / "o.csv"
    done(call, "train", data, "--condition", "label", "--out", run, *QUICK)
    done(call, "reconstruct", run, data, "-o", str(out))
    done(call, "encode", run, data, "-o", str(tmp_path / "z.csv"))
    read = pd.read_csv(out)
    assert list(read)[:3] == ["image", "label", "x0_0"]
    assert read.image.tolist() == pd.read_csv(tmp_path / "z.csv").image.tolist()
    assert (read.image.str.split("/").str[-2] == read.label).all()
    for ending in ("npy", "png", "npz"):
        done(call, "reconstruct", run, data, "-o", str(tmp_path / f"o.{ending}"))
    with np.load(tmp_path / "o.npz") as archive:
        assert archive["image"].tolist() == read.image.tolist()
    again = load_rows(str(tmp_path / "o.npz"))
    assert again.event_shape == (5, 4), "the names beside the rows are no rows"
    assert again.classes == ("a", "b")


def test_the_bounds_of_rows_add_up_to_the_figures_and_say_whose_they_are(
    call: Call, tmp_path: Path, frame: pd.DataFrame
) -> None:
    frame.to_parquet(tmp_path / "t.parquet")
    run, out = str(tmp_path / "run"), tmp_path / "bounds.csv"
    done(call, "train", str(tmp_path / "t.parquet"), "--out", run, *QUICK)
    status, text, _ = call("evaluate", run, "-o", str(out), "--json", "--num-samples", "3", "--limit", "7")
    figures, read = json.loads(text), pd.read_csv(out, dtype={"patient_id": str})
    assert (status, figures["run"], len(read)) == (0, run, 7)
    assert read.patient_id.tolist() == frame.patient_id[read.row].tolist()
    for name in ("elbo", "distortion", "rate", "iwae"):
        assert read[name].mean() == pytest.approx(figures[name]["value"], rel=1e-6)
    status, _, said = call("evaluate", run, "-o", str(tmp_path / "t.parquet"))
    assert status == 2
    assert "holds the data themselves" in said
