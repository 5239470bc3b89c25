"""Filling missing cells: jensen's VAEImputer beside scikit-learn's imputers, and the coverage of its draws.

    python benchmarks/imputation.py                      # all sets, mechanisms and seeds
    python benchmarks/imputation.py --sets iris wine     # some
    python benchmarks/imputation.py --report-only        # the tables again, from the stored JSON

Of scikit-learn's iris, wine, breast_cancer, diabetes and digits and of 2,000 rows of Adult a fifth of the
cells is hidden: *at random* (every cell alike), or *not at random*: with probability 0.4 sigmoid(2 u), which
rises with the hidden value itself; u is its normal score in the column, for a category that of its rarity.
Numbers are judged by the RMSE over the hidden cells, each column in units of its standard deviation;
categories by accuracy. The others get standardised numbers and, for a category, one column of zeros and ones
for each level, the largest of which is the answer; IterativeImputer for each level but the first, since its
regressions would find that all levels add up to one, and stay at the mean. All have their default settings.

Coverage: of each hidden number 100 draws are made (`VAEImputer.draw`, `jensen impute --draws`), and counted
is how often the truth lies within their central 50 % and 90 % (among equal values at a place drawn by lot, so
that whole numbers neither gain nor lose).

Writes benchmarks/results/imputation.json, a table at a time: a stopped benchmark goes on where it was.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, ndtri
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.experimental import enable_iterative_imputer  # noqa: F401, without it the next line fails
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from jensen import VAEImputer, __version__
from tabular import ADULT, ROOT, prepare, spread

TABLE = ROOT / "benchmarks" / "results" / "imputation.json"
SETS = ("iris", "wine", "breast_cancer", "diabetes", "digits", "adult")
MECHANISMS = ("at random", "not at random")
SHARE = 0.2
ADULT_ROWS = 2000
DRAWS = 100
LEVELS = (0.5, 0.9)
Record = dict[str, Any]


def load(name: str, work: Path, seed: int) -> pd.DataFrame:
    """One table: numbers as floats, categories as text. Of Adult some rows, other ones for each seed."""
    if name != "adult":
        x = getattr(datasets, f"load_{name}")().data
        return pd.DataFrame(x[:, x.std(0) > 0]).add_prefix("x")
    work.mkdir(parents=True, exist_ok=True)
    frame = pd.read_csv(prepare(ADULT, work)[0], na_values="not stated")
    frame = frame.sample(ADULT_ROWS, random_state=seed).reset_index(drop=True)
    return frame.astype(dict.fromkeys(frame.select_dtypes("number").columns, float))


def hide(frame: pd.DataFrame, mechanism: str, seed: int) -> np.ndarray:
    """Which cells are hidden, ``[N, C]`` of bool; of those that are there to begin with."""
    rng = np.random.default_rng(seed)
    columns = []
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind != "f":  # rarer levels rank higher
            values = -values.map(values.value_counts())
        ranks = rankdata(values.fillna(values.median())) / (len(values) + 1)
        likely = 2 * SHARE * expit(2 * ndtri(ranks)) if mechanism == MECHANISMS[1] else SHARE
        columns.append(rng.random(len(values)) < likely)
    return np.stack(columns, axis=1) & frame.notna().to_numpy()


def beside(imputer: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """One of scikit-learn's imputers, on standardised numbers and columns of zeros and ones for levels."""
    numbers = frame.select_dtypes("number").columns
    texts = [name for name in frame.columns if name not in numbers]
    mean, deviation = frame[numbers].mean(), frame[numbers].std().replace(0.0, 1.0)  # one value seen, e.g. 0
    parts = [(frame[numbers] - mean) / deviation]
    first = int(isinstance(imputer, IterativeImputer))
    for name in texts:
        levels = pd.get_dummies(frame[name], dtype=float)
        parts.append(levels.where(frame[name].notna()))
    filled = imputer.fit_transform(np.hstack([parts[0], *(part.to_numpy()[:, first:] for part in parts[1:])]))
    result = frame.copy()
    result[numbers] = filled[:, : len(numbers)] * deviation.to_numpy() + mean.to_numpy()
    start = len(numbers)
    for name, levels in zip(texts, parts[1:], strict=True):
        shares = filled[:, start : start + levels.shape[1] - first]
        start += shares.shape[1]
        if first:
            shares = np.column_stack([1 - shares.sum(1), shares])
        result[name] = levels.columns.to_numpy()[shares.argmax(1)]
    return result


PEERS: dict[str, Callable[[int], Any]] = {
    "mean": lambda seed: SimpleImputer(),
    "KNNImputer": lambda seed: KNNImputer(),
    "IterativeImputer": lambda seed: IterativeImputer(random_state=seed),
}


def errors(truth: pd.DataFrame, filled: pd.DataFrame, hidden: np.ndarray) -> Record:
    """RMSE over hidden numbers, in standard deviations of their columns; accuracy over hidden categories."""
    squares, right = [], []
    for place, name in enumerate(truth.columns):
        there, cells = hidden[:, place], truth[name]
        if cells.dtype.kind == "f":
            squares.append(((filled[name][there] - cells[there]) / cells.std()) ** 2)
        else:
            right.append(filled[name][there] == cells[there])
    result = {"rmse": float(np.sqrt(np.concatenate(squares).mean()))}
    return result | ({"accuracy": float(np.concatenate(right).mean())} if right else {})


def coverage(truth: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> Record:
    """How often hidden numbers ``[n]`` lie within central intervals of their draws ``[S, n]``."""
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    # The truth's rank among itself and the draws is uniform if it is one more draw; ties are broken by lot.
    rank = (below + rng.integers(0, equal + 1) + rng.random(len(truth))) / (len(draws) + 1)
    return {f"{level:.0%}": float((np.abs(rank - 0.5) < level / 2).mean()) for level in LEVELS}


def jensen(frame: pd.DataFrame, truth: pd.DataFrame, hidden: np.ndarray, seed: int) -> Record:
    """`VAEImputer` with its default settings: errors, and the coverage of its draws."""
    numeric = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    plain = len(numeric) == frame.shape[1]
    given = frame.to_numpy() if plain else frame
    imputer = VAEImputer(random_state=seed).fit(given)
    filled = imputer.transform(given)
    draws = imputer.draw(given, DRAWS)
    if plain:
        filled = pd.DataFrame(filled, columns=frame.columns)
        draws = [pd.DataFrame(draw, columns=frame.columns) for draw in draws]
    places = [frame.columns.get_loc(name) for name in numeric]
    mask = hidden[:, places]
    drawn = np.stack([draw[numeric].to_numpy()[mask] for draw in draws])
    covered = coverage(truth[numeric].to_numpy()[mask], drawn, np.random.default_rng(seed))
    return errors(truth, filled, hidden) | {"coverage": covered, "epochs": imputer.n_iter_}


def measure(name: str, mechanism: str, seed: int, work: Path) -> list[Record]:
    """Every imputer on one table with the same hidden cells."""
    truth = load(name, work, seed)
    hidden = hide(truth, mechanism, seed)
    frame = truth.mask(hidden)
    records = []
    for method in (*PEERS, "VAEImputer"):
        began = time.process_time()
        if method == "VAEImputer":
            result = jensen(frame, truth, hidden, seed)
        else:
            result = errors(truth, beside(PEERS[method](seed), frame), hidden)
        seconds = round(time.process_time() - began, 2)
        what = {"set": name, "mechanism": mechanism, "seed": seed, "method": method}
        records.append(what | {"cpu_seconds": seconds, "jensen": __version__} | result)
    return records


def report(records: list[Record]) -> str:
    """The tables, Markdown: means over the seeds and standard errors of the difference to the best."""
    lines = []
    methods = (*PEERS, "VAEImputer")
    for mechanism in [m for m in MECHANISMS if any(r["mechanism"] == m for r in records)]:
        lines += [f"\nHidden {mechanism}:\n", "| | " + " | ".join(methods) + " | coverage of 50 % and 90 % |"]
        lines.append("|---|" + "---:|" * (len(methods) + 1))
        for name in SETS:
            for key in ("rmse", "accuracy"):
                rows = [r for r in records if (r["set"], r["mechanism"]) == (name, mechanism) and key in r]
                if rows:
                    lines.append(_line(f"{name}, {key}", rows, key, methods))
    return "\n".join(lines)


def _line(title: str, rows: list[Record], key: str, methods: tuple[str, ...]) -> str:
    """One line of a table; bold is the best, and what is within two standard errors of it, seed by seed."""
    values = {
        m: [row[key] for row in sorted(rows, key=lambda r: r["seed"]) if row["method"] == m] for m in methods
    }
    sign = 1 if key == "rmse" else -1
    best = min(methods, key=lambda m: sign * statistics.fmean(values[m]))
    cells = []
    for method in methods:
        worse = [sign * (a - b) for a, b in zip(values[method], values[best], strict=True)]
        error = statistics.stdev(worse) / len(worse) ** 0.5 if len(worse) > 1 else 0.0
        text = spread(values[method], 3)
        cells.append(f"**{text}**" if statistics.fmean(worse) <= 2 * error else text)
    covered = [row["coverage"] for row in rows if "coverage" in row]
    means = [f"{100 * statistics.fmean(c[f'{level:.0%}'] for c in covered):.0f} %" for level in LEVELS]
    return f"| {title} | " + " | ".join([*cells, " and ".join(means) if key == "rmse" else ""]) + " |"


def main() -> None:
    """Measure what is not measured yet, store, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--mechanisms", nargs="+", choices=MECHANISMS, default=list(MECHANISMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="forget the figures of these sets and seeds")
    parser.add_argument("--report-only", action="store_true")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "tabular")
    options = parser.parse_args()
    warnings.filterwarnings(
        "ignore", category=UserWarning
    )  # IterativeImputer: its ten rounds are its default
    torch.set_num_threads(1)
    records: list[Record] = json.loads(TABLE.read_text())["records"] if TABLE.exists() else []
    cases = [
        (name, mechanism, seed)
        for seed in options.seeds
        for mechanism in options.mechanisms
        for name in options.sets
    ]
    if options.again:
        records = [r for r in records if (r["set"], r["mechanism"], r["seed"]) not in cases]
    for case in [] if options.report_only else cases:
        if not any((r["set"], r["mechanism"], r["seed"]) == case for r in records):
            records += measure(*case, options.work)
            TABLE.write_text(json.dumps({"records": records}, indent=1) + "\n", encoding="utf-8")
            print(case, {r["method"]: round(r["rmse"], 3) for r in records[-4:]}, flush=True)
    print(report(records))


if __name__ == "__main__":
    main()
