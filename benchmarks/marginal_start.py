"""Decoders that start at what the data are like without latents, and decoders that start at raw outputs 0.

    python benchmarks/marginal_start.py
    python benchmarks/marginal_start.py --rows 100 --epochs 1 --seeds 1 --out FILE   # does it still run?

`jensen.config.build.MARGINAL` names the likelihoods that start so: at the decoder's last biases each entry of
a datum (of a convolutional decoder: each channel) has the mean, or the shares of classes, that it has among
the training rows. Both arms train the same network by the same seed; what is compared is the validation bound
at the end, nats per datum.

Writes benchmarks/results/marginal_start.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from jensen.config import Settings, build
from jensen.data import load
from jensen.evaluation import estimate
from jensen.session import start

TABLE = Path(__file__).resolve().parent / "results" / "marginal_start.json"
CASES = {
    "MNIST of zeros and ones, bernoulli, conv": ("binary", "bernoulli", "conv", 10),
    "digits, categorical, mlp": ("digits", "categorical", "mlp", 40),
    "digits, continuous-bernoulli, mlp": ("digits", "continuous-bernoulli", "mlp", 40),
    "digits, poisson, mlp": ("digits", "poisson", "mlp", 40),
    "counts, negative-binomial, mlp": ("counts", "negative-binomial", "mlp", 40),
}
"""Data, likelihood, network, epochs."""


def write(folder: Path, rows: int, data_dir: Path | None) -> None:
    """The data sets of `CASES`, as arrays."""
    generator = np.random.default_rng(0)
    images = load("mnist", data_dir).rows("train")[:rows].numpy()
    np.save(folder / "binary.npy", (generator.random(images.shape) < images / 255).astype(np.uint8))
    np.save(folder / "digits.npy", load("digits").rows("train")[:rows].numpy().astype(np.uint8))
    log_means = generator.normal(size=(rows, 3)) @ generator.normal(size=(3, 20)) * 0.4
    np.save(folder / "counts.npy", generator.poisson(np.exp(log_means + generator.normal(2, 1, size=20))))


def bound(case: str, seed: int, folder: Path, epochs: int | None) -> float:
    """The validation bound at the end."""
    data, likelihood, network, planned = CASES[case]
    settings = Settings(
        data=str(folder / f"{data}.npy"), likelihood=likelihood, network=network, latent_dim=8, compile="off",  # type: ignore[arg-type]
        epochs=epochs or planned, lr_schedule="cosine", patience=0, seed=seed, device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        return float(start(settings, Path(name) / "run").history()[-1]["validation_bound"])


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rows", type=int, default=3000, help="of each data set, at most")
    p.add_argument("--epochs", type=int, help="of each case, in place of its own")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--data-dir", type=Path, help="folder with the MNIST files; else $JENSEN_DATA, ...")
    p.add_argument("--out", type=Path, default=TABLE)
    options = p.parse_args()
    record: dict[str, Any] = {"torch": str(torch.__version__), "rows": options.rows, "cases": {}}
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), options.rows, options.data_dir)
        for case in CASES:
            arms: dict[str, list[float]] = {"marginal": [], "zero": []}
            for seed in range(options.seeds):
                arms["marginal"].append(bound(case, seed, Path(name), options.epochs))
                with mock.patch.object(build, "_start_at_marginal"):
                    arms["zero"].append(bound(case, seed, Path(name), options.epochs))
            gain = torch.tensor(arms["marginal"]).double() - torch.tensor(arms["zero"]).double()
            record["cases"][case] = arms | {"gain": estimate(gain).to_dict(), "epochs": CASES[case][3]}
            print(f"{case}: {arms}, gain {record['cases'][case]['gain']}", flush=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
