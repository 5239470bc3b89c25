"""What a gradient far longer than the others does to training, with and without `--grad-clip-ratio`.

    python benchmarks/gradient_spikes.py           # all cases and seeds: half an hour on one core
    python benchmarks/gradient_spikes.py --quick   # does it still run?

Convolutions on few images, and on counts of up to 255. Adam's first steps move thousands of weights the same
way, and now and then the next batch finds a decoder far from it: its gradient is hundreds of times as long as
those before, and Adam, which remembers its square for a thousand steps, takes steps so much shorter after it.
Each case is trained by several seeds, which share their first weights and batches between the two arms; what
is compared is the best validation bound.

Images: overlapping patches of scikit-learn's two photographs, 64 x 64 in colour, as real numbers and as
counts; Fashion-MNIST's first 6,000 as counts. Without spikes, for comparison: MNIST's first 10,000,
dynamically binarized, and dense networks.

Writes benchmarks/results/gradient_spikes.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_sample_images

from jensen.config import Settings
from jensen.config.resolve import CLIP_RATIO
from jensen.data import load
from jensen.evaluation import estimate
from jensen.session import start

TABLE = Path(__file__).resolve().parent / "results" / "gradient_spikes.json"
SIDE, APART = 64, 42
"""Of the patches, and between their corners."""
CASES: dict[str, dict[str, Any]] = {
    "colour patches, normal": {"epochs": 40},
    "colour patches, Poisson": {"epochs": 20, "likelihood": "poisson", "batch_size": 32},
    "Fashion-MNIST, Poisson": {"epochs": 3, "likelihood": "poisson"},
    "MNIST, Bernoulli": {"epochs": 3, "binarize": "dynamic"},
    "Fashion-MNIST, Poisson, mlp": {"epochs": 3, "likelihood": "poisson", "network": "mlp"},
    "digits, normal, mlp": {"epochs": 30, "network": "mlp"},
}
ARMS = {"none": 0.0, "clipped": CLIP_RATIO}


def rows_of(case: str) -> np.ndarray:
    """A case's images."""
    if case.startswith("digits"):
        return load("digits").rows("train").numpy()
    if case.startswith("MNIST"):
        return load("mnist").rows("train")[:10_000].numpy()
    if case.startswith("Fashion"):
        return load("fashion-mnist").rows("train")[:6_000].numpy()
    found = []
    for image in load_sample_images().images:
        corners = [range(0, size - SIDE + 1, APART) for size in image.shape[:2]]
        found += [image[i : i + SIDE, j : j + SIDE] for i in corners[0] for j in corners[1]]
    return np.stack(found)


def trained(case: str, seed: int, ratio: float, quick: bool) -> dict[str, float]:
    """The worst epoch's bound and the best validation bound of a run, nats per datum."""
    changes: dict[str, Any] = {"network": "conv"} | CASES[case] | ({"epochs": 1} if quick else {})
    with tempfile.TemporaryDirectory() as name:
        np.save(Path(name) / "x.npy", rows_of(case)[: 300 if quick else None])
        settings = Settings(
            data=str(Path(name) / "x.npy"),
            seed=seed,
            patience=0,
            grad_clip_ratio=ratio,
            **changes,
        )
        history = start(settings, Path(name) / "run").history()
    return {
        "worst_epoch": min(record["train_bound"] for record in history),
        "best_validation": max(record["validation_bound"] for record in history),
    }


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--out", type=Path, default=TABLE)
    p.add_argument("--quick", action="store_true", help="few rows, one seed and epoch")
    options = p.parse_args()
    found = {}
    for case in CASES:
        arms: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
        for seed in range(1 if options.quick else options.seeds):
            for arm, ratio in ARMS.items():
                arms[arm].append(trained(case, seed, ratio, options.quick))
                print(f"{case}, seed {seed}, {arm}: {arms[arm][-1]}", flush=True)
        none, clipped = (
            torch.tensor([one["best_validation"] for one in arms[arm]], dtype=torch.float64) for arm in ARMS
        )
        found[case] = CASES[case] | arms | {"gain": estimate(clipped - none).to_dict()}
    record = {"torch": str(torch.__version__), "ratio": CLIP_RATIO, "cases": found}
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
