"""What the page says in words and tables."""

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from jensen.config import Settings
from jensen.config.effect import DEFAULTS
from jensen.config.help import sections
from jensen.config.settings import CHOSEN, as_yaml, left_to_jensen
from jensen.figures.lines import conditions, measured, stands_for
from jensen.report.look import Look
from jensen.report.style import counted, plain
from jensen.report.table import numbers
from jensen.run import Run


def summary(look: Look) -> Markup:
    """What was trained, on what, and what came of it, for a reader who has not seen a VAE before."""
    run, data = look.run, look.run.recorded["data"]
    event = _times(run.event_shape)
    kind = f"images of {_image_size(look)}" if look.is_image else f"rows of {event} values"
    text = Markup(
        "A variational autoencoder with {} was trained on {:,} {} for {}; shown are the weights of epoch "
        "{:,}, the best on validation data. "
    ).format(
        counted(run.settings.latent_dim, "categorical latent" if look.walk is None else "latent dimension"),
        data["splits"]["train"],
        "rows of one value" if event == "1" else kind,
        counted(len(look.history), "epoch"),
        look.best_epoch,
    )
    given = conditions(run.settings)
    if given:
        text += Markup(
            "It is conditional on {}: p(x) stands for {}, the probability of all else given {}, here and in "
            "every figure. "
        ).format(" and ".join(given), stands_for(look.figures), "it" if len(given) == 1 else "these")
        if run.settings.exposure == "total":
            text += "The total is that of a row’s counts. "
    return text + _likelihood(look.figures) + _latents(look.figures)


def _likelihood(figures: dict[str, Any]) -> Markup:
    if not measured(figures, "elbo"):
        return Markup("Its posterior has no density, so there is no bound on the log-likelihood of a row.")
    text = Markup(
        "On {}, which it never saw, the ELBO puts the mean log-likelihood at <b>{}</b>{} nats or more"
    ).format(counted(figures["n"], "test row"), *_measured(figures["elbo"]))
    gap = figures["iwae"]["value"] - figures["elbo"]["value"]
    if gap > 0:
        text += Markup(", and the importance-weighted bound at <b>{}</b>{} or more").format(
            *_measured(figures["iwae"])
        )
    if measured(figures, "amortization_gap") and measured(figures, "approximation_gap"):
        return text + Markup(
            ". Of the ELBO’s slack, the Jensen gap, {}{} nats are the encoder’s (amortization gap) and "
            "{}{} or more are the posterior family’s (approximation gap)."
        ).format(*_measured(figures["amortization_gap"]), *_measured(figures["approximation_gap"]))
    if gap > 0:
        text += Markup(
            ". So {} nats of the ELBO’s slack, the Jensen gap, are accounted for; how much is left is "
            "not known"
        ).format(plain(gap))
    return text + "."


def _measured(figure: dict[str, float]) -> tuple[str, str]:
    """A value, and its standard error where it has one: one row has none."""
    value, error = numbers(figure)
    return value, f" ± {error}" if math.isfinite(figure["standard_error"]) else ""


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


def _times(sizes: Sequence[int]) -> str:
    """Sizes as a product that no line break parts."""
    return "\u00a0×\u00a0".join(f"{size:,}" for size in sizes)


def _image_size(look: Look) -> str:
    """Width and height of an image, and its channels where they are more than one."""
    shape, layout = look.run.event_shape, look.layout or "HW"
    sizes = dict(zip(layout, shape, strict=True))
    channels = sizes.get("C", 1)
    return _times((sizes["W"], sizes["H"])) + (f" in {channels} channels" if channels > 1 else "")


def settings_groups(run: Run) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Title and (name, value, whether it was given and is not the default) of every setting."""
    groups = sections(Settings).items()
    return [(title.capitalize(), [_setting(run, name) for name in names]) for title, names in groups if names]


def _setting(run: Run, name: str) -> tuple[str, str, bool]:
    value, usual = getattr(run.settings, name), DEFAULTS[name]
    if isinstance(value, bool):
        words = "yes" if value else "no"
    elif isinstance(value, tuple):
        words = ", ".join(map(str, value)) or "–"
    else:
        words = "–" if value is None else str(value)
    if CHOSEN in run.recorded:
        chosen = left_to_jensen(name, as_yaml(run.settings)[name], run.recorded[CHOSEN])
        given = value != usual and not chosen
    else:  # by an earlier jensen, which did not record whether a default was replaced by it or by the user
        given = usual not in (value, "auto", None)
    return name.replace("_", "-"), words, given


def recorded(look: Look) -> list[tuple[str, str]]:
    """What was found in the data and decided, as (name, value)."""
    record, data, preparation = look.run.recorded, look.run.recorded["data"], look.preparation
    shape = _times(data["shape"])
    if look.is_image:
        shape = f"{data['shape'][0]:,} images of {_image_size(look)}"
    found = [
        ("data", str(data["name"])),
        ("shape", shape),
        ("splits", ", ".join(f"{name} {rows:,}" for name, rows in data["splits"].items())),
    ]
    if look.run.schema is None:  # of a table's columns, each has its own
        ends = preparation.pictured or data["value_range"]
        affine = f"x = (given − {_span(preparation.shift)}) / {_span(preparation.scale)}"
        found += [
            ("dtype", str(data["dtype"])),
            *([("black to white", " to ".join(f"{value:g}" for value in ends))] if look.is_image else []),
            ("binarization", preparation.binarize),
            ("dequantization", "uniform" if preparation.dequantize else "none"),
            ("scaling", "none" if preparation.binary else affine),
        ]
    return [
        *found,
        (
            "training",
            f"{counted(len(look.history), 'epoch')}, {_duration(look.history[-1].get('seconds', math.nan))}",
        ),
        ("versions", f"jensen {record.get('jensen', '?')}, torch {record.get('torch', '?')}"),
        ("digest", str(data["digest"])),
    ]


def _span(values: Any) -> str:
    if values.ndim == 0:
        return f"{float(values):.4g}"
    return f"[{float(values.min()):.4g} … {float(values.max()):.4g}, one for each of {values.numel():,}]"


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "time not recorded"
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
