"""`--backward-samples` m of K: what a step of IWAE takes, and how its gradient varies, beside following all.

    python benchmarks/backward_samples.py                   # about 15 minutes of one core
    python benchmarks/backward_samples.py --samples 20      # for this K alone

The network of Burda et al. (2016) (see iwae_table.py), trained on MNIST, dynamically binarized, with K = 5
for a few epochs. For each K and m:

- seconds: of a compiled step of 512 rows, one thread, medians over rounds in which all m take a turn;
- variance: of the gradient over steps, each on another minibatch of 128 rows with other draws: what the
  optimizer meets. Summed over the parameters of the encoder, and of the decoder; as a ratio to that of m = K
  on the same minibatches, with the ratio's standard error by a jackknife over the steps.

Writes benchmarks/results/backward_samples.json.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jensen.config import Settings
from jensen.memory import keep_large_blocks
from jensen.models import VAE
from jensen.objectives import doubly_reparameterized, iwae
from jensen.session import start
from jensen.training.compiler import Compiled, compile_step
from jensen.training.optimizer import Optimizer
from jensen.training.plan import Plan
from jensen.training.step import Slope

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "backward_samples.json"
FOLLOWED = {20: (1, 2, 5), 50: (1, 2, 5, 10)}
BATCH, ROWS = 512, 128


def trained(epochs: int, data_dir: Path | None) -> tuple[VAE, Tensor]:
    """The model, and binarized rows that it was trained on, ``[N, 28, 28]``."""
    settings = Settings(
        data="mnist",
        data_dir=data_dir,
        binarize="dynamic",
        latent_dim=50,
        hidden=(200, 200),
        activation="tanh",
        bound="iwae",
        num_samples=5,
        estimator="doubly-reparameterized",
        batch_size=BATCH,
        optimizer="muon",
        lr=0.01,
        lr_schedule="cosine",
        epochs=epochs,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = start(settings, Path(folder) / "run")
        model = run.model()
        grey = run.dataset(data_dir).rows("train")[: 100 * ROWS].float() / 255
    return model.train(), torch.bernoulli(grey)


def gradient(model: VAE, x: Tensor, num_samples: int, followed: int | None) -> tuple[Tensor, Tensor]:
    """Of minus the batch's mean bound, by the encoder and by the decoder, flat."""
    parts = [list(part.parameters()) for part in (model.encoder, model.decoder)]
    value = doubly_reparameterized(iwae, model, x, num_samples, backward_samples=followed).mean()
    found = iter(torch.autograd.grad(-value, [*parts[0], *parts[1]]))
    encoder, decoder = (torch.cat([next(found).flatten() for _ in part]) for part in parts)
    return encoder, decoder


def variances(model: VAE, x: Tensor, num_samples: int, followed: int | None) -> list[list[float]]:
    """For encoder and decoder: the summed variance over steps, and that without each step in turn."""
    steps = [gradient(model, rows, num_samples, followed) for rows in x.split(ROWS)]
    found = []
    for part in zip(*steps, strict=True):
        g = torch.stack(part)
        n, squares = len(g), (g - g.mean(0)).square().sum(1).double()
        # Leaving step i out takes n / (n - 1) of its squared distance from the sum (Welford's identity).
        without = (squares.sum() - squares * n / (n - 1)) / (n - 2)
        found.append([(squares.sum() / (n - 1)).item(), *without.tolist()])
    return found


def ratio(few: list[float], all_followed: list[float]) -> dict[str, float]:
    """Of two variances on the same minibatches, with its jackknife standard error."""
    whole, *parts = (a / b for a, b in zip(few, all_followed, strict=True))
    n, mean = len(parts), statistics.mean(parts)
    return {"value": whole, "standard_error": ((n - 1) / n * sum((p - mean) ** 2 for p in parts)) ** 0.5}


def compiled(model: VAE, x: Tensor, num_samples: int, followed: int | None) -> Compiled:
    """The whole step, as training takes it."""
    plan = Plan(num_samples=num_samples, batch_size=len(x))
    estimator = partial(doubly_reparameterized, backward_samples=followed)
    slope = Slope(model, torch.nn.Module(), lambda rows, generator: rows, iwae, estimator, plan)
    return compile_step(slope, Optimizer(model.parameters(), 1e-9), x, torch.ones(()))


def seconds(steps: dict[int, Callable[[], None]], rounds: int) -> dict[int, float]:
    """Medians over rounds in which each step takes its turn, the order reversed from round to round."""
    taken: dict[int, list[float]] = {m: [] for m in steps}
    for number in range(rounds + 1):
        for m in sorted(steps, reverse=bool(number % 2)):
            began = time.perf_counter()
            steps[m]()
            if number:  # the first warms up
                taken[m].append(time.perf_counter() - began)
    return {m: statistics.median(times) for m, times in taken.items()}


def measure(model: VAE, x: Tensor, num_samples: int, rounds: int) -> list[dict[str, Any]]:
    """A record for each m."""
    ms = (*FOLLOWED[num_samples], num_samples)
    weight, total = torch.ones(()), torch.zeros((), dtype=torch.float64)
    codes = {m: compiled(model, x[:BATCH], num_samples, m) for m in ms}
    taken = seconds({m: partial(code, x[:BATCH], weight, total) for m, code in codes.items()}, rounds)
    found = {m: variances(model, x, num_samples, m) for m in ms}
    return [
        {
            "samples": num_samples,
            "followed": m,
            "seconds": taken[m],
            "encoder_variance_ratio": ratio(found[m][0], found[num_samples][0]),
            "decoder_variance_ratio": ratio(found[m][1], found[num_samples][1]),
        }
        for m in ms
    ]


def main() -> None:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--samples", type=int, nargs="+", choices=FOLLOWED, default=list(FOLLOWED), help="K")
    p.add_argument("--epochs", type=int, default=10, help="of training before")
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--data-dir", type=Path)
    p.add_argument("--table", type=Path, default=TABLE)
    options = p.parse_args()
    keep_large_blocks()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = trained(options.epochs, options.data_dir)
    records = []
    for num_samples in options.samples:
        for record in measure(model, x, num_samples, options.rounds):
            records.append(record)
            print(json.dumps(record), flush=True)
    content = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__},
        "batch": BATCH,
        "rows_of_a_gradient": ROWS,
        "epochs": options.epochs,
        "records": records,
    }
    options.table.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
