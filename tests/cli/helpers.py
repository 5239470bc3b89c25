"""Running commands, and the files of data that the tests of the command line share."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SOURCE = Path(__file__).parents[2] / "src"
TRAIN = ["--epochs", "3", "--hidden", "8", "--latent-dim", "2", "--device", "cpu"]

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Call = Callable[..., tuple[int, str, str]]


def environment() -> dict[str, str]:
    """Of a process that runs this source tree's jensen."""
    return os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def shell(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """``jensen WORDS`` as a user types it: a process of its own, in the folder ``cwd``."""
    return subprocess.run(
        [sys.executable, "-m", "jensen", *words],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def done(call: Call, *words: str) -> tuple[str, str]:
    """Standard output and standard error of a command that does what it is told."""
    status, out, said = call(*words)
    assert status == 0, said
    return out, said


def refused(call: Call, *words: str) -> str:
    """The line in which a command refuses the user's input."""
    status, _, said = call(*words)
    assert status == 2, said
    return said.splitlines()[-1]


def evaluated(call: Call, run: Path) -> tuple[str, str]:
    """Of a run, and few rows: what `evaluate` prints, everything measured, and the page of `report`."""
    few = ("--limit", "20", "--num-samples", "5")
    annealed = ("--bdmc", "--temperatures", "3", "--chains", "2")
    out, _ = done(call, "evaluate", str(run), *few, "--refine-steps", "3", *annealed)
    assert "not measured" not in out
    done(call, "report", str(run), *few)
    return out, (run / "report.html").read_text()


def digests(folder: Path) -> dict[str, str]:
    """A digest of every file below ``folder``, and the names of its folders."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def write_data(folder: Path) -> None:
    """Good data and bad."""
    draws = np.random.default_rng(0)
    good = draws.normal(size=(60, 5))
    holes = good.copy()
    holes[3, 2], holes[7, 1], holes[8, 0] = np.nan, np.inf, np.nan
    arrays = {
        "d": good,
        "binary": (draws.random((60, 5)) < 0.5).astype(np.uint8),
        "grey": draws.random((60, 5)),
        "outside": 3 * draws.random((60, 5)),
        "holes": holes,
        "empty": np.zeros((0, 5)),
        "wide": draws.normal(size=(60, 6)),
        "one": np.zeros((1, 5)),
        "flat": np.zeros(5),
        "text": np.array([["a", "b"]]),
        "images": draws.random((40, 4, 4)),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([[1, "a"]], dtype=object), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "d.npy").read_bytes()[:700])
    (folder / "nothing.npy").write_bytes(b"")
    (folder / "a_file").write_text("not a folder")
    (folder / "folder.npy").mkdir()


def write_h5ad(
    path: Path, x: Any, obs: dict[str, Any] | None = None, *, genes: Any = None, raw: Any = None, **parts: Any
) -> str:
    """An annotated matrix with columns ``obs`` of its cells, and names of cells and, if given, of genes."""
    import anndata

    with pd.option_context("future.infer_string", False):  # anndata writes no strings of pandas 3
        rows = (next(iter(parts["layers"].values())) if x is None else x).shape[0]
        index = pd.Index([f"AAC{number}" for number in range(rows)], name="barcode")
        var = None if genes is None else pd.DataFrame(index=genes)
        cells = anndata.AnnData(x, pd.DataFrame(obs or {}, index=index), var, **parts)
        if raw is not None:
            var = pd.DataFrame(index=[f"raw-{number}" for number in range(raw.shape[1])])
            cells.raw = anndata.AnnData(raw, var=var)
        cells.write_h5ad(path)
    return str(path)
