"""The figures of the epochs as lines of JSON: metrics.jsonl."""

import json
from math import nan
from pathlib import Path
from typing import Any

from jensen.errors import UserError

Record = dict[str, Any]
"""The figures of one epoch, one line of metrics.jsonl."""


def as_lines(history: list[Record]) -> bytes:
    """JSON lines; NaN, which JSON lacks, as null (the rate of a point posterior, which has none)."""
    strict = [{k: None if v != v else v for k, v in line.items()} for line in history]
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in strict).encode()


def read_lines(path: Path, mend: str) -> tuple[bytes, list[Record]]:
    """A file of them, as it is and as records.

    Raises:
        UserError: it is missing or damaged, and ``mend``.
    """
    try:
        content = path.read_bytes()
        lines: list[Record] = [json.loads(line) for line in content.splitlines()]
        return content, [{k: nan if v is None else v for k, v in line.items()} for line in lines]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); {mend}") from None
    except (AttributeError, ValueError):
        raise UserError(f"{path} is truncated or damaged; {mend}") from None
