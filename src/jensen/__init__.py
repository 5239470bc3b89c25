"""jensen: variational autoencoders for your own data, with numbers you can trust.

The rooms (``jensen.models``, ``jensen.objectives``, ...) are imported when first used, so that
``import jensen`` stays quick.
"""

import importlib
from types import ModuleType

from jensen._version import __version__
from jensen.errors import UserError

_ROOMS = (
    "config",
    "data",
    "distributions",
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

__all__ = ["UserError", "__version__", *_ROOMS]


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"jensen.{name}")
    raise AttributeError(f"module 'jensen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
