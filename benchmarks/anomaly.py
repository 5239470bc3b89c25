"""Anomaly detection on 12 sets of ADBench: `VAEOutlierDetector` beside PyOD's detectors, all with defaults.

    python benchmarks/anomaly.py                       # five seeds: about an hour and a half of one core
    python benchmarks/anomaly.py --seeds 1             # a first look

Two protocols. Unsupervised: fit on all rows, score the same rows. Normal-only: fit on half of the normal
rows, score all others. ROC-AUC and average precision, averaged over the seeds. The peers run with the
interpreter of .venv-peers (`make bench-peers`). The defaults of `VAEOutlierDetector` were chosen on the sets
of DEVELOPMENT; four of the other eight had been seen in an earlier version. docs/anomalies.md tells what was
chosen on what.

Writes benchmarks/results/anomaly.json.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from jensen import VAEOutlierDetector

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "anomaly.json"
DEVELOPMENT = ("annthyroid", "breastw", "cardio", "Ionosphere")
PROTOCOLS = ("unsupervised", "normal-only")
DETECTORS = ("jensen", "PyOD VAE", "PCA", "IForest", "KNN", "ECOD")


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


def write_tasks(folder: Path, options: argparse.Namespace) -> list[tuple[str, str, Path]]:
    """A file for each set, protocol and seed."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for name, source in sets(options.data).items():
        if options.sets and name not in options.sets:
            continue
        data = np.load(source)
        for protocol in PROTOCOLS:
            for seed in range(options.seeds):
                path = folder / f"{name}-{protocol}-{seed}.npz"
                if not path.exists():
                    np.savez(path, **split(data["X"].astype(float), data["y"], protocol, seed))
                tasks.append((name, protocol, path))
    return tasks


def run_jensen(path: Path, out: Path) -> None:
    """Scores, larger for anomalies, and the seconds of one core that they took."""
    if (out / path.name).exists():
        return
    task = np.load(path)
    began = time.process_time()
    detector = VAEOutlierDetector(random_state=int(task["seed"])).fit(task["train"])
    scores = -detector.score_samples(task["test"] if "test" in task else task["train"])
    seconds = time.process_time() - began
    np.savez(out / path.name, **{"jensen": scores, "jensen seconds": seconds})
    print(path.stem, f"{roc_auc_score(task['y'], scores):.3f}  {seconds:.1f} s", flush=True)


def measure(tasks: list[tuple[str, str, Path]], folder: Path) -> list[dict[str, Any]]:
    """A row for each set and protocol: figures of each detector, means over the seeds."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, protocol, path in tasks:
        y = np.load(path)["y"]
        row = rows.setdefault((name, protocol), {"set": name, "protocol": protocol, "scores": {}})
        row |= {"rows": len(y), "anomalies": int(y.sum())}
        for kind in ("jensen", "peers"):
            found = np.load(folder / kind / path.name)
            for detector in set(DETECTORS) & set(found.files):
                scores = found[detector]
                figures = row["scores"].setdefault(detector, {"roc_auc": [], "ap": [], "seconds": []})
                figures["roc_auc"].append(float(roc_auc_score(y, scores)))
                figures["ap"].append(float(average_precision_score(y, scores)))
                figures["seconds"].append(float(found[f"{detector} seconds"]))
    return list(rows.values())


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the sets, of both protocols: over all, and over those that no choice was made on."""
    held_out = [row for row in rows if row["set"] not in DEVELOPMENT]
    means: dict[str, Any] = {}
    for which, some in (("all", rows), ("held out", held_out)):
        for protocol in PROTOCOLS:
            chosen = [row["scores"] for row in some if row["protocol"] == protocol]
            for figure in ("roc_auc", "ap", "seconds"):
                means.setdefault(which, {}).setdefault(protocol, {})[figure] = {
                    d: float(np.mean([np.mean(row[d][figure]) for row in chosen]))
                    for d in DETECTORS
                    if chosen
                }
    return means


def show(rows: list[dict[str, Any]], means: dict[str, Any]) -> None:
    for protocol in PROTOCOLS:
        print(f"\n{protocol}: ROC-AUC in per cent" + "".join(f"{d:>10}" for d in DETECTORS))
        for row in rows:
            if row["protocol"] == protocol:
                mark = "*" if row["set"] in DEVELOPMENT else " "
                line = "".join(f"{100 * np.mean(row['scores'][d]['roc_auc']):10.1f}" for d in DETECTORS)
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
    p.add_argument("--sets", nargs="+", help="only these sets; nothing is written to the table")
    p.add_argument(
        "--work", type=Path, default=Path("runs") / "anomaly", help="splits and scores are kept here"
    )
    p.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to write")
    options = p.parse_args()
    torch.set_num_threads(1)
    tasks = write_tasks(options.work, options)
    (options.work / "jensen").mkdir(exist_ok=True)
    for _, _, path in tasks:
        run_jensen(path, options.work / "jensen")
    peers = ROOT / "benchmarks" / "anomaly_peers.py"
    subprocess.run([options.peers, peers, options.work], check=True)
    rows = measure(tasks, options.work)
    means = summary(rows)
    show(rows, means)
    if options.sets:
        return
    content = {
        "seeds": options.seeds,
        "torch": torch.__version__,
        "development": DEVELOPMENT,
        "means": means,
        "sets": rows,
    }
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\n{options.table}")


if __name__ == "__main__":
    main()
