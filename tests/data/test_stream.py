"""Rows on disk: read like a tensor, split by a rule, streamed in random order with every row once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from jensen.data import stored
from jensen.data.shares import GRAIN, Share, draw_distinct
from jensen.data.stored import Stored
from jensen.data.stream import RowStream
from jensen.errors import UserError
from tests.chance import within_chance

N = 3 * GRAIN + 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows ``[N, 3]`` that begin with their number."""
    file = tmp_path_factory.mktemp("stored") / "x.npy"
    x = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    x[:, 0] = np.arange(N)
    np.save(file, x)
    return file


@pytest.mark.parametrize(("gap", "most"), [(stored.GAP, stored.MOST), (20, 300)])
def test_rows_on_disk_are_read_like_a_tensor(
    path: Path, monkeypatch: pytest.MonkeyPatch, gap: int, most: int
) -> None:
    monkeypatch.setattr(stored, "GAP", gap)
    monkeypatch.setattr(stored, "MOST", most)
    rows_on_disk, x = Stored(path), torch.from_numpy(np.load(path))
    assert rows_on_disk.shape == tuple(x.shape)
    assert rows_on_disk.dtype == x.dtype
    assert len(rows_on_disk) == len(x)
    for rows in (slice(0, 0), slice(5, 900), slice(N - 3, N + 9), slice(None)):
        assert torch.equal(rows_on_disk[rows], x[rows])
    places = torch.randperm(N)[:500]
    for numbers in (
        places,
        places.sort().values,
        torch.tensor([7, 7, 0]),
        torch.tensor([], dtype=torch.long),
    ):
        assert torch.equal(rows_on_disk[numbers], x[numbers])


def test_what_is_read_together_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST", 1000)
    rows_on_disk, lengths = Stored(path), []
    read = rows_on_disk._read
    monkeypatch.setattr(
        rows_on_disk, "_read", lambda start, stop: lengths.append(stop - start) or read(start, stop)
    )
    assert len(rows_on_disk[torch.arange(0, N, 7)]) == -(-N // 7)
    assert max(lengths) * 12 <= 1000


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_images_of_any_dtype_are_read(tmp_path: Path, dtype: type) -> None:
    x = np.random.default_rng(0).integers(0, 200, (30, 4, 5)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    assert torch.equal(Stored(tmp_path / "x.npy")[torch.tensor([29, 3])], torch.from_numpy(x[[29, 3]]))


def test_a_file_that_is_cut_short_or_gone_is_said(tmp_path: Path, path: Path) -> None:
    cut = tmp_path / "cut.npy"
    cut.write_bytes(path.read_bytes()[:-8])
    rows_on_disk = Stored(cut)
    with pytest.raises(UserError, match="cut short"):
        rows_on_disk[N - 5 :]
    cut.unlink()
    with pytest.raises(UserError, match="cannot read"):
        rows_on_disk[:5]
    with pytest.raises(UserError, match="holds no rows"):
        Stored(cut)


def test_shares_are_a_partition_in_proportion() -> None:
    bounds = {"test": (0.0, 0.1), "validation": (0.1, 0.3), "train": (0.3, 1.0)}
    shares = {name: Share(N, 5, *ends) for name, ends in bounds.items()}
    listed = {name: share[:] for name, share in shares.items()}
    assert torch.equal(torch.cat(list(listed.values())).sort().values, torch.arange(N))
    for name, (low, high) in bounds.items():
        member = torch.zeros(N).double()
        member[listed[name]] = 1
        assert within_chance(member, high - low, tests=3)
        share, numbers = shares[name], listed[name]
        assert len(share) == len(numbers)
        assert torch.equal(numbers, numbers.sort().values)
        places = torch.randint(len(share), (300,))
        assert torch.equal(share[places], numbers[places])
        assert torch.equal(share[100:9000], numbers[100:9000])
        assert torch.equal(torch.cat(list(share.split(999))), numbers)
    assert not torch.equal(Share(N, 6, 0.0, 0.1)[:], listed["test"])
    assert torch.equal(Share(N)[:], torch.arange(N))


def numbers_of(stream: RowStream, epoch: int = 0, seed: int = 0, batch_size: int = 100) -> torch.Tensor:
    pieces = list(stream.pieces(batch_size, torch.Generator().manual_seed(seed), epoch))
    assert all(len(order) % batch_size == 0 for _, order in pieces[:-1])
    assert all(len(order) for _, order in pieces)
    return torch.cat([rows[order] for rows, order in pieces])[:, 0].long()


def test_an_epoch_has_every_row_once_in_random_order(path: Path) -> None:
    stream = RowStream(Stored(path), Share(N, 1, 0.2, 1.0), seed=3)
    rows = Share(N, 1, 0.2, 1.0)[:]
    found = numbers_of(stream)
    assert len(stream) == len(rows)
    assert torch.equal(found.sort().values, rows)
    shift = (found[1:] - found[:-1]).abs().double()
    assert within_chance(shift[::2], len(rows) / 3 / 0.8), "neighbours are as far apart as independent draws"
    assert torch.equal(found, numbers_of(stream))
    assert not torch.equal(found, numbers_of(stream, epoch=1, seed=1))
    other = RowStream(Stored(path), Share(N, 1, 0.2, 1.0), seed=4)
    assert not torch.equal(found, numbers_of(other))


def test_bounded_epochs_go_through_all_rows_before_any_comes_again(path: Path) -> None:
    rows = Share(N, 1, 0.2, 1.0)
    stream = RowStream(Stored(path), rows, seed=3, epoch_rows=1000)
    epochs = [numbers_of(stream, epoch, seed=epoch) for epoch in range(12)]
    assert all(900 < len(found) <= 1000 for found in epochs)
    together = torch.cat(epochs)
    first = together[: len(rows)]
    assert len(first) == len(rows)
    seen, counts = first.unique(return_counts=True)
    assert len(seen) > 0.98 * len(rows), "but for the block in which the passes meet"
    assert counts.max() <= 2
    assert torch.equal(epochs[7], numbers_of(stream, 7, seed=7)), "an epoch depends on its number alone"


def test_rows_in_memory_stream_as_those_on_disk_do(path: Path) -> None:
    x, rows = torch.from_numpy(np.load(path)), torch.arange(0, N, 2)
    streams = [RowStream(some, rows, 1, 1000) for some in (x, Stored(path))]
    assert torch.equal(*(numbers_of(stream) for stream in streams))


def test_few_of_many_numbers_are_drawn_without_listing_all() -> None:
    n = 1 << 40
    found = draw_distinct(n, 1000, torch.Generator().manual_seed(0))
    assert len(found.unique()) == 1000
    assert within_chance(found.double() / n, 0.5)
    assert draw_distinct(10, 20, torch.Generator().manual_seed(0)).sort().values.tolist() == list(range(10))
