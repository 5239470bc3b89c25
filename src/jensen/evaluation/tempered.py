"""How well common latents explain a row, rather than latents of its own."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import check_count
from jensen.data.seeds import seeded
from jensen.evaluation.score import log_prob_of_columns
from jensen.mode import in_blocks, measuring
from jensen.objectives.bounds import PowerMean

BLOCK = 1 << 18
"""Numbers of the data at a time, rows * K * D. A likelihood makes several of each; where they leave a
processor's cache, the columns of a table take twice the time."""


class Generator(Protocol):
    """A prior and a decoder, as `jensen.models.VAE` has them."""

    def prior(self) -> Distribution:
        """p(z)."""
        ...

    def likelihood(self, z: tuple[Tensor, ...]) -> Distribution:
        """p(x | z) at given latents."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """The weights, whose type the latents take."""
        ...


def tempered_score(
    model: Generator,
    blocks: Iterable[Tensor],
    powers: Sequence[float],
    num_samples: int = 500,
    *,
    log_det: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """``(1/t) log E_{z ~ p(z)} p(x | z)^t`` of each row, ``[T, N]``, nats: low where latents fail it.

    The power mean of the likelihood over the prior: log p(x) at t = 1, and ``E_{p(z)} log p(x | z)``, below
    it by Jensen's inequality, as t goes to 0. Equally, the maximum over q of ``E_q log p(x | z) - KL(q || p)
    / t``: the ELBO of a beta-VAE with beta = 1/t (Higgins et al. 2017). A small t makes rare latents
    expensive: a row gains little where the model, trained on it, has set a corner of its latents aside for
    it. For small t the integrand is smooth, so that draws from the prior, the same for all rows, suffice. A
    missing cell (NaN) adds nothing.

    Args:
        model: with ``prior()`` and ``likelihood(z)``.
        blocks: prepared rows, block after block.
        powers: T values of t, above 0.
        num_samples: K.
        log_det: added to every score, for nats of the data as given.
        seed: of the draws from the prior.
    """
    check_count("num_samples", num_samples)
    found = []
    with measuring(model):
        with seeded(seed):
            z = model.prior().sample((num_samples,)).to(next(iter(model.parameters())).dtype)
        p = model.likelihood((z[:, None],))  # [K, 1]: the same latents for all rows
        for block in in_blocks(blocks):
            for x in block.split(max(1, BLOCK // (num_samples * block[0].numel()))):
                missing = x.isnan()
                entries = log_prob_of_columns(p, torch.where(missing, 1.0, x))
                log_px = torch.where(missing, 0.0, entries).sum(-1).double()
                found.append(torch.stack([PowerMean(t)(log_px) for t in powers]))
    return torch.cat(found, 1).cpu() + log_det
