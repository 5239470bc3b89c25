"""Columns of very many levels: first a group of levels, then one of its members."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.distributions.column_layout import drawn


def group_size(levels: int) -> int:
    """S, members of a group: about as many as there are groups."""
    return math.ceil(math.sqrt(levels))


@dataclass(frozen=True, eq=False)
class Members:
    """The members of the groups of one column, given what a decoder says of them.

    ``P(c) = P(g) P(m | g)`` with ``g = c // S``, ``m = c % S`` (a hierarchical softmax: Goodman 2001), and
    ``log P(m | g) = b_gm + e_gm q - log sum_m exp(...)`` for a vector q of r numbers. So a probability costs
    ``G + S`` numbers, not G S: 448 in place of 50,000. P(g) is that of an ordinary column of G classes.

    Attributes:
        place: where the column is.
        table: e, ``[G, S, r]``.
        start: b, ``[G, S]``; -inf where a group has fewer than S members.
        query: q, ``[*batch, r]``.
    """

    place: int
    table: Tensor
    start: Tensor
    query: Tensor

    @property
    def size(self) -> int:
        """S."""
        return self.start.shape[1]

    def log_prob(self, codes: Tensor) -> Tensor:
        """log P(m | g) of levels ``[B]``, or of any shape that goes with the batch's: ``[*batch]``, nats."""
        shape = np.broadcast_shapes(self.query.shape[:-1], codes.shape)
        if codes.dim() > 1:  # codes that differ between samples
            codes = codes.expand(shape)
        codes = codes.reshape(-1)
        group, member = codes // self.size, codes % self.size
        # [K, B, r]: the groups' tables are not repeated K times.
        query = self.query.expand(*shape, -1).reshape(-1, len(codes), self.query.shape[-1])
        logits = torch.einsum("bsr,kbr->kbs", self.table.index_select(0, group), query) + self.start[group]
        picked = logits.gather(-1, member.expand(logits.shape[:-1])[..., None])[..., 0]
        return (picked - logits.logsumexp(-1)).reshape(shape)

    def log_prob_of_levels(self, levels: Tensor) -> Tensor:
        """log P(m | g) of each of ``levels`` ``[n]``: ``[*batch, n]``, nats."""
        found = self.query.new_empty(*self.query.shape[:-1], len(levels))
        for group in (levels // self.size).unique():
            here = levels // self.size == group
            found[..., here] = self._group(self.query, group).log_softmax(-1)[..., levels[here] % self.size]
        return found

    def draw(self, groups: Tensor, u: Tensor) -> Tensor:
        """A level of each group ``[*batch]``, drawn by uniform numbers: ``[*batch]`` of int64."""
        flat, query = groups.reshape(-1), self.query.expand(*groups.shape, -1).reshape(groups.numel(), -1)
        levels, u = torch.empty_like(flat), u.reshape(-1)
        for group in flat.unique():
            here = flat == group
            levels[here] = group * self.size + drawn(self._group(query[here], group), u[here])
        return levels.reshape(groups.shape)

    def likeliest(self, log_groups: Tensor) -> Tensor:
        """The likeliest level of all, ``[*batch]``, where ``log_groups`` ``[*batch, G]`` is log P(g)."""
        best = torch.full_like(log_groups[..., 0], -torch.inf)
        level = torch.zeros_like(best, dtype=torch.long)
        for group in range(len(self.start)):
            value, member = self._group(self.query, group).log_softmax(-1).max(-1)
            value = value + log_groups[..., group]
            level = torch.where(value > best, group * self.size + member, level)
            best = torch.maximum(value, best)
        return level

    def _group(self, query: Tensor, group: Tensor | int) -> Tensor:
        """Logits of the members of one group, ``[*batch, S]``."""
        return query @ self.table[group].T + self.start[group]
