"""What makes two runs the same: the settings and data that weights depend on, as one digest."""

import dataclasses
import hashlib
import json
from typing import Any

from jensen.config.settings import Settings

BEFORE = {
    "network": "mlp",
    "hidden": (200, 200),
    "posterior": "diagonal",
    "batch_size": 128,
    "lr": 1e-3,
    "lr_schedule": "plateau",
}
"""Defaults of an earlier jensen where today's differ: left out of a run's identity, as they were then."""
MOVED = "moved_from"
"""Where in `recorded` the path is that the data had when training began, if they have another now."""
FREE = ("epochs", "max_time", "patience", "device", "data_dir", "compile")
"""Settings that may differ between the sessions of one run: they do not change what an epoch computes, but
for rounding, and for the cosine schedule, which spreads over the epochs."""


def identity(settings: Settings, recorded: dict[str, Any]) -> str:
    """Digest of all in config.yaml that the weights depend on.

    A setting that has its default (or the one that it once had, its "was") is left out, so that a later
    jensen with one more setting still knows its older runs. The data are those of their digest, wherever
    they are now, so that their path is the one that training began with.
    """
    recorded = {**recorded}
    begun = settings.replace(data=recorded.pop(MOVED, settings.data))
    made = {
        field.name: str(value)
        for field in dataclasses.fields(begun)
        if field.name not in FREE
        and (value := getattr(begun, field.name)) != BEFORE.get(field.name, field.default)
    }
    content = json.dumps([made, recorded], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
