"""Whether bfloat16 products change what training ends at: the same runs in both precisions, by several seeds.

    python benchmarks/precision.py --epochs 20 --seeds 10 --jobs 2   # all of MNIST: an hour on two cores
    python benchmarks/precision.py --epochs 20 --jobs 10   # 5 seeds side by side, on a GPU: a minute
    python benchmarks/precision.py --rows 5000 --epochs 4 --limit 500   # a small version

MNIST with dynamic binarization, 784-200-200-M and mirror. Each seed trains twice, `--precision float32` and
`--precision bf16`; what is compared is the importance-weighted bound on the test rows, evaluated in float32.
The difference of a seed's two runs contains what rounding changes at once, and that two runs which differ by
roundings drift apart as two seeds do: over the seeds its mean must be within its standard error of zero.

On a processor without bfloat16 instructions the same roundings are made and the products taken in float32
(`jensen.training.precision`), so the study can be made anywhere. Adds to
benchmarks/results/precision.json, by machine.
"""

import argparse
import itertools
import json
import multiprocessing
import platform
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from jensen.config import Settings
from jensen.config.evaluation import EvaluationSettings
from jensen.evaluation import estimate
from jensen.figures import evaluate_run
from jensen.session import start
from jensen.training.precision import is_fast

TABLE = Path(__file__).resolve().parent / "results" / "precision.json"


def bound(settings: Settings, folder: Path, limit: int | None) -> float:
    """The importance-weighted bound of a run on the test rows, nats per datum."""
    run = start(settings, folder)
    few = EvaluationSettings(num_samples=64, limit=limit, refine_steps=0)
    figures = evaluate_run(run, run.dataset(), few, aggregate_too=False)
    value: float = figures["iwae"]["value"]
    return value


def machine() -> str:
    """What takes the products, and how."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return platform.machine() + ("" if is_fast(torch.device("cpu")) else ", bfloat16 emulated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="only the first so many rows, as a file of their own")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--limit", type=int, help="only the first so many test rows")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), options.data
        if options.rows is not None:
            from jensen.data import load

            data = str(folder / "rows.npy")
            np.save(data, load(options.data, options.data_dir).rows("train")[: options.rows].numpy())
        common = Settings(
            data=data, data_dir=options.data_dir, binarize="dynamic", latent_dim=20, epochs=options.epochs,
            lr_schedule="cosine", patience=0,
        )  # fmt: skip
        found: dict[str, list[float]] = {"float32": [], "bf16": []}
        runs = list(itertools.product(range(options.seeds), found))
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
            values = pool.map(
                bound,
                [common.replace(seed=seed, precision=precision) for seed, precision in runs],
                [folder / f"{precision}-{seed}" for seed, precision in runs],
                itertools.repeat(options.limit),
            )
            for (seed, precision), value in zip(runs, values, strict=True):
                found[precision].append(value)
                print(f"seed {seed}  {precision:8}  {value:.3f} nats", flush=True)
    differences = torch.tensor(found["bf16"], dtype=torch.float64) - torch.tensor(found["float32"])
    record = {
        "options": {
            k: str(v)
            for k, v in vars(options).items()
            if v is not None and k not in ("out", "data_dir", "jobs")
        },
        "torch": str(torch.__version__),
        "iwae": found,
        "difference": estimate(differences).to_dict(),
    }
    stored = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    options.out.write_text(json.dumps(stored | {machine(): record}, indent=2) + "\n", encoding="utf-8")
    print(f"bf16 - float32: {record['difference']}")


if __name__ == "__main__":
    main()
