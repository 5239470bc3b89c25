"""Which name is offered for a word that is none."""

import pytest

from jensen.errors import did_you_mean, nearest

OPTIONS = ["--data-dir", "--lr", "--lr-schedule", "--latent-dim", "--schema", "--hide", "--hidden", "--out"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("--latentdim", "--latent-dim"),
        ("--latent_dim", "--latent-dim"),
        ("--lat", "--latent-dim"),
        ("--hid", "--hide"),
        ("--hidden-dims", "--hidden"),
        ("--learning-rate", "--lr"),
        ("--scheduler", "--lr-schedule"),
        ("--LR", "--lr"),
        ("--output", "--out"),
        ("-o", "--out"),
        ("--ema", None),
        ("--zzz", None),
        ("--dropout", None),
        ("--", None),
        ("", None),
    ],
)
def test_the_nearest_name(word: str, name: str | None) -> None:
    assert nearest(word, OPTIONS) == name
    assert did_you_mean(word, OPTIONS) == ("" if name is None else f" (did you mean {name}?)")
