"""Anomaly detection on 12 sets of ADBench: `VAEOutlierDetector` beside PyOD's detectors, all with defaults.

    python benchmarks/anomaly.py                       # five seeds: about two hours of one core
    python benchmarks/anomaly.py --seeds 1             # a first look
    python benchmarks/anomaly.py --again               # jensen's figures anew, PyOD's as they are

Two protocols. Unsupervised: fit on all rows, score the same rows. Normal-only: fit on half of the normal
rows, score all others. ROC-AUC and average precision, averaged over the seeds. The peers run with the
interpreter of .venv-peers (`make bench-peers`). The defaults of `VAEOutlierDetector` were chosen on the sets
of DEVELOPMENT and on others; docs/anomalies.md tells what was chosen on what.

Writes benchmarks/results/anomaly.json, figure by figure: a run that was stopped goes on where it was, and
only what is missing there is run. Means are over the seeds that all detectors have.
"""

import argparse
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from jensen import VAEOutlierDetector

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "anomaly.json"
DEVELOPMENT = ("annthyroid", "breastw", "cardio", "Ionosphere", "Pima", "vowels", "thyroid", "Wilt")
PROTOCOLS = ("unsupervised", "normal-only")
DETECTORS = ("jensen", "PyOD VAE", "PCA", "IForest", "KNN", "ECOD")


@dataclass(frozen=True)
class Task:
    """What is fitted (``train``) and scored (``test`` if it is there), and ``y`` of the rows scored."""

    name: str
    protocol: str
    seed: int
    data: dict[str, Any]


def sets(folder: Path) -> dict[str, Path]:
    """The files by the name of the set, in the order of ADBench's numbers."""
    files = sorted(folder.glob("*.npz"), key=lambda path: int(path.stem.split("_")[0]))
    return {path.stem.split("_")[1]: path for path in files}


def split(X: np.ndarray, y: np.ndarray, protocol: str, seed: int) -> dict[str, Any]:
    """What is fitted and scored; ``y`` of the rows scored, 1 for an anomaly."""
    if protocol == "unsupervised":
        return {"train": X, "y": y, "seed": seed}
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    train = normal[: len(normal) // 2]
    rest = np.setdiff1d(np.arange(len(X)), train)
    return {"train": X[train], "test": X[rest], "y": y[rest], "seed": seed}


class Table:
    """The JSON file of figures: for each set and protocol, of each detector by seed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["sets"] if path.exists() else []

    def row(self, name: str, protocol: str) -> dict[str, Any]:
        """The row of a set and protocol, new if it is not there."""
        for row in self.rows:
            if (row["set"], row["protocol"]) == (name, protocol):
                return row
        self.rows.append({"set": name, "protocol": protocol, "scores": {d: {} for d in DETECTORS}})
        return self.rows[-1]

    def add(self, task: Task, found: Any) -> None:
        """Figures of the detectors whose scores and seconds are in ``found``."""
        y, row = task.data["y"], self.row(task.name, task.protocol)
        row |= {"rows": len(y), "anomalies": int(y.sum())}
        for detector in set(DETECTORS) & set(found):
            # PyOD's PCA divides by an eigenvalue of 0 (cardio, normal-only, seed 2): all scores are infinite
            scores = np.nan_to_num(found[detector], nan=np.nan)
            row["scores"][detector][str(task.seed)] = {
                "roc_auc": float(roc_auc_score(y, scores)),
                "ap": float(average_precision_score(y, scores)),
                "seconds": float(found[f"{detector} seconds"]),
            }

    def lacks(self, task: Task, detector: str) -> bool:
        """Whether a detector's figures are not there."""
        return str(task.seed) not in self.row(task.name, task.protocol)["scores"][detector]

    def write(self) -> None:
        """Write the file, with means over the sets."""
        content = {
            "torch": torch.__version__,
            "development": DEVELOPMENT,
            "means": summary(self.rows),
            "sets": self.rows,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def tasks_of(options: argparse.Namespace) -> list[Task]:
    """Every set and protocol, seed by seed."""
    loaded = {name: np.load(path) for name, path in sets(options.data).items()}
    names = [name for name in loaded if not options.sets or name in options.sets]
    return [
        Task(name, protocol, seed, split(loaded[name]["X"].astype(float), loaded[name]["y"], protocol, seed))
        for seed in range(options.seeds)
        for name in names
        for protocol in PROTOCOLS
    ]


def run_jensen(task: Task) -> dict[str, Any]:
    """Scores, larger for anomalies, and the seconds of one core that they took."""
    began = time.process_time()
    detector = VAEOutlierDetector(random_state=task.seed).fit(task.data["train"])
    scores = -detector.score_samples(task.data.get("test", task.data["train"]))
    return {"jensen": scores, "jensen seconds": time.process_time() - began}


def run_peers(tasks: list[Task], table: Table, options: argparse.Namespace) -> None:
    """PyOD's detectors, in their own environment, on the splits as files."""
    options.work.mkdir(parents=True, exist_ok=True)
    paths = [options.work / f"{task.name}-{task.protocol}-{task.seed}.npz" for task in tasks]
    for task, path in zip(tasks, paths, strict=True):
        np.savez(path, **task.data)
    if tasks:
        script = ROOT / "benchmarks" / "anomaly_peers.py"
        subprocess.run([options.peers, script, options.work / "peers", *paths], check=True)
    for task, path in zip(tasks, paths, strict=True):
        table.add(task, dict(np.load(options.work / "peers" / path.name)))


def seeds_of(row: dict[str, Any]) -> set[str]:
    """The seeds that all detectors have."""
    return set.intersection(*(set(row["scores"][d]) for d in DETECTORS))


def mean_of(row: dict[str, Any], detector: str, figure: str) -> float:
    """A figure's mean over the seeds that all detectors have."""
    return float(np.mean([row["scores"][detector][seed][figure] for seed in seeds_of(row)]))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the sets, of both protocols: over all, and over those that no choice was made on."""
    rows = [row for row in rows if seeds_of(row)]
    held_out = [row for row in rows if row["set"] not in DEVELOPMENT]
    means: dict[str, Any] = {}
    for which, some in (("all", rows), ("held out", held_out)):
        for protocol in PROTOCOLS:
            chosen = [row for row in some if row["protocol"] == protocol]
            for figure in ("roc_auc", "ap", "seconds"):
                means.setdefault(which, {}).setdefault(protocol, {})[figure] = {
                    d: float(np.mean([mean_of(row, d, figure) for row in chosen]))
                    for d in DETECTORS
                    if chosen
                }
    return means


def show(rows: list[dict[str, Any]], means: dict[str, Any]) -> None:
    for protocol in PROTOCOLS:
        print(f"\n{protocol}: ROC-AUC in per cent" + "".join(f"{d:>10}" for d in DETECTORS))
        for row in rows:
            if row["protocol"] == protocol and seeds_of(row):
                mark = "*" if row["set"] in DEVELOPMENT else " "
                line = "".join(f"{100 * mean_of(row, d, 'roc_auc'):10.1f}" for d in DETECTORS)
                print(f"{mark} {row['set']:<30}{line}")
        for which, of in means.items():
            for figure, words in (("roc_auc", "ROC-AUC"), ("ap", "average precision")):
                line = "".join(f"{100 * v:10.1f}" for v in of[protocol][figure].values())
                print(f"{f'mean {words}, {which}':<32}{line}")
        line = "".join(f"{v:10.1f}" for v in means["all"][protocol]["seconds"].values())
        print(f"{'seconds of one core, mean':<32}{line}")
    print("* seen when the defaults were chosen")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument(
        "--data", type=Path, default=ROOT / "../shared/data/adbench", help="folder of ADBench's files"
    )
    p.add_argument("--seeds", type=int, default=5, help="repeats")
    p.add_argument("--sets", nargs="+", help="only these sets")
    p.add_argument("--again", action="store_true", help="drop jensen's figures of these sets and seeds first")
    p.add_argument("--no-peers", action="store_true", help="leave PyOD's missing figures out")
    p.add_argument("--work", type=Path, default=Path("runs") / "anomaly", help="the peers' splits and scores")
    p.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file of figures")
    options = p.parse_args()
    torch.set_num_threads(1)
    tasks, table = tasks_of(options), Table(options.table)
    if options.again:
        for task in tasks:
            table.row(task.name, task.protocol)["scores"]["jensen"].pop(str(task.seed), None)
    for task in tasks:
        if table.lacks(task, "jensen"):
            found = run_jensen(task)
            table.add(task, found)
            table.write()
            print(f"{task.name} {task.protocol} {task.seed}  {found['jensen seconds']:.1f} s", flush=True)
    if not options.no_peers:
        run_peers([task for task in tasks if table.lacks(task, DETECTORS[1])], table, options)
    table.write()
    show(table.rows, summary(table.rows))
    print(f"\n{options.table}")


if __name__ == "__main__":
    main()
