"""Does a learned decoder variance train? 100 seeds of every variance mode on ordinary and degenerate data.

python -m benchmarks.decoder_variance                # everything, from the repository's root: minutes
python -m benchmarks.decoder_variance --quick        # seconds: does it still run? Writes nothing
python -m benchmarks.decoder_variance --report-only  # the tables of the page again, from the stored JSON

The seeds of one setting train side by side, as one ensemble under torch.func.vmap: the same model code
as everywhere. "plain" is the textbook's way, with the same networks, seeds, data and optimizer: sigma
itself or exp(log variance) straight from the network, in decoder and encoder, with no limits.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from jensen import __version__
from jensen.families import (
    Conditional,
    FixedScale,
    NetworkScale,
    NetworkVariance,
    Normal,
    OptimalScale,
    PerDimensionScale,
    SharedScale,
)
from jensen.families.scales import Scale
from jensen.models import VAE
from jensen.networks import mlp
from jensen.objectives import elbo
from jensen.priors import StandardNormal
from jensen.trace import Trace

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "decoder_variance.json"
PAGE = ROOT / "docs" / "decoder-variance.md"
BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"
Record = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """What is the same for every run."""

    seeds: int = 100
    steps: int = 250
    batch_size: int = 16
    learning_rate: float = 1e-2
    hidden: int = 16
    latent_dim: int = 4
    evaluation_samples: int = 10


class PlainParameter(Scale):
    """sigma itself is the parameter: nothing keeps it positive."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.sigma = nn.Parameter(torch.ones(shape))

    def forward(self, raw: Tensor) -> Tensor:
        return self.sigma


class PlainNetwork(Scale):
    """sigma = exp(log variance / 2), the log variance straight from the network."""

    def __init__(self, num_dimensions: int) -> None:
        super().__init__()
        self.num_outputs = num_dimensions

    def forward(self, raw: Tensor) -> Tensor:
        return (raw / 2).exp()


class PlainOptimal(OptimalScale):
    """The root mean squared residual, with no floor."""

    def fit(self, residual: Tensor, power: int) -> Tensor:
        best = residual.square().mean().sqrt()
        with torch.no_grad():
            self.sigma.copy_(best)
        return best


MODES: dict[str, tuple[Callable[[int], Scale], Callable[[int], Scale]]] = {
    "unit": (lambda D: FixedScale(1.0), lambda D: FixedScale(1.0)),
    "fixed": (lambda D: FixedScale(0.1), lambda D: FixedScale(0.1)),
    "shared": (lambda D: SharedScale(), lambda D: PlainParameter(())),
    "per-dimension": (PerDimensionScale, lambda D: PlainParameter((D,))),
    "network": (NetworkVariance, PlainNetwork),
    "optimal": (lambda D: OptimalScale(), lambda D: PlainOptimal()),
}
"""For each variance mode jensen's scale and the plain one, of D dimensions."""


@dataclass(frozen=True)
class Data:
    """Rows to train on and rows to judge by, in the units that the model sees."""

    name: str
    train: Tensor
    test: Tensor
    log_det: float = 0.0
    """Added to a bound, so that it is in nats of the data as given."""

    def scaled(self) -> "Data":
        """Every column with mean 0 and standard deviation 1; a constant one is only shifted."""
        mean, deviation = self.train.mean(0), self.train.std(0)
        deviation = torch.where(deviation > 1e-12 * mean.abs(), deviation, torch.ones_like(deviation))
        train, test = (self.train - mean) / deviation, (self.test - mean) / deviation
        return Data(self.name + ", scaled", train, test, -deviation.log().sum().item())


def factors(rows: int, D: int, seed: int) -> Tensor:
    """Rows of three hidden factors and noise of standard deviation 0.1, ``[rows, D]``, float64."""
    weights = torch.randn(3, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    return torch.tanh(z) @ weights + 0.1 * torch.randn(rows, D, generator=generator, dtype=torch.float64)


def data_sets() -> Iterator[Data]:
    """Everything that is trained on."""
    images = torch.tensor(load_digits().data / 16.0)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images = (images - images.mean()) / images.std()
    yield Data("digits", images[order[:512]], images[order[512:768]])
    train, test = factors(256, 8, 1), factors(256, 8, 2)
    yield Data("table", train, test).scaled()
    longer, held_out = (torch.cat([x, torch.full_like(x[:, :1], 3.7)], 1) for x in (train, test))
    yield Data("constant column", longer, held_out).scaled()
    few = train[:8].repeat(32, 1)
    yield Data("8 rows, 32 times each", few, few).scaled()
    yield Data("3 rows, 4 latents", train[:3], train[:3]).scaled()
    same = train[:1].repeat(64, 1)
    yield Data("one row, 64 times", same, same).scaled()
    for unit in (1e-6, 1e6):
        raw = Data(f"table × {unit:.0e}", unit * train, unit * test)
        yield raw
        yield raw.scaled()


def build(setup: Setup, D: int, mode: str, plain: bool) -> VAE:
    """A small VAE with the variance mode, jensen's or the plain one."""
    M = setup.latent_dim
    posterior = Normal([M], PlainNetwork(M) if plain else NetworkScale(M))
    likelihood = Normal([D], MODES[mode][plain](D))
    encoder = mlp(D, [setup.hidden], posterior.num_outputs, "silu")
    decoder = mlp(M, [setup.hidden], likelihood.num_outputs, "silu")
    return VAE(StandardNormal(M), Conditional(encoder, posterior), Conditional(decoder, likelihood))


class Objective(nn.Module):
    """The mean ELBO of a batch, as a module's forward, which functional_call needs.

    The noise ``[K, B, M]`` of the pathwise sampler is given: under vmap torch's own draws are refused.
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        q, prior = self.model.encoder(x), self.model.prior()
        z = q.mean + q.stddev * noise
        return elbo(Trace(x, (z,), (q,), (prior,), self.model.decoder(z), (True,))).mean()


def train(setup: Setup, data: Data, mode: str, plain: bool) -> Record:
    """All seeds of one setting: how many runs broke, and the quartiles of the final bound of the others."""
    models = []
    for seed in range(setup.seeds):
        torch.manual_seed(seed)
        models.append(Objective(build(setup, data.train.shape[1], mode, plain)))
    parameters, buffers = stack_module_state(models)
    skeleton = models[0]

    def value(parameters: Any, buffers: Any, x: Tensor, noise: Tensor) -> Tensor:
        return functional_call(skeleton, (parameters, buffers), (x, noise))

    ensemble = vmap(value)
    optimizer = torch.optim.Adam(parameters.values(), setup.learning_rate)
    rows = data.train.float()
    torch.manual_seed(0)
    finite = torch.ones(setup.seeds, dtype=torch.bool)
    for _ in range(setup.steps):
        batch = torch.randint(len(rows), (setup.seeds, min(setup.batch_size, len(rows))))
        noise = torch.randn(setup.seeds, 1, batch.shape[1], setup.latent_dim)
        bound = ensemble(parameters, buffers, rows[batch], noise)
        finite &= torch.isfinite(bound.detach())
        optimizer.zero_grad()
        (-bound.sum()).backward()
        optimizer.step()
    skeleton.eval()
    with torch.no_grad():
        held_out = data.test.float().expand(setup.seeds, *data.test.shape)
        shape = (setup.seeds, setup.evaluation_samples, len(data.test), setup.latent_dim)
        final = ensemble(parameters, buffers, held_out, torch.randn(shape)) + data.log_det
    finite &= torch.isfinite(final)
    return {
        "data": data.name,
        "mode": mode,
        "method": "plain" if plain else "jensen",
        "broken": int((~finite).sum()),
        "quartiles": quartiles(final[finite]),
    }


def quartiles(values: Tensor) -> list[float]:
    """Lower quartile, median and upper quartile; nothing of nothing."""
    if not len(values):
        return []
    probabilities = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    return [round(q, 3) for q in values.double().quantile(probabilities).tolist()]


def table(records: list[Record]) -> str:
    """One row for each data set and mode, Markdown."""
    found = {(r["data"], r["mode"], r["method"]): r for r in records}
    lines = [
        "| data | variance | jensen: broken | bound: median (quartiles) | plain: broken | of the rest |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for data, mode in dict.fromkeys((r["data"], r["mode"]) for r in records):
        cells = []
        for method in ("jensen", "plain"):
            record = found[data, mode, method]
            low_mid_high = record["quartiles"]
            text = "{1:.4g} ({0:.4g} to {2:.4g})".format(*low_mid_high) if low_mid_high else "–"
            cells += [str(record["broken"]), text]
        lines.append(f"| {data} | {mode} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(result: Record) -> str:
    """Broken runs of each method, over everything."""
    totals = {m: sum(r["broken"] for r in result["records"] if r["method"] == m) for m in ("jensen", "plain")}
    runs = result["setup"]["seeds"] * len(result["records"]) // 2
    return (
        f"Of {runs:,} runs each, {totals['jensen']} of jensen's and {totals['plain']:,} of the plain ones "
        f"met a bound that is NaN or infinite. ({result['seconds']:.0f} s of one "
        f"processor, {result['machine']}, torch {result['torch']}.)"
    )


def write_page(result: Record) -> None:
    """Put the generated parts between their markers."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in (("table", table(result["records"])), ("summary", summary(result))):
        before, rest = page.split(BEGIN.format(name))
        after = rest.split(END.format(name))[1]
        page = f"{before}{BEGIN.format(name)}\n{text}\n{END.format(name)}{after}"
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    """Train, store, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 seeds, 5 steps; nothing is written")
    parser.add_argument("--report-only", action="store_true", help="the tables again, from the stored JSON")
    arguments = parser.parse_args()
    if arguments.report_only:
        return write_page(json.loads(RESULTS.read_text(encoding="utf-8")))
    torch.set_num_threads(1)
    setup, began = Setup(seeds=3, steps=5) if arguments.quick else Setup(), time.process_time()
    records = []
    for data in data_sets():
        for mode in MODES:
            records += [train(setup, data, mode, plain) for plain in (False, True)]
            print(records[-2:], f"{time.process_time() - began:.0f} s", flush=True)
    seconds = time.process_time() - began
    result = {
        "setup": asdict(setup),
        "jensen": __version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "seconds": round(seconds, 1),
        "records": records,
    }
    if arguments.quick:
        return None
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return write_page(result)


if __name__ == "__main__":
    main()
