"""Training: the loop and what it needs. It knows bounds and traces, and no concrete model.

Its modules are imported when first used: after ``import jensen``, ``jensen.training.loop.train`` is there.
"""

import importlib
import pkgutil
from typing import Any

_MODULES = sorted(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
