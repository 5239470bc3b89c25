"""Settings that do not suit the data, refused before anything is trained, each with its remedy."""

from jensen.config.settings import Settings
from jensen.data import Dataset
from jensen.data.arrays import chunks
from jensen.data.tables.schema import Schema
from jensen.data.words import few
from jensen.errors import UserError, did_you_mean


def check_rows(settings: Settings, dataset: Dataset) -> None:
    """Refuse a likelihood that does not fit the kind of the data, a table or not.

    Raises:
        UserError: what does not fit, and the mend.
    """
    if settings.exposure != "none" and len(dataset.event_shape) != 1:
        raise UserError(
            f"--exposure {settings.exposure} is for rows of counts [N, D], and a datum of {dataset.name} has "
            f"the shape {dataset.event_shape}; leave it out, or make the array [N, D]"
        )
    if settings.likelihood == "columns":
        if dataset.schema is None:
            raise UserError(
                f"--likelihood columns is for tables, and {dataset.name} is none; leave --likelihood out"
            )
        _check_condition(settings.condition, dataset.schema)
        return
    if dataset.schema is None:
        return
    if settings.condition:
        raise UserError(
            f"--condition {','.join(settings.condition)}: this is for tables with --likelihood columns, and "
            f"{dataset.name} has --likelihood {settings.likelihood}; leave one of them out"
        )
    text = [column.name for column in dataset.schema.modelled if not column.numeric]
    if text:
        raise UserError(
            f"--likelihood {settings.likelihood} is for numbers, and column {text[0]!r} of {dataset.name} "
            "has categories; leave --likelihood out, or make the column's type ignore with --schema"
        )
    if any(bool(dataset.x[rows].isnan().any()) for rows in chunks(dataset.x)):
        raise UserError(
            f"--likelihood {settings.likelihood} needs complete rows, and {dataset.name} has missing cells; "
            "leave --likelihood out: the likelihood of columns models what is there"
        )


def _check_condition(condition: tuple[str, ...], schema: Schema) -> None:
    """Refuse conditions that are no modelled columns, or all of them."""
    names = [column.name for column in schema.modelled]
    for name in condition:
        left_out = next((c for c in schema.columns if c.name == name and not c.modelled), None)
        if left_out is not None:
            raise UserError(
                f"--condition {name}: this column is left out of the data (its type is {left_out.type}); "
                "give it another type with --schema, or leave it out of --condition"
            )
        if name not in names:
            raise UserError(
                f"--condition {name}: there is no such column{did_you_mean(name, names)}; the columns are "
                f"{few(names)}"
            )
    if set(condition) == set(names):
        raise UserError(
            "all columns are in --condition, which leaves none to model; leave one of them out of it"
        )
