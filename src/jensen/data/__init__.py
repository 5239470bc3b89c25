"""Data: sets found by name or in files, their splits, their preparation for a model, and writing rows.

``load`` gives a ``Dataset`` with rows exactly as stored; ``fit_preparation`` says how a model sees them
and how to come back; ``evaluation_blocks`` and ``write_rows`` are the two ends of the way.
"""

from jensen.data.arrays import image_layout
from jensen.data.binarized import binarize_static
from jensen.data.blocks import evaluation_blocks
from jensen.data.dataset import Dataset, load, load_rows
from jensen.data.domains import BINARIZE, SUPPORTS, check_domain
from jensen.data.fitting import SCALINGS, fit_preparation, match_preparation
from jensen.data.grid import image_grid
from jensen.data.images.decode import ImageOptions, parse_size
from jensen.data.named import NAMED
from jensen.data.preparation import Preparation
from jensen.data.python import store
from jensen.data.seeds import derive_seed, generator
from jensen.data.sources import absolute
from jensen.data.splits import SPLITS
from jensen.data.writers import WRITERS, check_suffix, row_writer, write_rows

__all__ = [
    "BINARIZE",
    "NAMED",
    "SCALINGS",
    "SPLITS",
    "SUPPORTS",
    "WRITERS",
    "Dataset",
    "ImageOptions",
    "Preparation",
    "absolute",
    "binarize_static",
    "check_domain",
    "check_suffix",
    "derive_seed",
    "evaluation_blocks",
    "fit_preparation",
    "generator",
    "image_grid",
    "image_layout",
    "load",
    "load_rows",
    "match_preparation",
    "parse_size",
    "row_writer",
    "store",
    "write_rows",
]
