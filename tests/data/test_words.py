"""Counts and names in sentences."""

import pytest

from jensen.data.tables.schema import Column, Schema
from jensen.data.words import count, few


@pytest.mark.parametrize(
    ("number", "things", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1797, ("row",), "1,797 rows"),
        (2, ("category", "categories"), "2 categories"),
        (1, ("missing cell",), "1 missing cell"),
    ],
)
def test_a_count(number: int, things: tuple[str, ...], said: str) -> None:
    assert count(number, *things) == said


def test_a_name_with_a_comma_stays_one() -> None:
    assert few(["size, in cm", "weight", "'a, b'"]) == "'size, in cm', weight, 'a, b'"
    assert few([str(i) for i in range(1300)]) == "0, 1, 2, 3, 4, 5, and 1,294 more"
    schema = Schema((Column("size, in cm", "continuous", "double"), Column("weight", "continuous", "double")))
    assert schema.sentences() == ["2 columns: 2 continuous ('size, in cm', weight)"]
