"""The folder of a new run: whether it is free, and what is written there and taken from it."""

import contextlib
from pathlib import Path

from jensen.config.settings import write_config
from jensen.data.tables.edits import write_schema
from jensen.data.tables.schema import Schema
from jensen.errors import UserError
from jensen.run import WRITTEN, Run

REPLACED = ("report.html", "schema.yaml", "reference.safetensors", *WRITTEN)
"""The files of a run's folder, of which none outlives the run."""


def check_free(out: Path) -> None:
    """Refuse a folder that holds a run, or a file that a run would replace and that no run has written.

    Raises:
        UserError: which.
    """
    if any((out / name).exists() for name in WRITTEN):
        raise UserError(
            f"{out} already holds a run; add --overwrite to replace it, or --resume {out} to go on"
        )
    for name in ("schema.yaml", "report.html"):
        if (out / name).exists():
            raise UserError(
                f"{out / name} is there, and is not a run's: a run would replace it; give another --out, or "
                "add --overwrite"
            )


def holds_any(out: Path) -> bool:
    """Whether a new run in this folder replaces anything."""
    return any((out / name).exists() for name in REPLACED)


def begin(run: Run, schema: Schema | None) -> None:
    """Make a run's folder without what an earlier run has written there, with what is known before training.

    Raises:
        UserError: it cannot be written.
    """
    try:
        (run.path / "checkpoint").mkdir(parents=True, exist_ok=True)
        for old in REPLACED:
            (run.path / old).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write in the folder {run.path}: {error.strerror}; choose another with --out"
        ) from None
    write_config(run.config, run.settings, run.recorded)
    if schema is not None:
        write_schema(run.path / "schema.yaml", schema)


def take_back(out: Path) -> None:
    """Undo `begin` for a run of which no epoch was done."""
    with contextlib.suppress(OSError):
        for name in ("config.yaml", "schema.yaml"):
            (out / name).unlink(missing_ok=True)
        (out / "checkpoint").rmdir()
        out.rmdir()  # fails where something else is in it
