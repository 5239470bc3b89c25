"""The data of a run, from the settings that name them."""

from collections.abc import Callable

from jensen.config.settings import Settings
from jensen.data import Dataset, ImageOptions, binarize_static, load, parse_size
from jensen.data.labelling import give_labels
from jensen.data.tables.schema import Schema
from jensen.errors import UserError


def load_dataset(
    settings: Settings,
    schema: Schema | None = None,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Dataset:
    """The data that settings name, split by their seed, and drawn once if binarization is static.

    Args:
        settings: of the run.
        schema: of a table that was read before, so that its columns are read alike.
        on_choice: told of what takes long.
    """
    if not settings.data:
        raise UserError("no data given: name a data set (digits, mnist, ...), a file or a folder")
    dataset = load(
        settings.data,
        settings.data_dir,
        seed=settings.seed,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        schema=schema or settings.schema,
        on_choice=on_choice,
        images=ImageOptions(
            None if settings.size is None else parse_size(settings.size),
            True if settings.grey else None,
            settings.skip_bad,
        ),
    )
    if settings.binarize == "static":
        dataset = binarize_static(dataset)
    given = settings.condition and dataset.schema is None
    return give_labels(dataset, settings.condition) if given else dataset
