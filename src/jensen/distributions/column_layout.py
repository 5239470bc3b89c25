"""Where the columns of a table lie among a network's outputs."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from jensen.distributions.marginals import Marginals


class Layout(nn.Module):
    """The classes of every column of a table, one after the other, and where they are.

    The classes of a discrete column are its levels; those of a numeric one its atoms, then its K components.
    A softmax over each column's classes needs them side by side: columns of about the same number of classes
    share one padded tensor (a bucket), so that ten columns cost as few operations as one.

    Args:
        marginals: the scales of the numeric columns; None where there are none.
        numeric: the places of the numeric columns.
        discrete: the places of the discrete columns.
        levels: how many levels each discrete column has.
        atoms: how many atoms each numeric column has.
        num_components: K.
    """

    numeric: Tensor
    discrete: Tensor
    starts: Tensor
    mixtures: Tensor
    order: Tensor

    def __init__(
        self,
        marginals: Marginals | None,
        numeric: Sequence[int],
        discrete: Sequence[int],
        levels: Sequence[int],
        atoms: Sequence[int],
        num_components: int,
    ) -> None:
        super().__init__()
        self.marginals = marginals
        self.num_components = num_components
        self.size = len(numeric) + len(discrete)
        widths = [0] * self.size
        for place, count in zip(discrete, levels, strict=True):
            widths[place] = count
        for place, count in zip(numeric, atoms, strict=True):
            widths[place] = count + num_components
        ends = list(itertools.accumulate(widths))
        starts = torch.tensor([0, *ends[:-1]])
        self.num_classes = ends[-1]
        self._index("numeric", torch.tensor(numeric, dtype=torch.long))
        self._index("discrete", torch.tensor(discrete, dtype=torch.long))
        self._index("starts", starts)
        first = starts[list(numeric)] + torch.tensor(atoms, dtype=torch.long)
        self._index("mixtures", first[:, None] + torch.arange(num_components))
        self.buckets = self._buckets(widths, starts)

    def _index(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def _buckets(self, widths: Sequence[int], starts: Tensor) -> int:
        """Register, for each bucket, its columns and where their classes are (past the end: padding)."""
        by_size: dict[int, list[int]] = {}
        for place, width in enumerate(widths):
            by_size.setdefault(max(3, (width - 1).bit_length()), []).append(place)
        for number, places in enumerate(by_size.values()):
            most = torch.arange(max(widths[place] for place in places))
            own = torch.tensor([widths[place] for place in places])[:, None]
            where = starts[places][:, None] + most
            self._index(f"columns_{number}", torch.tensor(places))
            self._index(f"classes_{number}", torch.where(most < own, where, self.num_classes))
        # From the buckets' order of columns to the table's.
        self._index("order", torch.tensor(list(itertools.chain(*by_size.values()))).argsort())
        return len(by_size)

    def normalizers(self, logits: Tensor) -> Tensor:
        """log sum exp over the classes of each column: ``[*batch, W]`` -> ``[*batch, C]``."""
        return self._by_column(logits, lambda some: some.logsumexp(-1))

    def draw(self, logits: Tensor, u: Tensor) -> Tensor:
        """The number of a class of each column, by uniform numbers: ``[*batch, W], [*, C]`` -> ``[*, C]``."""
        columns = iter(u.index_select(-1, getattr(self, f"columns_{b}")) for b in range(self.buckets))
        return self._by_column(logits, lambda some: drawn(some, next(columns)))

    def likeliest(self, logits: Tensor) -> Tensor:
        """The number of each column's likeliest class: ``[*batch, W]`` -> ``[*batch, C]``."""
        return self._by_column(logits, lambda some: some.argmax(-1))

    def _by_column(self, logits: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        """``of`` each column's logits, which it reduces: ``[*batch, W]`` -> ``[*batch, C]``."""
        padded = torch.cat([logits, torch.full_like(logits[..., :1], -torch.inf)], -1)
        classes = [getattr(self, f"classes_{b}") for b in range(self.buckets)]
        # By `index_select`: twice as fast as brackets.
        found = [of(padded.index_select(-1, c.flatten()).unflatten(-1, c.shape)) for c in classes]
        return torch.cat(found, -1)[..., self.order]


def drawn(logits: Tensor, u: Tensor) -> Tensor:
    """A class drawn from the softmax of logits ``[*batch, W]``, by inversion: ``[*]``, the shape of u.

    The first class c with ``P(1) + ... + P(c) >= 1 - u``, u uniform on [0, 1) and of the batch's shape, or
    with more dimensions before it, so that no class of probability zero is drawn. It takes one random number
    for each column, where Gumbel noise takes one, and a logarithm, for each class.
    """
    share = logits.softmax(-1).cumsum(-1).expand(*u.shape, -1).contiguous()
    return torch.searchsorted(share, (1 - u).to(share.dtype)[..., None] * share[..., -1:])[..., 0]
