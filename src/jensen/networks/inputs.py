"""What stands between data of a special kind and a network."""

import torch
from torch import Tensor, nn


class Log1p(nn.Module):
    """``log(1 + x)``, which brings counts of all sizes to one scale."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(x)


class Beside(nn.Module):
    """A network of two inputs side by side: ``network([trunk(x), context])``.

    Args:
        network: ``[N, width of what the trunk makes of x + width of context] -> [N, ...]``.
        trunk: modules that read x before, one after the other, ``[N, *event] -> [N, width]``; none where x
            goes in as it is.
    """

    def __init__(self, network: nn.Module, *trunk: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.trunk = nn.Sequential(*trunk)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self.network(torch.cat([self.trunk(x), context], 1))
        return out


class NormalizedLog1p(nn.Module):
    """``log(1 + x s / N)`` with N the datum's total and s the median total: counts of equal exposure.

    Args:
        rows: counts ``[N, D]`` whose median total is s; saved with the weights. None: to be loaded.
    """

    median: Tensor

    def __init__(self, rows: Tensor | None = None) -> None:
        super().__init__()
        median = torch.ones(()) if rows is None else rows.sum(1).median()
        self.register_buffer("median", median.clamp_min(1).float())

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(x * (self.median / x.sum(-1, keepdim=True).clamp_min(1)))


class OneHot(nn.Module):
    """Category numbers ``[N, *event]`` -> indicators ``[N, *event, width]``.

    Args:
        width: the number of classes.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        index = x.long().clamp(0, self.width - 1)
        return nn.functional.one_hot(index, self.width).to(x.dtype)
