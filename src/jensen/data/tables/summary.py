"""What the cells of a column say of its type, gathered piece by piece."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.dates import STEPS, steps_of
from jensen.data.tables.forms import form_of_most, forms_of, with_rival
from jensen.data.tables.storage import can_compare, is_text, pandas_categories, without_nan

if TYPE_CHECKING:
    import pyarrow as pa

MOST_DISTINCT = 200_000
"""Different cells of a column that are kept while a table larger than memory is read."""
MOST_VALUES = 100_000
"""Its numbers that are kept, a uniform sample: for the median, where there are more."""
SOME = 1000
"""Different texts that are looked at where not all are dates, to tell whether most are."""


class Numbers:
    """Numbers ``[n]`` seen in pieces. All but the sample is exact.

    Args:
        most: values to keep, at least, drawn from all with equal probability; None for all of them.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.count = 0
        self.low, self.high = np.inf, -np.inf
        self.whole = self.ascending = True
        self.distinct = np.zeros(0)
        """The different values, where there are no more than two; else three of them."""
        self._last = -np.inf
        self._residuals = np.zeros(4)
        self._keys, self._limit = np.zeros(0), 1.0
        self._values: list[Array] = []
        self._draw = np.random.Generator(np.random.PCG64(0))

    def add(self, values: Array) -> None:
        """Take in more of them, float64 without NaN."""
        if len(values) == 0:
            return
        with np.errstate(invalid="ignore", over="ignore"):  # of infinite values, which are refused in the end
            self._add(values)

    def _add(self, values: Array) -> None:
        self.count += len(values)
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())
        if len(self.distinct) < 3:
            self.distinct = np.unique(np.concatenate([self.distinct, values]))[:3]
        self.whole = self.whole and bool((values == np.floor(values)).all())
        if self.ascending:
            self.ascending = bool(values[0] > self._last and (np.diff(values) > 0).all())
            self._last = values[-1]
        if not self.whole:
            for place, decimals in enumerate(range(1, 5)):
                scaled = values * 10.0**decimals
                # Of what is less than the step, relative to itself: 3e-8 is no multiple of 0.1.
                own = np.minimum(np.abs(scaled), 1.0)
                own[own == 0] = 1.0
                residual = (np.abs(scaled - scaled.round()) / own).max()
                self._residuals[place] = max(self._residuals[place], residual)
        self._sample(values)

    def _sample(self, values: Array) -> None:
        """Keep the values with the smallest of uniform keys: a sample of equal probabilities."""
        if self.most is None:
            self._values.append(values)
            return
        keys = self._draw.random(len(values))
        small = keys < self._limit
        self._keys = np.concatenate([self._keys, keys[small]])
        self._values = [np.concatenate([*self._values, values[small]])]
        if len(self._keys) > 2 * self.most:
            kept = np.argpartition(self._keys, self.most)[: self.most]
            self._keys, self._values = self._keys[kept], [self._values[0][kept]]
            self._limit = self._keys.max()

    @property
    def finite(self) -> bool:
        """Whether none is infinite."""
        return bool(np.isfinite([self.low, self.high]).all())

    @property
    def exact(self) -> bool:
        """Whether all are small enough for float64 to tell whole numbers apart."""
        return bool(max(abs(self.low), abs(self.high)) < 2**53)

    @property
    def median(self) -> float:
        """The median, of the sample where not all are kept."""
        return float(np.median(np.concatenate(self._values)))

    @property
    def step(self) -> float | None:
        """The power of ten, 0.0001 at least, of which all are multiples; None if there is none."""
        for decimals, residual in enumerate(self._residuals, 1):
            largest = float(max(abs(self.low), abs(self.high))) * 10.0**decimals
            if largest < 2**53 and residual <= 1e-6 * max(1.0, largest * 1e-6):
                return float(10.0**-decimals)
        return None


class Summary:
    """The cells of one column, seen in pieces.

    Args:
        name: of the column.
        kind: the Arrow type of its cells.
        bounded: whether to keep no more than `MOST_DISTINCT` and `MOST_VALUES`; else all.
        categories: whether the column was one of categories in pandas.
    """

    def __init__(
        self, name: str, kind: "pa.DataType", *, bounded: bool = False, categories: bool = False
    ) -> None:
        import pyarrow as pa

        self.name, self.kind, self.bounded, self.categories = name, kind, bounded, categories
        self.there = 0
        """Cells that are not missing."""
        self.levels: list[Any] = []
        """Of a dictionary column, the levels in their order."""
        self.forms: tuple[str, ...] | None = None
        """Of text, the forms of dates that all cells have."""
        self.steps: tuple[int, ...] = STEPS if pa.types.is_timestamp(kind) else ()
        """Of moments, the seconds that all are multiples of."""
        self._distinct: pa.Array | None = None
        self.too_many = False
        """Whether there are more different cells than were kept."""
        self.is_text = is_text(kind)
        counted = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean
        values = any(test(kind) for test in counted)
        self.numbers = Numbers(MOST_VALUES if bounded else None) if values else None

    @property
    def form(self) -> tuple[str, ...]:
        """Of text, the form of dates that all cells have, or most of the first; () where they are none.

        Then the form that all have too, and that makes other days of them, if there is one.
        """
        if not self.is_text or self._distinct is None:
            return ()
        if self.forms:
            return with_rival(self._distinct, self.forms)
        form = form_of_most(self._distinct.slice(0, SOME))
        return () if form is None else (form,)

    @property
    def cells(self) -> "pa.Array":
        """The different cells, as far as they are kept."""
        import pyarrow as pa

        return pa.nulls(0) if self._distinct is None else self._distinct

    @property
    def distinct(self) -> list[Any]:
        """The same as values of Python."""
        return list(self.cells.to_pylist())

    @property
    def num_distinct(self) -> int:
        """How many there are, or were kept."""
        return len(self.cells)

    def add(self, cells: "pa.Array") -> None:
        """Take in more cells."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not can_compare(self.kind):
            self.there += len(cells) - cells.null_count
            return
        if pa.types.is_dictionary(self.kind):
            known = set(self.levels)
            new = [
                level for level in cells.dictionary.to_pylist() if level is not None and level not in known
            ]
            self.levels += new
            cells = cells.dictionary_decode()
        there = pc.drop_null(without_nan(cells))
        if len(there) == 0:
            return
        self.there += len(there)
        if not self.too_many or (self.is_text and self.forms != ()):
            self._add_distinct(pc.unique(there))
        self.steps = steps_of(there, self.steps) if self.steps else ()
        if self.numbers is not None:
            values = pc.cast(there, pa.float64(), safe=False)
            self.numbers.add(values.to_numpy(zero_copy_only=False).astype(np.float64, copy=False))

    def _add_distinct(self, new: "pa.Array") -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.is_text:
            self.forms = forms_of(new, self.forms)
        if self.too_many:
            return
        old = self._distinct
        self._distinct = new if old is None else pc.unique(pa.concat_arrays([old, new]))
        self.too_many = self.bounded and len(self._distinct) > MOST_DISTINCT


def summarise(tables: "Iterable[pa.Table]", *, bounded: bool = False) -> list[Summary]:
    """Summaries of the columns of a table that comes in pieces, in the order of the first piece."""
    summaries: list[Summary] = []
    for table in tables:
        if not summaries:
            of_pandas = pandas_categories(table.schema)
            summaries = [
                Summary(field.name, field.type, bounded=bounded, categories=field.name in of_pandas)
                for field in table.schema
            ]
        for summary in summaries:
            summary.add(table[summary.name].combine_chunks())
    return summaries
