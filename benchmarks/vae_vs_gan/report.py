"""From the records to the tables and pictures of docs/vae-and-gan.md."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from torch import Tensor

from .ensembles import Task

BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"
PRECISION_SHARE, RECALL_SHARE = 0.5, 0.25
"""A run trains when its samples have at least these shares of real images' precision and recall."""
OTHER_SHARES = ((0.5, 0.1), (0.5, 0.25), (0.5, 0.5), (0.75, 0.25))
NAMES = {
    ("vae", "means"): "VAE, decoder means",
    ("vae", "draws"): "VAE, true draws",
    ("gan", "generator"): "GAN",
    ("vae", "means, fitted normal"): "VAE",
    ("autoencoder", "means"): "autoencoder",
    ("autoencoder", "means, fitted normal"): "autoencoder",
}
Record = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where the output goes."""

    results: Path
    page: Path
    images: Path

    @staticmethod
    def under(root: Path) -> "Places":
        results = root / "benchmarks" / "results" / "vae_vs_gan.json"
        return Places(results, root / "docs" / "vae-and-gan.md", root / "docs" / "images")


def trains(
    run: Record, real: Record, shares: tuple[float, float] = (PRECISION_SHARE, RECALL_SHARE), space: str = ""
) -> bool:
    """The criterion: finite, and precision and recall each at least its share of real images' own."""
    names = (f"{space}precision", f"{space}recall")
    return run["finite"] and all(run[n] >= share * real[n] for n, share in zip(names, shares, strict=True))


def mean_and_error(values: Iterable[float | None], form: str) -> str:
    """``mean ± standard error`` over seeds; values that do not exist are left out, and it is said."""
    every = list(values)
    known = [value for value in every if value is not None and math.isfinite(value)]
    if not known:
        return "none"
    mean = sum(known) / len(known)
    error = math.sqrt(sum((value - mean) ** 2 for value in known) / max(1, len(known) - 1) / len(known))
    note = "" if len(known) == len(every) else f" ({len(known)} of {len(every)} runs)"
    return f"{mean:{form}} ± {error:{form}}{note}"


def select(study: Record, model: str, samples: str, lr: float | None = None) -> list[Record]:
    """The records of one kind of samples, of one learning rate or of all."""
    return [
        run
        for run in study["runs"]
        if (run["model"], run["samples"]) == (model, samples) and lr in (None, run["lr"])
    ]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quality_table(study: Record) -> str:
    """Stability, quality and cost by model and learning rate."""
    header = ("samples", "lr", "train", "precision", "recall", "FD", "sharpness", "digits", "CPU s a run")
    real = study["controls"]["real training images"]
    rows: list[tuple[str, ...]] = []
    for model, samples in (("vae", "means"), ("vae", "draws"), ("gan", "generator")):
        for lr in sorted({run["lr"] for run in select(study, model, samples)}):
            runs = select(study, model, samples, lr)
            rows.append(
                (
                    NAMES[model, samples],
                    f"{lr:g}",
                    f"{sum(trains(run, real) for run in runs)}/{len(runs)}",
                    mean_and_error((run["precision"] for run in runs), ".2f"),
                    mean_and_error((run["recall"] for run in runs), ".2f"),
                    mean_and_error((run["frechet"] for run in runs), ".1f"),
                    mean_and_error((run["sharpness"] for run in runs), ".2f"),
                    mean_and_error((run["digits"] for run in runs), ".1f"),
                    f"{runs[0]['cpu_seconds']:.1f}",
                )
            )
    for name, control in study["controls"].items():
        numbers = (("precision", ".2f"), ("recall", ".2f"), ("frechet", ".1f"), ("sharpness", ".2f"))
        cells = [f"{control[key]:{form}}" for key, form in numbers]
        rows.append((f"*{name}*", "", "", *cells, str(control["digits"]), ""))
    return table(header, rows)


def criterion_table(study: Record) -> str:
    """How the share of runs that train depends on the criterion: all learning rates together."""
    spaces = {"": "classifier", "pca_": "PCA"}
    kinds = (("vae", "means"), ("vae", "draws"), ("gan", "generator"))
    real = study["controls"]["real training images"]
    rows = []
    for space, name in spaces.items():
        for shares in OTHER_SHARES:
            counts = []
            for kind in kinds:
                runs = select(study, *kind)
                counts.append(f"{sum(trains(run, real, shares, space) for run in runs)}/{len(runs)}")
            rows.append((name, *(f"{share:g}" for share in shares), *counts))
    return table(
        (
            "feature space",
            "precision, share of real",
            "recall, share of real",
            *(NAMES[kind] for kind in kinds),
        ),
        rows,
    )


def only_vae_table(study: Record) -> str:
    """What the VAE has besides samples."""
    rows = []
    for lr in sorted({run["lr"] for run in select(study, "vae", "means")}):
        runs = select(study, "vae", "means", lr)
        keys = (("iwae", ".1f"), ("elbo", ".1f"), ("rate", ".1f"), ("sigma", ".3f"))
        cells = [mean_and_error((run.get(key) for run in runs), form) for key, form in keys]
        accuracy = mean_and_error((_percent(run.get("neighbours_accuracy")) for run in runs), ".1f")
        rows.append((f"VAE, lr {lr:g}", *cells, accuracy))
    ppca, pixels = study["ppca"], study["pixel_neighbours_accuracy"]
    rows.append(
        (
            "*probabilistic PCA, exact*",
            f"{ppca['log_likelihood']:.1f}",
            "",
            "",
            f"{ppca['sigma']:.3f}",
            f"{100 * pixels:.1f} (pixels)",
        )
    )
    return table(("", "log p(x): IWAE", "ELBO", "KL", "sigma", "5 neighbours, %"), rows)


def autoencoder_table(study: Record) -> str:
    """The vanilla autoencoder beside the VAE, at one learning rate."""
    rows = []
    lr = study["runs"][-1]["lr"]
    for samples, prior in (("means", "N(0, I)"), ("means, fitted normal", "fitted to the codes")):
        for model in ("autoencoder", "vae"):
            runs = select(study, model, samples, lr)
            keys = (("precision", ".2f"), ("recall", ".2f"), ("frechet", ".1f"), ("sharpness", ".2f"))
            cells = [mean_and_error((run[key] for run in runs), form) for key, form in keys]
            own = select(study, model, "means", lr)
            error = mean_and_error((run.get("reconstruction_error") for run in own), ".4f")
            accuracy = mean_and_error((_percent(run.get("neighbours_accuracy")) for run in own), ".1f")
            rows.append((NAMES[model, "means, fitted normal"], prior, *cells, error, accuracy))
    return table(
        (
            "model",
            "z from",
            "precision",
            "recall",
            "FD",
            "sharpness",
            "squared error, test",
            "5 neighbours, %",
        ),
        rows,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def run_line(results: Record) -> str:
    """Where and how long."""
    machine = results["machine"]
    return (
        f"Last full run: {results['wall_seconds'] / 60:.1f} minutes of wall time, "
        f"{results['cpu_seconds'] / 60:.1f} of CPU time, on one thread ({machine['processor']}, torch "
        f"{machine['torch']}, jensen {machine['jensen']})."
    )


TABLES: dict[str, Callable[[Record], str]] = {
    "quality": quality_table,
    "criterion": criterion_table,
    "only-vae": only_vae_table,
    "autoencoder": autoencoder_table,
}


def write_page(results: Record, places: Places) -> None:
    """Replace what is between the markers of the page; without a page, one of tables only is made."""
    texts = {"run": run_line(results)}
    for name, study in results["studies"].items():
        texts |= {f"{key} {name}": make(study) for key, make in TABLES.items()}
    places.page.parent.mkdir(parents=True, exist_ok=True)
    page = places.page.read_text() if places.page.exists() else ""
    for key, text in texts.items():
        begin, end = BEGIN.format(key), END.format(key)
        if begin not in page:
            page += f"\n{begin}\n{end}\n"
        before, rest = page.split(begin, 1)
        page = f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}"
    places.page.write_text(page)
    draw_scatter(results, places)
    print(f"written: {places.page}, {places.results}, {places.images}")


def draw_samples(shown: dict[str, Tensor], task: Task, places: Places) -> None:
    """One row of images for each model."""
    figure, axes = plt.subplots(len(shown), 1, figsize=(7.5, 0.75 * len(shown)), layout="constrained")
    for axis, (name, images) in zip(axes, shown.items(), strict=True):
        row = images.unflatten(1, (task.side, task.side))
        axis.imshow(row.permute(1, 0, 2).flatten(1).numpy(), cmap="gray_r", vmin=0, vmax=1)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axis.set(xticks=[], yticks=[])
    _save(figure, places, f"samples_{task.name}")


def draw_scatter(results: Record, places: Places) -> None:
    """Precision against recall, one mark a run."""
    studies = results["studies"]
    figure, axes = plt.subplots(
        1, len(studies), figsize=(4 * len(studies) + 1.5, 4), layout="constrained", squeeze=False
    )
    marks = {("vae", "means"): "o", ("vae", "draws"): "s", ("gan", "generator"): "^"}
    for axis, (name, study) in zip(axes[0], studies.items(), strict=True):
        real = study["controls"]["real training images"]
        for kind, mark in marks.items():
            rates = sorted({run["lr"] for run in select(study, *kind)})
            for lr, colour in zip(rates, ("#0072b2", "#e69f00", "#cc3311"), strict=True):
                runs = select(study, *kind, lr)
                points = [run["recall"] for run in runs], [run["precision"] for run in runs]
                label = f"{NAMES[kind]}, lr {lr:g}"
                axis.scatter(*points, marker=mark, color=colour, alpha=0.65, s=26, label=label, lw=0)
        axis.scatter(real["recall"], real["precision"], marker="*", color="black", s=90, label="real images")
        corner = RECALL_SHARE * real["recall"], PRECISION_SHARE * real["precision"]
        axis.plot([corner[0], corner[0], 1.02], [1.02, corner[1], corner[1]], color="grey", lw=0.8, ls="--")
        axis.set(title=name, xlabel="recall", ylabel="precision", xlim=(-0.03, 1.02), ylim=(-0.03, 1.02))
    axes[0, -1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    _save(figure, places, "precision_recall")


def _save(figure: Any, places: Places, name: str) -> None:
    places.images.mkdir(parents=True, exist_ok=True)
    figure.savefig(places.images / f"vae_vs_gan_{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)
