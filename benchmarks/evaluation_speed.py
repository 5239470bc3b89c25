"""How near evaluation comes to its floor: the matrix products of the decoder, and nothing else.

    python benchmarks/evaluation_speed.py --data-dir DATA                       # minutes on one core
    python benchmarks/evaluation_speed.py --peers .venv-peers/lib/python3.11/site-packages

A VAE 784-512-16-512-784 with a Bernoulli decoder is trained for a few hundred steps on MNIST with dynamic
binarization. Then, alternately in one process on one thread, over the same 256 test images:

- floor: the two products of the decoder alone, for K x 256 latents in the chunks of the evaluation;
- eager and compiled: the importance-weighted bound by `jensen.evaluation`;
- before: the same as jensen computed it until now, with log q(z | x) twice;
- pythae: `get_nll` of Pythae 0.1.2 with the same network and weights (it takes one image at a time, and
  encodes it anew for every latent sample; called with a batch of 100, its default);
- the refinement and the annealed importance sampling of fewer images, eager and compiled.

Times are processor seconds, medians over the rounds. Writes benchmarks/results/evaluation_speed.json.
"""

import argparse
import json
import math
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jensen.chunks import chunk_sizes
from jensen.config import Settings
from jensen.config.build import build_model
from jensen.data import Preparation, evaluation_blocks, fit_preparation, load
from jensen.evaluation import importance_weighted
from jensen.evaluation.ais import annealed_importance_sampling
from jensen.evaluation.compiled import compiled
from jensen.models import VAE
from jensen.objectives import elbo, pathwise
from jensen.training.inner import refine

HIDDEN, LATENTS, ROWS = 512, 16, 256
OLD_CHUNK = 1 << 21
RESULT = Path(__file__).parent / "results" / "evaluation_speed.json"


def trained(images: Tensor, preparation: Preparation, steps: int) -> VAE:
    """A model after some steps of Adam: good enough that its importance weights mean something."""
    torch.manual_seed(0)
    settings = Settings(
        network="mlp",
        hidden=(HIDDEN,),
        latent_dim=LATENTS,
        likelihood="bernoulli",
        posterior="diagonal",
        prior="standard",
    )
    model = build_model(settings, (28, 28), preparation)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    for _ in range(steps):
        x = preparation(images[torch.randint(len(images), (128,))])
        optimizer.zero_grad()
        (-pathwise(elbo, model, x, 1).mean()).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def floor(model: VAE, num_samples: int) -> Callable[[], None]:
    """The decoder's products alone, chunk by chunk, into memory that is there already."""
    k = chunk_sizes(num_samples, ROWS * 784, torch.device("cpu"))[0]
    weights = [layer.weight.t() for layer in model.decoder.network if isinstance(layer, nn.Linear)]  # type: ignore[union-attr]
    z = torch.randn(k * ROWS, LATENTS)
    outputs = [torch.empty(k * ROWS, weight.shape[1]) for weight in weights]

    def run() -> None:
        for _ in range(num_samples // k):
            h = z
            for weight, output in zip(weights, outputs, strict=True):
                h = torch.mm(h, weight, out=output)

    return run


@torch.no_grad()
def before(model: VAE, x: Tensor, num_samples: int) -> Tensor:
    """The importance-weighted bound as jensen computed it until now."""
    q = model.posterior(x)
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    size = OLD_CHUNK // x.numel()
    for done in range(0, num_samples, size):
        trace = model.trace(x, min(size, num_samples - done), posterior=q)
        log_px = trace.log_px
        assert trace.has_density
        log_w = (log_px + (trace.log_pz - trace.log_qz).sum(-1)).double()
        trace.kl.sum(-1).double().sum(0)
        total = torch.logaddexp(total, log_w.logsumexp(0))
    return total - math.log(num_samples)


def pythae_model(model: VAE) -> Any:
    """The same encoder and decoder as a VAE of Pythae."""
    import pythae.models as theirs
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Any:
            mean, log_scale = model.encoder.network(x).chunk(2, -1)  # type: ignore[operator]
            return ModelOutput(embedding=mean, log_covariance=2 * log_scale)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def forward(self, z: Tensor) -> Any:
            logits = model.decoder.network(z)  # type: ignore[operator]
            return ModelOutput(reconstruction=logits.sigmoid().reshape(-1, 1, 28, 28))

    config = theirs.VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENTS, reconstruction_loss="bce")
    return theirs.VAE(config, Encoder(), Decoder()).eval()


def alternate(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median processor seconds of each, in turn, after one run of each that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            began = time.process_time()
            run()
            if number:
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def bounds(model: VAE, fast: VAE, x: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    """Times and values of the importance-weighted bound."""
    K = options.num_samples
    contestants: dict[str, Callable[[], object]] = {
        "floor": floor(model, K),
        "before": lambda: before(model, x, K),
        "eager": lambda: importance_weighted(model, x, K),
        "compiled": lambda: importance_weighted(fast, x, K),
    }
    images = 4
    if options.peers:
        sys.path.append(str(options.peers))
        peer = pythae_model(model)
        some = x[:images].unsqueeze(1)

        def pythae() -> float:
            with torch.no_grad():
                return float(peer.get_nll(some, n_samples=1000, batch_size=100))

        contestants["pythae"] = pythae
    seconds = alternate(contestants, options.rounds)
    rows = dict.fromkeys(seconds, K * len(x)) | {"pythae": 1000 * images}
    each = {name: 1e6 * value / rows[name] for name, value in seconds.items()}
    values = {}
    for name, run in {"eager": model, "compiled": fast}.items():
        torch.manual_seed(1)
        values[name] = importance_weighted(run, x, K)["iwae"].mean().item()
    found: dict[str, Any] = {
        "microseconds_per_latent": each,
        "share_of_floor": {name: each["floor"] / value for name, value in each.items()},
        "speedup_over_before": each["before"] / each["compiled"],
        "values": values,
    }
    if options.peers:
        torch.manual_seed(1)
        mine = importance_weighted(fast, x[:images], 1000)["iwae"].mean().item()
        found["speedup_over_pythae"] = each["pythae"] / each["compiled"]
        found["values_of_four_images"] = {"compiled": mine, "pythae": contestants["pythae"]()}
    return found


def others(model: VAE, fast: VAE, x: Tensor, rounds: int) -> dict[str, Any]:
    """Eager over compiled, of the refinement and of annealed importance sampling."""
    found = {}
    some = x[:64]
    tasks: dict[str, Callable[[VAE], object]] = {
        "refine": lambda m: refine(m, some, 20),
        "ais": lambda m: annealed_importance_sampling(m, some, num_temperatures=10),
    }
    for name, task in tasks.items():
        seconds = alternate({"eager": partial(task, model), "compiled": partial(task, fast)}, rounds)
        found[name] = {**seconds, "speedup": seconds["eager"] / seconds["compiled"]}
    return found


def main() -> None:
    """Train, time, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--peers", type=Path, help="folder of packages that holds pythae")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--num-samples", type=int, default=100, help="K of each round")
    parser.add_argument(
        "--long", type=int, default=5000, help="K of the run whose memory is measured; 0: none"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load("mnist", options.data_dir)
    preparation = fit_preparation(dataset, support="binary", binarize="dynamic", scaling="none")
    model = trained(dataset.rows("train"), preparation, options.steps)
    fast = compiled(model, after=0.0)
    x = next(evaluation_blocks(dataset, preparation, "test", seed=0, limit=ROWS))
    with torch.random.fork_rng():
        found = bounds(model, fast, x, options)
        found |= others(model, fast, x, max(2, options.rounds // 4))
    if options.long:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        importance_weighted(fast, x, options.long)
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        found["memory"] = {"num_samples": options.long, "peak_mib": peak / 1024, "growth_mib": more / 1024}
    floating = 2 * (LATENTS * HIDDEN + HIDDEN * 784) / found["microseconds_per_latent"]["floor"] / 1e3
    found |= {
        "floor_gflops": floating,
        "num_samples": options.num_samples,
        "training_steps": options.steps,
        "rounds": options.rounds,
        "machine": {"processor": platform.processor() or platform.machine(), "threads": 1},
        "torch": torch.__version__,
    }
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
