"""PyOD's detectors on the splits that anomaly.py has written; run by it, with the peers' interpreter.

    .venv-peers/bin/python benchmarks/anomaly_peers.py FOLDER SPLIT...

Reads each SPLIT (.npz: train, test, seed; no test: the training rows are scored) and writes a file of its
name to FOLDER with the scores of every detector (larger: more of an anomaly) and the seconds it took.
What is there already is not done again.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.pca import PCA
from pyod.models.vae import VAE
from sklearn.preprocessing import StandardScaler

DETECTORS: dict[str, Callable[[int], Any]] = {
    "PyOD VAE": lambda seed: VAE(random_state=seed, verbose=0),
    "PCA": lambda seed: PCA(random_state=seed),
    "IForest": lambda seed: IForest(random_state=seed),
    "KNN": lambda seed: KNN(),
    "ECOD": lambda seed: ECOD(),
}
"""All with their defaults."""


def main(out: Path, splits: list[Path]) -> None:
    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    for path in splits:
        if (out / path.name).exists():
            continue
        task = np.load(path)
        # Distances need columns of one scale; VAE and PCA standardise anyway, the others do not care.
        scale = StandardScaler().fit(task["train"])
        train = scale.transform(task["train"]).astype(np.float32)
        found: dict[str, Any] = {}
        for name, make in DETECTORS.items():
            began = time.process_time()
            detector = make(int(task["seed"])).fit(train)
            if "test" in task:
                scores = detector.decision_function(scale.transform(task["test"]).astype(np.float32))
            else:
                scores = detector.decision_scores_  # of a neighbours' distance: without the row itself
            found[name] = scores
            found[f"{name} seconds"] = time.process_time() - began
        np.savez(out / path.name, **found)
        print(path.stem, f"VAE {found['PyOD VAE seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
