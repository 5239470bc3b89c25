"""Variance and signal-to-noise ratio of the gradient estimators against K.

    python benchmarks/gradient_variance.py --data-dir FOLDER                    # every case
    python benchmarks/gradient_variance.py --data-dir FOLDER --cases "MNIST, 2 latents"   # this one anew

On a fixed minibatch, for each estimator and K, the gradient of the encoder is estimated many times. The laws
of large K need importance weights that many samples share. With 20 latents on MNIST few do at any K that one
can afford; with 2 latents, and on a linear-Gaussian model near its optimum, many do. Each case notes the
effective number of `WEIGHED` samples, (sum w)^2 / sum w^2, and the variance of log w. Reported are, over the
repeats:

- variance: of the gradient of the minibatch's mean bound, summed over the encoder's parameters;
- snr: |mean| / standard deviation of each parameter's gradient, averaged over the parameters (Rainforth
  et al. 2018). With n repeats a parameter without any signal shows sqrt(2 / (pi n)), the floor.

Writes benchmarks/results/gradient_variance.json and docs/images/gradient_variance.png.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jensen import objectives
from jensen.data import load
from jensen.families import Bernoulli, Conditional, FixedScale, NetworkScale, Normal
from jensen.models import VAE
from jensen.networks import mlp
from jensen.objectives import Bound, elbo, iwae
from jensen.priors import StandardNormal

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "gradient_variance.json"
PICTURE = ROOT / "docs" / "images" / "gradient_variance.png"

NUM_SAMPLES = (1, 2, 5, 10, 20, 50, 100)
MANY_SAMPLES = (*NUM_SAMPLES, 200, 500, 1000)
LATENT_DIM, HIDDEN, PIXELS = 20, (200, 200), 784
WEIGHED = 10_000
"""Samples a datum by which a case's importance weights are judged."""
TICKS = (1, 10, 100, 1000)
leave_one_out = partial(objectives.score_function, baseline="leave-one-out")
ESTIMATORS: dict[str, dict[str, Callable[..., Tensor]]] = {
    "elbo": {
        "score function": objectives.score_function,
        "score function, leave-one-out": leave_one_out,
        "pathwise": objectives.pathwise,
        "sticking the landing": objectives.sticking_the_landing,
    },
    "iwae": {
        "score function": objectives.score_function,
        "score function, leave-one-out": leave_one_out,
        "pathwise": objectives.pathwise,
        "doubly reparameterized": objectives.doubly_reparameterized,
    },
}
BOUNDS: dict[str, Bound] = {"elbo": elbo, "iwae": iwae}
COLOURS = {
    "score function": "tab:gray",
    "score function, leave-one-out": "tab:orange",
    "pathwise": "tab:blue",
    "sticking the landing": "tab:green",
    "doubly reparameterized": "tab:red",
}


def build(latent_dim: int) -> VAE:
    """784-200-200-M-200-200-784, Bernoulli."""
    posterior = Normal([latent_dim], NetworkScale(latent_dim))
    likelihood = Bernoulli([PIXELS])
    return VAE(
        StandardNormal(latent_dim),
        Conditional(mlp(PIXELS, HIDDEN, posterior.num_outputs, "silu"), posterior),
        Conditional(mlp(latent_dim, HIDDEN, likelihood.num_outputs, "silu"), likelihood),
    )


def linear_gaussian() -> tuple[VAE, Tensor]:
    """Rainforth et al. 2018, section 4: z ~ N(0, I), x ~ N(z, I), q = N(A x + b, 2/3 I), and 4 data.

    The best A is I / 2 and the best b 0, and both are off by noise.
    """
    encoder, decoder = (mlp(LATENT_DIM, (), LATENT_DIM) for _ in range(2))
    with torch.no_grad():
        for network, slope, noise in ((encoder, 0.5, 0.03), (decoder, 1.0, 0.0)):
            starts = slope * torch.eye(LATENT_DIM), torch.zeros(LATENT_DIM)
            for parameter, start in zip(network.parameters(), starts, strict=True):
                parameter.copy_(start + noise * torch.randn_like(parameter))
    model = VAE(
        StandardNormal(LATENT_DIM),
        Conditional(encoder, Normal([LATENT_DIM], FixedScale(math.sqrt(2 / 3)))),
        Conditional(decoder, Normal([LATENT_DIM], FixedScale(1.0))),
    )
    return model, model.sample(4).detach()


def train(model: VAE, grey: Tensor, epochs: int) -> None:
    """Adam on the ELBO with dynamic binarization."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(grey)).split(128):
            value = objectives.pathwise(elbo, model, torch.bernoulli(grey[rows]), 1)
            optimizer.zero_grad()
            (-value.mean()).backward()
            optimizer.step()
            total += value.sum().item()
        print(f"epoch {epoch + 1}: elbo {total / len(grey):.2f}", flush=True)


def measure(
    estimator: Callable[..., Tensor], bound: Bound, model: VAE, x: Tensor, num_samples: int, repeats: int
) -> dict[str, float]:
    """Variance and signal-to-noise ratio of the encoder's gradient over ``repeats`` estimates."""
    parameters = list(model.encoder.parameters())
    mean = torch.zeros(sum(p.numel() for p in parameters))
    squares = torch.zeros_like(mean)
    for n in range(1, repeats + 1):
        value = estimator(bound, model, x, num_samples).mean()
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)])
        # Welford's update: the plain sum of squares would cancel where the noise is far below the signal.
        gap = gradient - mean
        mean += gap / n
        squares += gap * (gradient - mean)
    deviation = (squares / (repeats - 1)).sqrt()
    alive = deviation > 0  # a pixel that is black in the whole minibatch moves none of its weights
    return {
        "variance": deviation.square().sum().item(),
        "snr": (mean.abs() / deviation)[alive].mean().item(),
    }


@torch.no_grad()
def weights(model: VAE, x: Tensor) -> dict[str, float]:
    """How evenly the samples share the weight: means over the minibatch."""
    log_w = torch.cat([model.trace(x, WEIGHED // 10).log_w for _ in range(10)]).double()
    w = log_w.softmax(0)
    return {
        "effective_samples": (1 / w.square().sum(0)).mean().item(),
        "variance_of_log_w": log_w.var(0).mean().item(),
    }


@dataclass(frozen=True)
class Case:
    """A model, a minibatch, and what to measure on them."""

    make: Callable[[Tensor, Any], tuple[VAE, Tensor]]
    """(grey images, options) -> (model, x)."""
    bounds: tuple[str, ...] = ("elbo", "iwae")
    num_samples: tuple[int, ...] = NUM_SAMPLES
    repeats: float = 1
    """Estimates, as a multiple of --repeats."""


def on_mnist(latent_dim: int, share_of_epochs: float) -> Callable[[Tensor, Any], tuple[VAE, Tensor]]:
    """A model of MNIST, trained so long."""

    def make(grey: Tensor, options: Any) -> tuple[VAE, Tensor]:
        x = torch.bernoulli(grey[: options.batch_size])
        model = build(latent_dim)
        train(model, grey, round(share_of_epochs * options.epochs))
        return model, x

    return make


CASES = {
    "MNIST, untrained": Case(on_mnist(LATENT_DIM, 0)),
    "MNIST, trained": Case(on_mnist(LATENT_DIM, 1)),
    "MNIST, 2 latents": Case(on_mnist(2, 0.3), ("iwae",), MANY_SAMPLES, 0.3),
    "linear-Gaussian": Case(lambda grey, options: linear_gaussian(), ("iwae",), repeats=10),
}


def table(name: str, model: VAE, x: Tensor, base_repeats: int) -> list[dict[str, Any]]:
    """One row for each bound, estimator and K of a case."""
    rows, case = [], CASES[name]
    repeats = round(case.repeats * base_repeats)
    for bound in case.bounds:
        for estimator_name, estimator in ESTIMATORS[bound].items():
            for k in case.num_samples:
                if k == 1 and estimator is leave_one_out:
                    continue
                figures = measure(estimator, BOUNDS[bound], model, x, k, repeats)
                row = {"state": name, "bound": bound, "estimator": estimator_name, "K": k, "repeats": repeats}
                rows.append(row | figures)
            print(f"{name}, {bound}, {estimator_name}: measured", flush=True)
    return rows


def draw(rows: list[dict[str, Any]]) -> None:
    """Variance above, signal-to-noise ratio below; a column for each state and bound."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = list(dict.fromkeys((row["state"], row["bound"]) for row in rows))
    shape = (2, len(columns))
    figure, axes = plt.subplots(*shape, figsize=(18, 6.5), sharex="col", sharey="row", layout="constrained")
    for (state, bound), column in zip(columns, axes.T, strict=True):
        column[0].set_title(f"{bound.upper()}, {state}", fontsize=10.5)
        for name in ESTIMATORS[bound]:
            line = [r for r in rows if (r["state"], r["bound"], r["estimator"]) == (state, bound, name)]
            for quantity, axis in zip(("variance", "snr"), column, strict=True):
                ks, values = [r["K"] for r in line], [r[quantity] for r in line]
                axis.loglog(ks, values, "o-", ms=3.5, color=COLOURS[name], label=name)
        column[1].axhline(math.sqrt(2 / (math.pi * line[0]["repeats"])), color="black", lw=0.8, ls=":")
        column[1].set_xlabel("K, samples per datum")
        column[1].set_xticks(TICKS, [str(k) for k in TICKS])
        column[1].minorticks_off()
    axes[0, 0].set_ylabel("variance of the encoder's gradient")
    axes[1, 0].set_ylabel("signal-to-noise ratio\n(dotted: no signal)")
    lines = {line.get_label(): line for axis in axes[0] for line in axis.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with the MNIST files; else $JENSEN_DATA, ...")
    parser.add_argument("--epochs", type=int, default=10, help="of training (default 10)")
    parser.add_argument("--repeats", type=int, default=200, help="gradient estimates on MNIST (default 200)")
    parser.add_argument("--batch-size", type=int, default=4, help="data in the fixed minibatch (default 4)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="measure these anew")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    grey = load("mnist", options.data_dir).rows("train").reshape(-1, PIXELS).float() / 255
    old = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    rows = [row for row in old.get("rows", []) if row["state"] not in options.cases]
    shared = old.get("weights", {})
    for name in options.cases:
        torch.manual_seed(options.seed)
        model, x = CASES[name].make(grey, options)
        shared[name] = weights(model, x)
        rows += table(name, model, x, options.repeats)
    rows.sort(key=lambda row: list(CASES).index(row["state"]))
    draw(rows)
    settings = {name: value for name, value in vars(options).items() if name not in ("data_dir", "cases")}
    result = {
        "settings": settings,
        "torch": torch.__version__,
        "seconds": round(time.perf_counter() - began),
        "weights": shared,
        "rows": rows,
    }
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{TABLE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)} after {result['seconds']} s")


if __name__ == "__main__":
    main()
