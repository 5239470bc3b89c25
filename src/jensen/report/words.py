"""What the page says in words and tables."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from markupsafe import Markup

from jensen.config import Settings
from jensen.report.look import Look
from jensen.report.style import plain

TITLES = {"Plan": "Training"}
PAD = "\u2007"  # as wide as a digit: numbers with fewer decimals still align on the point


@dataclass(frozen=True)
class Row:
    """A line of the table of bounds."""

    name: str
    value: str
    error: str
    estimator: Markup
    better: str
    inner: bool = False
    """A part of the line above."""


def bounds(figures: dict[str, Any]) -> list[Row]:
    """The table of bounds: every figure with its standard error and its estimator."""
    k = figures["iwae"]["num_samples"]
    bits = figures.get("bits_per_dimension")
    names = {"elbo": "ELBO", "distortion": "distortion", "rate": "rate", "iwae": f"IWAE, K = {k:,}"}
    better = {"elbo": "larger", "distortion": "smaller", "rate": "–", "iwae": "larger"}
    pad = PAD if bits else ""  # bits have three decimals
    rows = []
    for key, estimator in _estimators(figures).items():
        value, error = _numbers(figures[key], 2)
        rows.append(
            Row(names[key], value + pad, error + pad, estimator, better[key], key in ("distortion", "rate"))
        )
    if bits:
        rows.append(
            Row(
                "bits/dim",
                *_numbers(bits, 3),
                Markup("−IWAE / (D log 2), bits for each dimension"),
                "smaller",
            )
        )
    return rows


def _estimators(figures: dict[str, Any]) -> dict[str, Markup]:
    k = figures["iwae"]["num_samples"]
    samples = "1 sample" if k == 1 else f"{k:,} samples"
    kl = "in closed form" if figures["rate"]["exact"] else f"by Monte Carlo, {samples} a row"
    return {
        "elbo": Markup("−(distortion + rate), a lower bound on log <i>p</i>(<i>x</i>)"),
        "distortion": Markup(
            "−E<sub><i>q</i></sub> log <i>p</i>(<i>x</i>|<i>z</i>), {} of <i>z</i> a row"
        ).format(samples),
        "rate": Markup("KL(<i>q</i>(<i>z</i>|<i>x</i>) ‖ <i>p</i>(<i>z</i>)), {}").format(kl),
        "iwae": Markup(
            "log of the mean of K weights <i>p</i>(<i>x</i>, <i>z</i>)/<i>q</i>(<i>z</i>|<i>x</i>), a "
            "tighter bound; effective sample size {}"
        ).format(plain(figures["iwae"]["effective_sample_size"], 1)),
    }


def _numbers(figure: dict[str, float], digits: int) -> tuple[str, str]:
    return plain(figure["value"], digits), plain(figure["standard_error"], digits)


def summary(look: Look) -> Markup:
    """What was trained, on what, and what came of it, for a reader who has not seen a VAE before."""
    run, data = look.run, look.run.recorded["data"]
    event = " × ".join(str(size) for size in run.event_shape)
    kind = f"images of {event}" if look.is_image else f"rows of {event} values"
    text = Markup(
        "A variational autoencoder with {} was trained on {:,} {} for {}; shown are the weights of epoch "
        "{:,}, the best on validation data. "
    ).format(
        _count(run.settings.latent_dim, "categorical latent" if look.walk is None else "latent dimension"),
        data["splits"]["train"],
        "rows of one value" if event == "1" else kind,
        _count(len(look.history), "epoch"),
        look.best_epoch,
    )
    return text + _likelihood(look.figures) + _latents(look.figures)


def _likelihood(figures: dict[str, Any]) -> Markup:
    elbo, gap = figures["elbo"]["value"], figures["iwae"]["value"] - figures["elbo"]["value"]
    if not math.isfinite(elbo):
        return Markup("Its posterior has no density, so there is no bound on the log-likelihood of a row.")
    text = Markup(
        "On {}, which it never saw, the ELBO puts the mean log-likelihood at <b>{}</b> ± {} nats or more"
    ).format(_count(figures["n"], "test row"), *_numbers(figures["elbo"], 2))
    if gap > 0:
        text += Markup(
            ", and the importance-weighted bound at <b>{}</b> ± {} or more. So {} nats of the ELBO’s slack, "
            "the Jensen gap, are accounted for; how much is left is not known"
        ).format(*_numbers(figures["iwae"], 2), plain(gap))
    return text + "."


def _latents(figures: dict[str, Any]) -> Markup:
    text = Markup("")
    if math.isfinite(figures["rate"]["value"]):
        text = Markup(" The latents carry {} nats a row.").format(plain(figures["rate"]["value"]))
    if figures["n"] == 1:  # which has no variance, so no dimension can be called active
        return text
    latents = figures["latents"]
    return text + Markup(" Active latent dimensions: {} of {}.").format(
        latents["active"], latents["active"] + latents["collapsed"]
    )


def _count(number: int, what: str) -> str:
    return f"one {what}" if number == 1 else f"{number:,} {what}s"


def settings_groups(settings: Settings) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Title and (name, value, whether it differs from the default) of every setting."""
    default, shown = Settings(), set[str]()
    groups: list[tuple[str, list[tuple[str, str, bool]]]] = []
    for kind in reversed(Settings.__mro__):
        names = (
            [field.name for field in fields(kind) if field.name not in shown] if is_dataclass(kind) else []
        )
        shown.update(names)
        if names and kind is Settings:  # the few that are none of its parts' own
            groups[-1][1].extend(_setting(settings, default, name) for name in names)
        elif names:
            title = TITLES.get(kind.__name__, kind.__name__.removesuffix("Settings"))
            groups.append((title, [_setting(settings, default, name) for name in names]))
    return groups


def _setting(settings: Settings, default: Settings, name: str) -> tuple[str, str, bool]:
    value = getattr(settings, name)
    words = ", ".join(map(str, value)) if isinstance(value, tuple) else "–" if value is None else str(value)
    changed = getattr(default, name) not in (value, "auto")
    return name.replace("_", "-"), words, changed


def recorded(look: Look) -> list[tuple[str, str]]:
    """What was found in the data and decided, as (name, value)."""
    record, data, preparation = look.run.recorded, look.run.recorded["data"], look.preparation
    affine = (
        "none"
        if preparation.binary
        else f"x = (given − {_span(preparation.shift)}) / {_span(preparation.scale)}"
    )
    return [
        ("data", str(data["name"])),
        ("shape", " × ".join(f"{size:,}" for size in data["shape"])),
        ("dtype", str(data["dtype"])),
        ("value range", " to ".join(f"{value:g}" for value in data["value_range"])),
        ("splits", ", ".join(f"{name} {rows:,}" for name, rows in data["splits"].items())),
        ("binarization", preparation.binarize),
        ("dequantization", "uniform" if preparation.dequantize else "none"),
        ("scaling", affine),
        ("training", f"{len(look.history):,} epochs, {_duration(look.history[-1].get('seconds', math.nan))}"),
        ("versions", f"jensen {record.get('jensen', '?')}, torch {record.get('torch', '?')}"),
        ("digest", str(data["digest"])),
    ]


def _span(values: Any) -> str:
    if values.ndim == 0:
        return f"{float(values):.4g}"
    return f"[{float(values.min()):.4g} … {float(values.max()):.4g}, one for each of {values.numel():,}]"


def _duration(seconds: float) -> str:
    if seconds != seconds:
        return "time not recorded"
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
