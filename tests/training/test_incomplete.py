"""Rows with cells hidden, from which an encoder learns to read incomplete ones."""

import torch

from jensen.training.incomplete import MOST, hide_cells
from tests.chance import within_chance


def test_each_row_hides_a_share_of_its_own() -> None:
    """In the mean MOST / 2 of the cells, and shares from none to MOST: a uniform draw for each row."""
    torch.manual_seed(0)
    x = torch.randn(400, 500)
    hidden = hide_cells(x)
    kept = ~hidden.isnan()
    assert torch.equal(hidden[kept], x[kept])
    shares = 1 - kept.double().mean(1)
    assert within_chance(shares, MOST / 2)
    assert shares.min() < 0.02
    assert MOST - 0.04 < shares.max() < MOST + 0.1
    assert not x.isnan().any(), "the rows given are as they were"
