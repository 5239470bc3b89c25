"""jensen: variational autoencoders for your own data, with numbers you can trust.

For scikit-learn users: ``VariationalAutoencoder``, ``VAEImputer`` and ``VAEOutlierDetector``. For
researchers, the parts: ``jensen.models.VAE`` takes a prior, an encoder and a decoder; ``jensen.objectives``
has the bounds on log p(x) and the estimators of their gradients; ``jensen.training.loop.train`` trains, and
``jensen.evaluation`` measures. Log quantities are in nats per datum; of a bound, larger is better.

The subpackages are imported when first used, so that ``import jensen`` stays quick.
"""

import importlib
from typing import Any

from jensen._version import __version__
from jensen.errors import UserError

_ROOMS = (
    "config",
    "data",
    "distributions",
    "estimator",
    "evaluation",
    "families",
    "figures",
    "models",
    "networks",
    "objectives",
    "priors",
    "recipes",
    "report",
    "run",
    "scores",
    "session",
    "trace",
    "training",
)

_ESTIMATORS = ("VAEImputer", "VAEOutlierDetector", "VariationalAutoencoder")

__all__ = ["UserError", "__version__", *_ESTIMATORS, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return getattr(importlib.import_module("jensen.estimator"), name)
    if name in _ROOMS:
        return importlib.import_module(f"jensen.{name}")
    raise AttributeError(f"module 'jensen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
