"""Which likelihood for the numbers of a table? Five, by their held-out log-likelihood on Adult.

    python benchmarks/column_likelihood.py               # a short schedule: two minutes of one core
    python benchmarks/column_likelihood.py --epochs 60   # the whole one of tables

The same model, with the default settings of tables, is trained on adult.data with another likelihood of its
six numeric columns each time: on the scale of the numbers themselves (standardised) or on the monotone scale
of their quantiles, with one component or five, with and without atoms. Reported is log-likelihood
per validation row (1,000), in nats of the data as given: IWAE with 50 samples, and the ELBO. Differences of
likelihoods are taken row by row. Nothing of adult.test is looked at.

Writes benchmarks/results/column_likelihood.json.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jensen import __version__
from jensen.config import Settings, tables
from jensen.data.tables import marginals
from jensen.evaluation import importance_weighted
from jensen.evaluation.estimate import Estimate, estimate
from jensen.session import start
from tabular import ADULT, ROOT, prepare

TABLE = ROOT / "benchmarks" / "results" / "column_likelihood.json"
SAMPLES, ROWS = 50, 1000
VARIANTS = {
    "numbers as they are, one component": (False, 1, 0),
    "numbers as they are, mixture of 5": (False, 5, 0),
    "monotone scale, one component": (True, 1, 0),
    "monotone scale, mixture of 5": (True, 5, 0),
    "monotone scale, mixture of 5, atoms": (True, tables.COMPONENTS, marginals.MOST_ATOMS),
}
"""Whether the scale is monotone, the components, and how many atoms a column may have. The last: jensen's."""


@contextmanager
def variant(monotone: bool, components: int, atoms: int) -> Iterator[None]:
    """Models made inside have this likelihood for numbers."""
    kept = marginals.fit_marginal, marginals.MOST_ATOMS, tables.COMPONENTS

    def affine(column: Any, codes: Any) -> Any:
        fitted = kept[0](column, codes)
        if fitted.levels or monotone:
            return fitted
        ends = np.nanmean(codes) + np.nanstd(codes) * np.array([-1.0, 1.0])
        return replace(fitted, log=False, knots=ends, scores=np.array([-1.0, 1.0]))

    marginals.fit_marginal, marginals.MOST_ATOMS, tables.COMPONENTS = affine, atoms, components
    try:
        yield
    finally:
        marginals.fit_marginal, marginals.MOST_ATOMS, tables.COMPONENTS = kept


def measure(train: Path, out: Path, epochs: int | None) -> dict[str, torch.Tensor]:
    """ELBO and IWAE of each validation row, ``[N]``."""
    run = start(Settings(data=str(train), epochs=epochs, hide=0.0), out)
    model, dataset = run.model(), run.dataset()
    torch.manual_seed(0)
    with torch.no_grad():
        parts = [importance_weighted(model, x, SAMPLES) for x in run.blocks(dataset, "validation", ROWS)]
    return {key: torch.cat([part[key] for part in parts]) for key in ("elbo", "iwae")}


def report(records: list[dict[str, Any]]) -> str:
    """The table, Markdown."""
    lines = [
        "| likelihood of numbers | ELBO | IWAE-50 | below the last, row by row |",
        "|---|---:|---:|---:|",
    ]
    for record in records:
        elbo, iwae, below = (Estimate(**record[key]) for key in ("elbo", "iwae", "below"))
        lines.append(f"| {record['likelihood']} | {elbo} | {iwae} | {below} |")
    return "\n".join(lines)


def main() -> None:
    """Train the five, store, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--report-only", action="store_true", help="the table again, from the stored JSON")
    options = parser.parse_args()
    if not options.report_only:
        torch.set_num_threads(1)
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            train, _ = prepare(ADULT, Path(folder))
            for number, (name, choice) in enumerate(VARIANTS.items()):
                with variant(*choice):
                    found[name] = measure(train, Path(folder) / str(number), options.epochs)
                print(name, estimate(found[name]["elbo"]), estimate(found[name]["iwae"]), flush=True)
        *_, last = found.values()
        records = [
            {"likelihood": name, "below": estimate(last["iwae"] - values["iwae"]).to_dict()}
            | {key: estimate(value).to_dict() for key, value in values.items()}
            for name, values in found.items()
        ]
        content = {"jensen": __version__, "epochs": options.epochs, "records": records}
        TABLE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(report(json.loads(TABLE.read_text())["records"]))


if __name__ == "__main__":
    main()
