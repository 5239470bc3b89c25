"""Synthetic tables: jensen beside TVAE and beside real held-out rows, on Adult.

    make bench-peers                                   # once: TVAE and SDMetrics, in their own environment
    python benchmarks/tabular.py                       # three seeds of both: hours of one core
    python benchmarks/tabular.py --seeds 0 --no-tvae   # one seed, without the peer
    python benchmarks/tabular.py --report-only         # the table again, from the stored JSON

Every model is trained on the 32,561 rows of adult.data with its default settings, and draws as many. "?",
which in this table is an answer of its own, is a level like any other for all of them. Scores, 100 % at best:

- column shapes, pair trends: SDMetrics' quality report against the training rows. Its pair trends are of the
  pairs that are associated in the real table; those of all 105 pairs are given beside;
- detection: SDMetrics' LogisticDetection, the failure of a classifier to tell real from drawn;
- AUC: of gradient boosting that predicts the income of the 16,281 real test rows, trained on the drawn ones.

The JSON also has how many rows lie beyond the range of the training rows in a column of numbers.

The row "held-out rows" scores the real test rows as if they were drawn; its AUC is that of training on the
real training rows. jensen's settings were chosen by the validation log-likelihood within adult.data.

Writes benchmarks/results/tabular.json, a seed at a time: a stopped benchmark goes on where it was.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OrdinalEncoder

from jensen import __version__
from jensen.cli import main as jensen

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "tabular.json"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
ADULT = ROOT.parent / "shared" / "data" / "adult"
NAMES = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
]
SCORES = {
    "column_shapes": "column shapes",
    "pair_trends": "pair trends",
    "all_pairs": "all pairs",
    "detection": "detection",
    "auc": "AUC",
}
Record = dict[str, Any]


def prepare(data: Path, work: Path) -> tuple[Path, Path]:
    """UCI's two files as CSV with a header; the test file has a line and points more."""
    paths = work / "train.csv", work / "test.csv"
    for name, skip, path in (("adult.data", 0, paths[0]), ("adult.test", 1, paths[1])):
        frame = pd.read_csv(data / name, names=NAMES, skipinitialspace=True, skiprows=skip)
        frame["income"] = frame["income"].str.rstrip(".")
        frame.replace("?", "not stated").to_csv(path, index=False)
    return paths


def peer(*arguments: object) -> Record:
    """One command of `tabular_peers.py` in the peers' environment: the JSON object that it prints last."""
    script = ROOT / "benchmarks" / "tabular_peers.py"
    command = [str(PEERS), str(script), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: Record = json.loads(done.stdout.splitlines()[-1])
    return result


def train_jensen(train: Path, out: Path, seed: int) -> Record:
    """`jensen train` with its defaults, and `jensen sample`: as many rows as were given."""
    run = out.with_suffix("")
    began, cpu = time.perf_counter(), time.process_time()
    call("train", train, "--seed", seed, "--out", run, "--overwrite")
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    call("sample", run, "-n", len(pd.read_csv(train)), "-o", out, "--seed", seed)
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = max(history, key=lambda line: line["validation_bound"])
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "epochs": len(history),
        "best_epoch": best["epoch"],
        "validation_bound": best["validation_bound"],
    }


def call(*arguments: object) -> None:
    """A command line of jensen's, in this process."""
    status = jensen([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def utility(train: Path, test: Path) -> float:
    """AUC on real test rows of gradient boosting trained on the rows of ``train``."""
    frames = [pd.read_csv(path, keep_default_na=False) for path in (train, test)]
    texts = [name for name in NAMES if frames[0][name].dtype.kind not in "if" and name != "income"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder.fit(frames[0][texts])
    inputs = [frame.drop(columns="income") for frame in frames]
    for frame in inputs:
        frame[texts] = encoder.transform(frame[texts])
    kinds = [name in texts for name in inputs[0]]
    model = HistGradientBoostingClassifier(categorical_features=kinds, random_state=0)
    model.fit(inputs[0].to_numpy(float), frames[0]["income"] == ">50K")
    drawn = model.predict_proba(inputs[1].to_numpy(float))[:, 1]
    return float(roc_auc_score(frames[1]["income"] == ">50K", drawn))


def beyond(train: Path, drawn: Path) -> dict[str, int]:
    """Rows that lie below or above all training rows, for each column of numbers."""
    real, rows = (pd.read_csv(path, keep_default_na=False) for path in (train, drawn))
    numbers = real.select_dtypes("number").columns
    return {name: int((~rows[name].between(real[name].min(), real[name].max())).sum()) for name in numbers}


def measure(method: str, seed: int, train: Path, test: Path, work: Path) -> Record:
    """One row of the table."""
    if method == "held-out rows":
        figures = {**peer("score", train, test), "auc": utility(train, test)}
        return {"method": method, "seed": seed, **figures, "beyond": beyond(train, test)}
    out = work / f"{method}-{seed}.csv"
    known = out.with_suffix(".json")
    if not (out.exists() and known.exists()):  # hours of training are not lost with what comes after them
        fitted = peer("tvae", train, out, seed) if method == "TVAE" else train_jensen(train, out, seed)
        known.write_text(json.dumps(fitted), encoding="utf-8")
    fitted = json.loads(known.read_text())
    scores = peer("score", train, out)
    figures = {**scores, "auc": utility(out, test), "beyond": beyond(train, out)}
    return {"method": method, "seed": seed, **fitted, **figures}


def report(records: list[Record]) -> str:
    """The table, Markdown: means over the seeds and their standard errors; percentages."""
    lines = [
        "| | " + " | ".join(SCORES.values()) + " | training, CPU s | seeds |",
        "|---|" + "---:|" * (len(SCORES) + 2),
    ]
    for method in dict.fromkeys(record["method"] for record in records):
        rows = [record for record in records if record["method"] == method]
        cells = [spread([100 * row[key] for row in rows]) for key in SCORES]
        seconds = spread([row["cpu_seconds"] for row in rows], 0) if "cpu_seconds" in rows[0] else "–"
        lines.append(f"| {method} | " + " | ".join([*cells, seconds, str(len(rows))]) + " |")
    return "\n".join(lines)


def spread(values: list[float], digits: int = 2) -> str:
    """A mean with its standard error where there are several values."""
    text = f"{statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values) / len(values) ** 0.5:.{digits}f}"
    return text


def main() -> None:
    """Measure what is not measured yet, store, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--no-tvae", action="store_true", help="leave the peer out")
    parser.add_argument("--again", action="store_true", help="forget the figures of these seeds")
    parser.add_argument("--report-only", action="store_true")
    parser.add_argument("--data", type=Path, default=ADULT)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "tabular")
    options = parser.parse_args()
    records: list[Record] = json.loads(TABLE.read_text())["records"] if TABLE.exists() else []
    methods = ["jensen"] if options.no_tvae else ["jensen", "TVAE"]
    wanted = [("held-out rows", 0), *((method, seed) for seed in options.seeds for method in methods)]
    if options.report_only:
        wanted = []
    elif options.again:
        records = [record for record in records if (record["method"], record["seed"]) not in wanted]
        for method, seed in wanted:
            (options.work / f"{method}-{seed}.json").unlink(missing_ok=True)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    paths = prepare(options.data, options.work) if wanted else None
    for method, seed in wanted:
        if paths and not any((r["method"], r["seed"]) == (method, seed) for r in records):
            record = measure(method, seed, *paths, options.work)
            records.append({"jensen": __version__, "torch": str(torch.__version__), **record})
            records.sort(key=lambda r: (r["method"] == "TVAE", r["method"] == "jensen", r["seed"]))
            TABLE.write_text(json.dumps({"records": records}, indent=1) + "\n", encoding="utf-8")
    print(report(records))


if __name__ == "__main__":
    main()
