"""What a new run keeps of its data, beside its settings."""

from typing import Any

import torch

from jensen._version import __version__
from jensen.config.names import SUPPORT
from jensen.config.settings import Settings
from jensen.data import Dataset, fit_preparation
from jensen.data.dataset import describe


def record(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """What a run keeps of its data, of how they reach the model, and of the versions that made it."""
    preparation = fit_preparation(
        dataset,
        support=SUPPORT[settings.likelihood],
        binarize=settings.binarize,
        scaling=settings.scaling,
    )
    recorded: dict[str, Any] = {
        "jensen": __version__,
        "torch": str(torch.__version__),
        "data": describe(dataset) | {"name": settings.data},
        "preparation": preparation.to_dict(),
    }
    if dataset.schema is not None:
        recorded["schema"] = dataset.schema.to_dict()
    if dataset.features:
        recorded["features"] = list(dataset.features)
    return recorded
