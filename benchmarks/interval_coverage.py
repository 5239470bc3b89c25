"""How often the 95 % intervals of `jensen evaluate` cover the exact value, over repeated data sets.

    python benchmarks/interval_coverage.py

For linear-Gaussian models with 2, 10 and 50 latents, where E log p(x) and the mean ELBO are known in closed
form, R data sets of N rows are drawn. For each, every estimator gives its mean over the rows and an interval
of 1.96 standard errors about it; counted is how often that holds

- `own`: the estimator's own expectation. This is what a standard error over rows promises;
- `exact`: E log p(x). A loose bound (the ELBO, IWAE with few samples) misses that by its slack, and the more
  surely the more rows there are; only a tight one covers it;
- `optimum`: for the refined ELBO and the amortization gap, what refining to the end would give.

The ELBO's expectation and the optimum are closed forms. The slack of the others below log p(x) has none, but
in these models it has the same distribution for every row, so that its mean over all R N rows serves.

Writes benchmarks/results/interval_coverage.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for the oracle, which is the tests'

from jensen.data.seeds import derive_seed  # noqa: E402
from jensen.evaluation import estimate, importance_weighted  # noqa: E402
from jensen.evaluation.ais import annealed_importance_sampling  # noqa: E402
from jensen.families import Conditional, NetworkScale  # noqa: E402
from jensen.families import Normal as NormalFamily  # noqa: E402
from jensen.models import VAE  # noqa: E402
from jensen.training.two_tier import refine  # noqa: E402
from tests.oracles.linear_gaussian import LinearGaussian, random_model  # noqa: E402

TABLE = ROOT / "benchmarks" / "results" / "interval_coverage.json"
LATENTS = (2, 10, 50)
QUANTILE, LEVEL = 1.959964, 0.95
SHIFT, STRETCH = 0.15, 1.1
"""The encoder is off the best diagonal posterior by so many of its standard deviations, and this factor."""
BLOCK = 2000


def best_diagonal(truth: LinearGaussian) -> Tensor:
    """Standard deviations of the diagonal normal with the largest ELBO: 1 / sqrt of the precisions, [M]."""
    precision: Tensor = torch.linalg.inv(truth.posterior_scale())
    return precision.diagonal().rsqrt()


def diagonal_vae(truth: LinearGaussian) -> VAE:
    """The true generator with an affine diagonal encoder, off the best one by `SHIFT` and `STRETCH`."""
    D, M = truth.weight.shape
    sd = best_diagonal(truth)
    network = nn.Linear(D, 2 * M, dtype=torch.float64)
    gain = truth.posterior_scale() @ truth.weight.T / truth.sigma**2
    with torch.no_grad():
        network.weight.copy_(torch.cat([gain, torch.zeros(M, D).double()]))
        network.bias.copy_(torch.cat([SHIFT * sd - gain @ truth.bias, (STRETCH * sd).log()]))
    return truth.vae(Conditional(network, NormalFamily([M], NetworkScale(M))))


def expected_log_px(truth: LinearGaussian) -> float:
    """E log p(x) = -log det(2 pi e C) / 2 for x ~ N(b, C), nats."""
    D = len(truth.bias)
    C = truth.weight @ truth.weight.T + truth.sigma**2 * torch.eye(D, dtype=torch.float64)
    return -0.5 * torch.logdet(2 * torch.pi * torch.e * C).item()


def slack(truth: LinearGaussian, q: Distribution, x: Tensor) -> float:
    """KL(q(z | x) || p(z | x)), the ELBO's slack; here the same for every x, nats."""
    return kl_divergence(q, truth.posterior(x)).item()


def values(truth: LinearGaussian, x: Tensor, seed: int, options: argparse.Namespace) -> dict[str, Tensor]:
    """Every estimator on every row, ``[N]``."""
    model = diagonal_vae(truth)
    torch.manual_seed(derive_seed(seed, "samples"))
    found = importance_weighted(model, x, options.samples)
    best = refine(model, x, options.steps, measure_samples=32, seed=seed).posterior
    refined = importance_weighted(model, x, options.samples, posterior=best)["elbo"]
    ais = annealed_importance_sampling(
        model,
        x,
        num_temperatures=dict(zip(options.latents, options.temperatures, strict=True))[len(truth.weight.T)],
        num_chains=options.chains,
        num_leapfrog=1,
        seed=seed,
    )
    return {
        "log p(x), exact": truth.log_px(x),
        "elbo": found["elbo"],
        "iwae": found["iwae"],
        "refined elbo": refined,
        "ais": ais.log_px,
        "amortization gap": refined - found["elbo"],
    }


def study(num_latents: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each estimator and target."""
    truth = random_model(num_latents + 10, num_latents, seed=num_latents)
    torch.manual_seed(derive_seed(options.seed, "data", num_latents))
    x = truth.vae(nn.Identity()).sample(options.repeats * options.rows)
    parts: dict[str, list[Tensor]] = {}
    for number, block in enumerate(x.split(BLOCK)):
        for name, value in values(truth, block, derive_seed(options.seed, "block", number), options).items():
            parts.setdefault(name, []).append(value.detach())
    per_row = {name: torch.cat(value) for name, value in parts.items()}
    exact = expected_log_px(truth)
    loose = slack(truth, diagonal_vae(truth).posterior(x[:1])[0], x[:1])
    tight = slack(truth, Independent(Normal(truth.posterior(x[:1]).mean, best_diagonal(truth)), 1), x[:1])
    own = {
        "log p(x), exact": exact,
        "elbo": exact - loose,
        "amortization gap": per_row["amortization gap"].mean().item(),
        **{
            name: exact + (per_row[name] - per_row["log p(x), exact"]).mean().item()
            for name in ("iwae", "refined elbo", "ais")
        },
    }
    optimum = {"refined elbo": exact - tight, "amortization gap": loose - tight}
    rows = []
    for name, value in per_row.items():
        targets = {"own": own[name]}
        if name in ("elbo", "iwae", "refined elbo", "ais"):
            targets["exact"] = exact
        if name in optimum:
            targets["optimum"] = optimum[name]
        for target, truth_value in targets.items():
            figures = coverage(value.reshape(options.repeats, options.rows), truth_value)
            rows.append({"latents": num_latents, "estimator": name, "target": target, **figures})
    return rows


def coverage(per_row: Tensor, target: float) -> dict[str, float]:
    """How many of R intervals, from values ``[R, N]``, hold ``target``; a p-value against what they promise.

    That is 95 % for many rows; from N rows the standard error is itself uncertain, and 1.96 of it hold what
    Student's distribution with N - 1 degrees of freedom says.
    """
    from scipy.stats import binomtest, t

    expected = float(1 - 2 * t.sf(QUANTILE, per_row.shape[1] - 1))
    found = [estimate(row) for row in per_row]
    covered = sum(abs(f.value - target) <= QUANTILE * f.standard_error for f in found)
    return {
        "target_value": target,
        "mean": per_row.mean().item(),
        "half_width": QUANTILE * sum(f.standard_error for f in found) / len(found),
        "covered": covered,
        "repeats": len(found),
        "coverage": covered / len(found),
        "expected": expected,
        "p_value": float(binomtest(covered, len(found), expected).pvalue),
    }


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--repeats", type=int, default=200, help="data sets, R")
    p.add_argument("--rows", type=int, default=20, help="rows of each, N")
    p.add_argument("--samples", type=int, default=20, help="K of ELBO and IWAE")
    p.add_argument("--steps", type=int, default=400, help="steps of the refined ELBO")
    p.add_argument("--temperatures", type=int, nargs="+", default=(100, 400, 4000), help="of AIS, for each M")
    p.add_argument("--chains", type=int, default=8, help="of AIS")
    p.add_argument("--latents", type=int, nargs="+", default=LATENTS)
    p.add_argument("--seed", type=int, default=0)
    return p


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    rows = [row for M in options.latents for row in study(M, options)]
    for r in rows:
        print(
            f"M = {r['latents']:<3} {r['estimator']:<17} {r['target']:<8} {r['coverage']:6.1%}"
            f"  p = {r['p_value']:.2g}  mean {r['mean']:.3f}, target {r['target_value']:.3f}"
            f" +/- {r['half_width']:.3f}"
        )
    result = {
        "settings": vars(options) | {"level": LEVEL},
        "torch": torch.__version__,
        "seconds": round(time.perf_counter() - began),
        "rows": rows,
    }
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{TABLE.relative_to(ROOT)} after {result['seconds']} s")


if __name__ == "__main__":
    main()
