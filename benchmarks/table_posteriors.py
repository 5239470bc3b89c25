"""Which posterior for a table with missing cells: `diagonal` beside `experts`, all else at its default.

    python benchmarks/table_posteriors.py                        # four tables, two seeds: half an hour
    python benchmarks/table_posteriors.py --sets wine --seeds 0  # of one core

Tables and hidden cells are those of imputation.py (a fifth, at random). Figures: the importance-weighted
bound on the observed cells of the test rows, K = 500, nats per row, and the difference of the two row by
row; the RMSE of what `jensen impute` puts into the hidden cells of all rows, in standard deviations of their
columns, and for categories the accuracy. Writes benchmarks/results/table_posteriors.json, a table at a time.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import jensen.cli
from imputation import errors, hide, load
from jensen.config import Settings
from jensen.data.seeds import seeded
from jensen.evaluation import estimate, evaluate
from jensen.session import start
from tabular import ROOT

TABLE = ROOT / "benchmarks" / "results" / "table_posteriors.json"
SETS = ("wine", "diabetes", "breast_cancer", "adult")
POSTERIORS = ("diagonal", "experts")


def measure(name: str, seed: int, posterior: str, work: Path) -> tuple[dict[str, Any], Tensor]:
    """Errors of filled cells and what training took; log p(x) of the test rows, ``[N]``."""
    truth = load(name, work, seed)
    hidden = hide(truth, "at random", seed)
    csv, run_folder = work / f"{name}-{seed}.csv", work / f"{name}-{seed}-{posterior}"
    truth.mask(hidden).to_csv(csv, index=False)
    began = time.process_time()
    settings = Settings(data=str(csv), posterior=posterior, seed=seed, device="cpu")  # type: ignore[arg-type]
    run = start(settings, run_folder, overwrite=True)
    busy = time.process_time() - began
    with seeded(seed):
        log_px = evaluate(run.model(), run.blocks(run.dataset(), "test"), 500, log_det=run.log_det)["iwae"]
    filled = work / f"{name}-{seed}-filled.csv"
    jensen.cli.main(["impute", str(run_folder), str(csv), "-o", str(filled)])
    found = errors(truth, pd.read_csv(filled).astype(truth.dtypes), hidden)
    return found | {"cpu_seconds": busy, "epochs": len(run.history())}, log_px


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--sets", nargs="+", default=SETS)
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    p.add_argument("--work", type=Path, default=ROOT / "runs" / "table-posteriors")
    p.add_argument("--table", type=Path, default=TABLE)
    options = p.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    stored = json.loads(options.table.read_text("utf-8"))["records"] if options.table.exists() else []
    for name, seed in ((name, seed) for name in options.sets for seed in options.seeds):
        if any((record["set"], record["seed"]) == (name, seed) for record in stored):
            continue
        record: dict[str, Any] = {"set": name, "seed": seed}
        scores = {}
        for posterior in POSTERIORS:
            record[posterior], scores[posterior] = measure(name, seed, posterior, options.work)
            record[posterior]["iwae"] = estimate(scores[posterior]).to_dict()
        record["experts_minus_diagonal"] = estimate(scores["experts"] - scores["diagonal"]).to_dict()
        stored.append(record)
        options.table.write_text(json.dumps({"records": stored}, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
