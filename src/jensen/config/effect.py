"""Options that do something only beside certain choices; elsewhere they are refused, not ignored."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from jensen.config.settings import Settings
from jensen.errors import UserError, as_typed, dashed

LAYERED = ("mlp", "conv", "resnet")
CATEGORICAL = ("categorical", "gumbel-softmax", "straight-through")

NEEDS: list[tuple[str, dict[str, tuple[str, ...]], str]] = [
    ("hidden", {"network": LAYERED}, "use --network mlp"),
    ("activation", {"network": LAYERED}, "use --network mlp"),
    ("sigma", {"variance": ("fixed",)}, "add --variance fixed"),
    ("rank", {"posterior": ("low-rank",)}, "add --posterior low-rank"),
    ("categories", {"posterior": CATEGORICAL}, "add --posterior categorical, say"),
    ("temperature", {"posterior": CATEGORICAL[1:]}, "add --posterior gumbel-softmax, say"),
    (
        "components",
        {"prior": ("mixture", "vamp"), "likelihood": ("discretized-logistic-mixture",)},
        "add --prior mixture, say",
    ),
    ("beta", {"bound": ("beta",)}, "add --bound beta"),
    ("free_bits", {"bound": ("free-bits",)}, "add --bound free-bits"),
    ("alpha", {"bound": ("renyi",)}, "add --bound renyi"),
    ("kl", {"bound": ("elbo",)}, "use --bound elbo"),
    ("baseline", {"estimator": ("score-function",)}, "add --estimator score-function"),
    (
        "backward_samples",
        {"estimator": ("doubly-reparameterized",)},
        "add --bound iwae --estimator doubly-reparameterized",
    ),
    ("hide", {"likelihood": ("columns",)}, "use it for a table with --likelihood columns"),
    ("hide", {"inference": ("amortized",)}, "use --inference amortized"),
    ("inner_steps", {"inference": ("two-tier", "semi-amortized")}, "add --inference semi-amortized, say"),
    ("inner_lr", {"inference": ("two-tier", "semi-amortized")}, "add --inference semi-amortized, say"),
]
"""Option, the choices of which one must be made for it to do anything, and how to make it do something."""
OFF = {"hide": 0.0, "baseline": "none"}
"""Values that ask for nothing, and are true of any model."""
DEFAULTS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Settings)}


def without_effect(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Each option given (it is not at its default) that does nothing: its name, why, and the mend.

    A choice that is still `auto` may become the one that is needed.
    """
    for name, needs, mend in NEEDS:
        value = getattr(settings, name)
        made = {choice: getattr(settings, choice) for choice in needs}
        served = any(made[choice] in ("auto", *allowed) for choice, allowed in needs.items())
        if served or value in (DEFAULTS[name], OFF.get(name)):
            continue
        beside = " and ".join(f"--{choice} {chosen}" for choice, chosen in made.items())
        said = f"{value:g}" if isinstance(value, float) else as_typed(value)
        yield name, f"{dashed(name)} {said} has no effect with {beside}", mend


def check_effect(settings: Settings) -> None:
    """Refuse an option that does nothing.

    Raises:
        UserError: the first one, beside which choice, and the mend.
    """
    for _, why, mend in without_effect(settings):
        raise UserError(f"{why}; {mend}, or leave it out")
