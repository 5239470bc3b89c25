"""Libraries that jensen can do without, for the kinds of data that need one."""

import importlib
from typing import Any

from jensen.errors import UserError


def extra(module: str, source: str) -> Any:
    """A module of an optional library, imported now.

    Args:
        module: what to import, which is also what to install.
        source: the data that need it.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(
            f"{source} needs the package {module}, which is not installed: pip install {module}"
        ) from None
