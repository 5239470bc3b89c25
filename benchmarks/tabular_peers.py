"""The part of `benchmarks/tabular.py` that runs in the peers' environment: TVAE, and SDMetrics' scores.

    .venv-peers/bin/python benchmarks/tabular_peers.py tvae TRAIN.csv OUT.csv SEED
    .venv-peers/bin/python benchmarks/tabular_peers.py score REAL.csv SYNTHETIC.csv

Both print one JSON object as their last line. It imports nothing of jensen's, which is not installed there.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch


def read(path: str) -> pd.DataFrame:
    """A table without missing cells, its texts as Python objects (SDMetrics knows no other kind)."""
    frame = pd.read_csv(path, keep_default_na=False)
    return frame.astype(dict.fromkeys(frame.select_dtypes(exclude="number").columns, object))


def tvae(train: str, out: str, seed: str) -> dict[str, Any]:
    """Fit TVAE with its default settings, and write as many rows as it was given."""
    from ctgan import TVAE

    np.random.seed(int(seed))  # noqa: NPY002, the generator that ctgan draws from
    torch.manual_seed(int(seed))
    real = read(train)
    model = TVAE()
    began, cpu = time.perf_counter(), time.process_time()
    model.fit(real, discrete_columns=list(real.select_dtypes(exclude="number").columns))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    model.sample(len(real)).to_csv(out, index=False)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


def score(real: str, synthetic: str) -> dict[str, Any]:
    """The quality report (shapes of columns, trends of pairs) and the logistic detection, 1 at best.

    SDMetrics' report counts only pairs whose association in the real table exceeds a threshold; ``all_pairs``
    counts all of them.
    """
    from sdmetrics.reports.single_table import QualityReport
    from sdmetrics.reports.single_table._properties import ColumnPairTrends
    from sdmetrics.single_table import LogisticDetection

    frames = {"real_data": read(real), "synthetic_data": read(synthetic)}
    numbers = frames["real_data"].select_dtypes("number").columns
    types = {
        name: {"sdtype": "numerical" if name in numbers else "categorical"}
        for name in frames["real_data"].columns
    }
    report = QualityReport()
    report.generate(*frames.values(), {"columns": types}, verbose=False)
    every = ColumnPairTrends()
    every.get_score(*frames.values(), {"columns": types})
    np.random.seed(0)  # noqa: NPY002, of the folds of the detection
    shapes, pairs = report.get_details("Column Shapes"), every.details
    return {
        "column_shapes": float(report.get_properties()["Score"][0]),
        "pair_trends": float(report.get_properties()["Score"][1]),
        "all_pairs": float(pairs["Score"].mean()),
        "quality": float(report.get_score()),
        "detection": float(LogisticDetection.compute(**frames, metadata={"columns": types})),
        "shapes": {row["Column"]: round(row["Score"], 4) for _, row in shapes.iterrows()},
        "pairs": {f"{r['Column 1']}, {r['Column 2']}": round(r["Score"], 4) for _, r in pairs.iterrows()},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    tasks: dict[str, Callable[..., dict[str, Any]]] = {"tvae": tvae, "score": score}
    print(json.dumps(tasks[sys.argv[1]](*sys.argv[2:])))
