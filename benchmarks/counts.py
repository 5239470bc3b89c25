"""Counts of genes in cells: a negative-binomial VAE beside PCA on log counts and scvi-tools' SCVI.

    python benchmarks/counts.py                      # about half an hour of one core

4,186 cells x 13,488 genes (sci-RNA-seq, 10 cell types). jensen trains for --max-time seconds, SCVI for as
many seconds of one core as that took, both with the same latents and a hidden layer of 128, on the same 80 %
of the cells. Log-likelihoods are of the same held-out cells, by K importance samples, and of the same
quantity: log p(x | total), the cell's total count (library size) given, as SCVI has it by default. That the
formulas agree is checked at SCVI's own parameters. Cell types are compared with k-means (10 clusters) on the
latent means of all cells: the adjusted Rand index. The peers run with the interpreter of .venv-peers (`make
bench-peers`).

Writes benchmarks/results/counts.json.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from jensen.config import Settings
from jensen.distributions import NegativeBinomial
from jensen.evaluation import encode, estimate, evaluate
from jensen.session import start

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "counts.json"
DATA = ROOT / "../shared/data/singlecell/worm_neuron.npz"


def agreement(latents: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Adjusted Rand index of k-means with the types."""
    found = KMeans(len(np.unique(y)), n_init=10, random_state=seed).fit_predict(latents)
    return float(adjusted_rand_score(y, found))


def jensen(options: argparse.Namespace, exposure: str) -> tuple[dict[str, Any], Any]:
    """Figures of a run, and its data."""
    settings = Settings(
        data=str(options.data),
        likelihood="negative-binomial",
        exposure=exposure,  # type: ignore[arg-type]
        latent_dim=options.latent_dim,
        hidden=(128,),
        lr=options.lr,
        epochs=1000,
        max_time=options.max_time,
        device="cpu",
        seed=options.seed,
    )
    began = time.process_time()

    def report(state: Any) -> None:
        line = state.history[-1]
        print(f"  epoch {line['epoch']}: validation {line['validation_bound']:.1f} nats", flush=True)

    run = start(settings, options.out / exposure, overwrite=True, on_epoch=report)
    seconds = time.process_time() - began
    dataset, model = run.dataset(), run.model()
    torch.manual_seed(options.seed)
    found = evaluate(model, run.blocks(dataset, "test"), options.samples, log_det=run.log_det)
    everything = torch.cat([encode(model, run.blocks(dataset, s)).mean for s in dataset.splits])
    order = torch.cat(list(dataset.splits.values())).argsort()
    figures = {
        "log_px": estimate(found["iwae"]).to_dict(),
        "elbo": estimate(found["elbo"]).to_dict(),
        "ari": agreement(everything[order].numpy(), dataset.labels.numpy(), options.seed),
        "seconds": seconds,
        "epochs": len(run.history()),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return figures, dataset


def pca(dataset: Any, options: argparse.Namespace) -> dict[str, Any]:
    """k-means on principal components of log counts, as they are and at the median total."""
    x = dataset.x.float()
    total = x.sum(1, keepdim=True)
    found = {}
    for name, rows in (("PCA", x), ("PCA, median total", x * (total.median() / total))):
        began = time.process_time()
        latents = PCA(options.latent_dim, random_state=options.seed).fit_transform(rows.log1p().numpy())
        seconds = time.process_time() - began
        found[name] = {"ari": agreement(latents, dataset.labels.numpy(), options.seed), "seconds": seconds}
    return found


def scvi(dataset: Any, seconds: float, options: argparse.Namespace) -> dict[str, Any]:
    """SCVI, trained as long, by the peers' interpreter."""
    task, out = options.out / "task.npz", options.out / "scvi.npz"
    stored = np.load(options.data)
    parts = {name: stored[name] for name in ("data", "indices", "indptr", "shape")}
    splits = {name: rows.numpy() for name, rows in dataset.splits.items()}
    plan = {"seconds": seconds, "latent_dim": options.latent_dim, "num_samples": options.samples}
    np.savez(task, **parts, **splits, **plan, seed=options.seed)
    script = ROOT / "benchmarks" / "counts_peers.py"
    subprocess.run([options.peers, script, task, out], check=True)
    found = np.load(out)
    p = NegativeBinomial(torch.from_numpy(found["check_mean"]), torch.from_numpy(found["check_r"]))
    ours = p.log_prob(dataset.x[found["check_rows"]].float()).sum(-1)
    difference = (ours - torch.from_numpy(found["check_log_px"])).abs().max().item()
    return {
        "log_px": estimate(torch.from_numpy(found["log_px"]).double()).to_dict(),
        "ari": agreement(found["latents"], dataset.labels.numpy(), options.seed),
        "seconds": float(found["seconds"]),
        "epochs": int(found["epochs"]),
        "parameters": int(found["parameters"]),
        "largest_difference_of_formulas": difference,
    }


def show(results: dict[str, Any]) -> None:
    print(f"\n{'':<24}{'log p(x | total), held out':>28}{'ARI':>8}{'epochs':>8}{'s':>8}")
    for name, found in results.items():
        f = found.get("log_px")
        value = "" if f is None else f"{f['value']:.1f} +/- {f['standard_error']:.1f}"
        print(f"{name:<24}{value:>28}{found['ari']:8.3f}{found.get('epochs', ''):>8}{found['seconds']:8.0f}")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, default=DATA)
    p.add_argument("--max-time", type=float, default=300, help="seconds of training jensen")
    p.add_argument("--latent-dim", type=int, default=10)
    p.add_argument("--lr", type=float, default=2e-3, help="jensen's")
    p.add_argument("--samples", type=int, default=50, help="K of the held-out log-likelihood")
    p.add_argument("--out", type=Path, default=Path("runs") / "counts")
    p.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    p.add_argument("--table", type=Path, default=TABLE, help="the JSON file to write")
    p.add_argument("--seed", type=int, default=0)
    options = p.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    results["jensen"], dataset = jensen(options, "total")
    print(results["jensen"], flush=True)
    results |= pca(dataset, options)
    results["SCVI"] = scvi(dataset, results["jensen"]["seconds"], options)
    show(results)
    kept = ("max_time", "latent_dim", "lr", "samples", "seed")
    content = {
        "settings": {name: getattr(options, name) for name in kept},
        "torch": torch.__version__,
        "results": results,
    }
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\n{options.table}")


if __name__ == "__main__":
    main()
