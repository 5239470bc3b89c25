"""The curves of training."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from jensen.report.look import Look
from jensen.report.style import (
    ACCENT,
    INK,
    MUTED,
    WIDTH,
    Picture,
    canvas,
    counted,
    plain,
    to_svg,
    whole_ticks,
)

UNSETTLED = 0.1
"""Share of the epochs, from the first, that may be left outside a panel."""
STRETCH = 1.5
"""They are, when they would make its range so many times larger."""
BOUND_NAMES = {"elbo": "ELBO", "iwae": "IWAE bound", "reconstruction": "E log p(x|z)"}


def curves(look: Look) -> Picture:
    """Bound (training and validation), distortion and rate (validation) against the epoch."""
    lines, settings = look.history, look.run.settings
    epochs = [line["epoch"] for line in lines]
    shown = [
        (
            f"{BOUND_NAMES.get(settings.bound, settings.bound)}, larger is better",
            ["train_bound", "validation_bound"],
        ),
        ("distortion, smaller is better", ["validation_distortion"]),
        ("rate", ["validation_rate"]),
    ]
    if not all(math.isfinite(line["validation_rate"]) for line in lines):  # a posterior without density
        del shown[-1]
    figure, axes = canvas(WIDTH, 300, 1, len(shown), width_ratios=[1.7, 1, 1][: len(shown)])
    cut = False
    for ax, (title, keys) in zip(axes, shown, strict=True):
        series = [[line[key] for line in lines] for key in keys]
        for key, values in zip(keys, series, strict=True):
            training = key == "train_bound"
            ax.plot(
                epochs,
                values,
                color=MUTED if training else ACCENT,
                linewidth=1.3 if training else 1.8,
                label="training" if training else "validation",
                marker="o" if len(lines) == 1 else "",
            )
        low, high, clipped = settled_range(series, look.best_epoch)
        cut |= clipped
        ax.set(title=title, xlabel="epoch", ylim=(low, high))
        ax.axvline(look.best_epoch, color=INK, linewidth=1, linestyle=(0, (2, 3)))
        ax.plot(
            look.best_epoch, series[-1][look.best_epoch - 1], "o", color=ACCENT, markersize=5, clip_on=False
        )
        whole_ticks(ax)
    axes[0].set_ylabel("nats per datum")
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0, borderaxespad=0.3)
    over = f"Training curves over {counted(len(lines), 'epoch')}"
    alt = f"{over}; the best validation bound is at epoch {look.best_epoch}."
    return Picture(_caption(look, cut), svg=to_svg(figure, "curves", alt))


def settled_range(series: Sequence[Sequence[float]], best: int) -> tuple[float, float, bool]:
    """The range of an axis that shows how training settles: low, high, whether first epochs lie outside.

    The ``best`` epoch, from 1, never does, since it is marked.
    """
    first = math.ceil(len(series[0]) * UNSETTLED) if len(series[0]) > 4 else 0
    first = min(first, best - 1)
    everything = [value for values in series for value in values if math.isfinite(value)]
    settled = [value for values in series for value in values[first:] if math.isfinite(value)]
    if not settled:
        return 0.0, 1.0, False
    spread = max(settled) - min(settled)
    clipped = max(everything) - min(everything) > STRETCH * spread
    kept = settled if clipped else everything
    margin = 0.08 * (max(kept) - min(kept)) or 0.5
    return min(kept) - margin, max(kept) + margin, clipped


def _caption(look: Look, cut: bool) -> Markup:
    settings, best = look.run.settings, look.history[look.best_epoch - 1]["validation_bound"]
    samples = "one latent sample" if settings.num_samples == 1 else f"{settings.num_samples} latent samples"
    words: list[Markup | str] = [
        Markup(
            "The weights of the marked epoch, <b>{}</b>, were kept: the best validation bound, {} nats. "
            "Each value is a mean over rows with {} per row, in nats per datum of the data as given."
        ).format(look.best_epoch, plain(best), samples)
    ]
    words.append(
        "The training curve is the mean over the epoch, while the weights were still moving, so it may lie "
        "below the validation curve at first; if it rises well above, the model learns its rows by heart."
    )
    if settings.kl_warmup:
        words.append(
            f"During the first {settings.kl_warmup} epochs the KL was weighted by less than 1: there the "
            "training curve is no bound on log p(x)."
        )
    if cut:
        words.append("The first epochs lie outside the frame.")
    return Markup(" ").join(words)
