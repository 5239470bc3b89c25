"""Train everything, measure it, write the JSON, the pictures and the tables of docs/vae-and-gan.md.

python -m benchmarks.vae_vs_gan                 # the full study, from the repository's root
python -m benchmarks.vae_vs_gan --quick         # seconds: does it still run? Writes to a temporary folder
python -m benchmarks.vae_vs_gan --report-only   # tables and scatter plot again, from the stored JSON
"""

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.distributions import MultivariateNormal

from jensen import __version__
from jensen.data import load
from jensen.errors import UserError
from jensen.evaluation import encode, evaluate
from jensen.models.vae import VAE

from . import report
from .ensembles import Ensemble, Task, check_objective, train
from .measures import Judge

LEARNING_RATES = (3e-4, 3e-3, 3e-2)
AUTOENCODER_LR = 3e-3  # the vanilla autoencoder is not part of the stability study: one learning rate
TASKS = (
    Task("digits", 8, latent_dim=16, hidden=128, steps=2000, train_rows=1078, reference_rows=719),
    Task("mnist", 28, latent_dim=32, hidden=128, steps=2000, train_rows=20_000, reference_rows=1000),
)
IWAE_SAMPLES = 100
QUICK: dict[str, Any] = {
    "steps": 20,
    "seeds": 2,
    "train_rows": 500,
    "reference_rows": 200,
    "classifier_steps": 50,
    "iwae_rows": 20,
}
CODE_ROWS = 2000  # training rows whose codes train the nearest-neighbour classifier and the fitted normal
SHOWN = 10  # images of a row in the pictures, of seed 0: not chosen
ROOT = Path(__file__).resolve().parents[2]


class Study:
    """One data set: its images in [0, 1], the measures, and the records of all runs."""

    def __init__(self, task: Task, data_dir: Path | None) -> None:
        self.task = task
        dataset = load(task.name, data_dir, test_fraction=0.4)
        assert isinstance(dataset.x, Tensor)
        assert dataset.labels is not None
        held_out = dataset.splits["test"][:]
        rows = torch.cat([dataset.splits["train"][:], dataset.splits["validation"][:]])
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        rows, held_out = rows[: task.train_rows], held_out[: task.reference_rows]
        x = dataset.x.flatten(1).float() / dataset.value_range[1]
        self.train, self.labels = x[rows], dataset.labels[rows]
        self.test, self.test_labels = x[held_out], dataset.labels[held_out]
        self.judge = Judge.fit(self.train, self.labels, self.test, self.test_labels, task.classifier_steps)
        pca = PCA(task.latent_dim).fit(self.train.double().numpy())
        self.sigma = float(pca.noise_variance_) ** 0.5
        self.ppca = float(pca.score(self.test[: task.iwae_rows].double().numpy()))
        self.runs: list[dict[str, Any]] = []
        self.shown: dict[str, Tensor] = {"real, held out": self.test[:SHOWN]}

    def run(self) -> dict[str, Any]:
        """Everything on this data set, as one JSON object."""
        check_objective(self.task, self.train, self.sigma)
        plan = [(model, lr) for lr in LEARNING_RATES for model in ("vae", "gan")]
        for model, lr in [*plan, ("autoencoder", AUTOENCODER_LR)]:
            ensemble, cpu, wall = train(self.task, lr, model, self.train, self.sigma)
            print(f"{self.task.name} {model} lr {lr:g}: {cpu:.2f} s of CPU a run", file=sys.stderr)
            common = {"model": model, "lr": lr, "cpu_seconds": cpu, "wall_seconds": wall}
            for seed in range(self.task.seeds):
                for record in self._measure(ensemble, seed, model, lr):
                    self.runs.append(common | {"seed": seed} | record)
        return {
            "task": asdict(self.task),
            "classifier_accuracy": self.judge.accuracy,
            "ppca": {"sigma": self.sigma, "log_likelihood": self.ppca},
            "pixel_neighbours_accuracy": self._neighbours(self.train[:CODE_ROWS], self.test),
            "controls": self.judge.controls(self.train, self.labels),
            "runs": self.runs,
        }

    @torch.no_grad()
    def _measure(self, ensemble: Ensemble, seed: int, model: str, lr: float) -> Iterator[dict[str, Any]]:
        """A record for each kind of samples of one run."""
        finite, member = ensemble.finite(seed), ensemble.member(seed)
        torch.manual_seed(seed)
        show = seed == 0 and lr == AUTOENCODER_LR
        z = torch.randn(len(self.test), self.task.latent_dim)
        if model == "gan":
            yield self._judged("generator", member(z), show and "GAN")
            return
        vae = member.model
        assert isinstance(vae, VAE)
        name = "VAE" if model == "vae" else "autoencoder"
        extras = self._of_the_codes(vae, model) if finite else {}
        yield self._judged("means", vae.decoder(z).mean, show and f"{name}, means") | extras
        if model == "vae":
            draws = vae.decoder(z).sample() if finite else vae.decoder(z).mean  # torch draws with no NaN
            yield self._judged("draws", draws, show and f"{name}, draws")
        if lr == AUTOENCODER_LR and finite:
            z = self._fitted(vae, model).sample((len(z),))
            yield self._judged("means, fitted normal", vae.decoder(z).mean, show and f"{name}, fitted normal")

    def _judged(self, samples: str, x: Tensor, row: str | bool) -> dict[str, Any]:
        if row:
            self.shown[str(row)] = x[:SHOWN]
        return {"samples": samples, **self.judge(x)}

    def _fitted(self, vae: VAE, model: str) -> MultivariateNormal:
        """The normal fitted to the codes of training images: points, or draws from the VAE's q(z | x)."""
        (q,) = vae.posterior(self.train[:CODE_ROWS])
        codes = (q.sample() if model == "vae" else q.mean).double()
        covariance = torch.cov(codes.T)
        ridge = 1e-6 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=codes.dtype)
        return _Single(codes.mean(0), covariance + ridge)

    def _of_the_codes(self, vae: VAE, model: str) -> dict[str, Any]:
        """What a GAN does not have: reconstruction, codes and, of the VAE, bounds on log p(x)."""
        codes = [encode(vae, [x]).mean for x in (self.train[:CODE_ROWS], self.test)]
        error = (vae.decoder(codes[1]).mean - self.test).square().mean().item()
        record = {"reconstruction_error": error, "neighbours_accuracy": self._neighbours(*codes)}
        if model == "vae":
            values = evaluate(vae, self.test[: self.task.iwae_rows].split(100), IWAE_SAMPLES)
            means = {name: values[name].mean().item() for name in ("iwae", "elbo", "rate")}
            record |= {name: mean for name, mean in means.items() if math.isfinite(mean)}
            record["sigma"] = vae.decoder(codes[1][:1]).stddev[0, 0].item()
        return record

    def _neighbours(self, train: Tensor, test: Tensor) -> float | None:
        """Accuracy on held-out images of 5 nearest neighbours among training codes."""
        if not (train.isfinite().all() and test.isfinite().all()):
            return None
        classifier = KNeighborsClassifier(5).fit(train.numpy(), self.labels[: len(train)].numpy())
        return float(classifier.score(test.numpy(), self.test_labels.numpy()))


class _Single(MultivariateNormal):
    """A normal computed in float64 that draws float32."""

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return super().sample(sample_shape).float()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vae_vs_gan", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the data sets; else $JENSEN_DATA")
    parser.add_argument("--quick", action="store_true", help="a smoke test; writes to a temporary folder")
    parser.add_argument(
        "--report-only", action="store_true", help="only rewrite the page from the stored JSON"
    )
    options = parser.parse_args()
    places = report.Places.under(ROOT)
    if options.report_only:
        report.write_page(json.loads(places.results.read_text()), places)
        return
    if options.quick:
        places = report.Places.under(Path(tempfile.mkdtemp(prefix="vae_vs_gan_")))
    torch.set_num_threads(1)
    results: dict[str, Any] = {"machine": _machine(), "studies": {}}
    began = time.process_time(), time.perf_counter()
    for task in TASKS:
        if options.quick:
            task = replace(task, **QUICK)
        try:
            study = Study(task, options.data_dir)
        except UserError as error:
            print(f"{task.name} is skipped: {error}", file=sys.stderr)
            continue
        results["studies"][task.name] = study.run()
        report.draw_samples(study.shown, task, places)
    results["cpu_seconds"], results["wall_seconds"] = (
        time.process_time() - began[0],
        time.perf_counter() - began[1],
    )
    places.results.parent.mkdir(parents=True, exist_ok=True)
    places.results.write_text(json.dumps(results, indent=1) + "\n")
    report.write_page(results, places)


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "jensen": __version__,
    }


if __name__ == "__main__":
    main()
