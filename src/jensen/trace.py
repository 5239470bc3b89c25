"""The contract between models and objectives. Read this first.

A model makes a `Trace`: one stochastic pass through encoder, latents and decoder. An objective sees
nothing but the trace. Legend, everywhere in jensen: ``K`` latent samples per datum, ``B`` data in a
batch, ``L`` latent groups, ``D`` data dimensions, ``M`` latent dimensions; logs in nats per datum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from jensen.checks import check_pair, check_shapes


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats where torch has the pair registered, else None. Shape: q's batch shape."""
    try:
        return kl_divergence(q, p)
    except IndexError:  # torch's formula does not broadcast, as that of Bernoulli variables
        return kl_divergence(q, p.expand(q.batch_shape))
    except NotImplementedError:
        return None


def anonymous(z: Tensor) -> Tensor:
    """The same draw as another object, which a distribution that remembers its draws does not know again.

    A flow, or a transform with a cache, answers ``log_prob`` of its own draw by what it remembers of making
    it. That is without gradient where the draw was, and goes past z where it was not.
    """
    return z.view_as(z)


def has_density(q: Distribution, z: Tensor) -> bool:
    """Whether ``q`` can say log q(z) of its draws ``z``; a point mass cannot."""
    try:
        q.log_prob(z)
    except NotImplementedError:
        return False
    return True


@dataclass(frozen=True)
class Trace:
    """One stochastic pass: z ~ q(z | x), with the three distributions that it went through.

    A plain VAE has one latent group (``L = 1``); a hierarchy has one tuple entry per group. The
    derived quantities are computed when asked for, so an objective pays only for what it uses.
    """

    x: Tensor
    """The data, ``[B, *event]``."""
    z: tuple[Tensor, ...]
    """Latent samples, each ``[K, B, M]``."""
    posterior: tuple[Distribution, ...]
    """q(z | x) of each group, batch shape ``[B]`` or ``[K, B]``."""
    prior: tuple[Distribution, ...]
    """p(z) of each group, batch shape broadcastable to ``[K, B]``."""
    likelihood: Distribution
    """p(x | z), batch shape ``[K, B]``."""
    pathwise: tuple[bool, ...]
    """Whether each group's z was drawn by reparameterization (gradients flow through z)."""
    context: Tensor | None = None
    """What a conditional model was conditioned on, ``[B, ...]``."""

    def __post_init__(self) -> None:
        """Every distribution has the shapes that are named above.

        Shapes alone are looked at, once a trace: a batch dimension too many would be summed or broadcast, and
        the bound be wrong without a word.

        Raises:
            ValueError: one has not; the message says which. Or a posterior is relaxed and its prior is not.
        """
        K, B = self.shape
        if len(self.x) != B:
            raise ValueError(f"x has {len(self.x)} rows, and z {B}, its second dimension; one row a datum")
        check_shapes("likelihood", self.likelihood, self.x.shape[1:], (K, B))
        for q, p, z in zip(self.posterior, self.prior, self.z, strict=True):
            check_shapes("posterior", q, z.shape[2:], (B,), (K, B))
            check_shapes("prior", p, z.shape[2:], (), (1,), (B,), (1, B), (K, 1), (K, B))
            check_pair(q, p)

    @property
    def shape(self) -> tuple[int, int]:
        """(K, B)."""
        K, B = self.z[0].shape[:2]
        return K, B

    @property
    def log_px(self) -> Tensor:
        """log p(x | z), ``[K, B]``, nats."""
        return self.likelihood.log_prob(self.x)

    @property
    def log_pz(self) -> Tensor:
        """log p(z), ``[K, B, L]``, nats."""
        return torch.stack([p.log_prob(z) for p, z in zip(self.prior, self.z, strict=True)], -1)

    @property
    def log_qz(self) -> Tensor:
        """log q(z | x), ``[K, B, L]``, nats."""
        return torch.stack([q.log_prob(z) for q, z in zip(self.posterior, self.z, strict=True)], -1)

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || p(z)) per group, ``[K, B, L]``, nats.

        The closed form where one is registered; elsewhere the one-sample Monte Carlo term
        ``log q(z | x) - log p(z)``, whose expectation is the KL (see `kl_is_exact`).
        """
        return self.kl_from(None)

    def kl_from(self, log_ratio: Tensor | None) -> Tensor:
        """`kl`, with ``log_qz - log_pz`` given by who has it, ``[K, B, L]``: flows take long over each."""
        terms = []
        for group, (q, p, z) in enumerate(zip(self.posterior, self.prior, self.z, strict=True)):
            term = closed_form_kl(q, p)
            if term is None:
                term = q.log_prob(z) - p.log_prob(z) if log_ratio is None else log_ratio[..., group]
            terms.append(term.expand(z.shape[:2]))
        return torch.stack(terms, -1)

    @property
    def kl_is_exact(self) -> tuple[bool, ...]:
        """For each group, whether `kl` is the closed form (True) or a Monte Carlo term (False)."""
        pairs = zip(self.posterior, self.prior, strict=True)
        return tuple(closed_form_kl(q, p) is not None for q, p in pairs)

    @property
    def has_density(self) -> bool:
        """Whether every group's posterior has a density; a point mass has none, and so no KL."""
        return all(map(has_density, self.posterior, self.z))

    @property
    def log_w(self) -> Tensor:
        """Log importance weight log p(x, z) - log q(z | x), ``[K, B]``, nats."""
        return self.log_px + (self.log_pz - self.log_qz).sum(-1)


def check_one_group(trace: Trace, what: str) -> None:
    """ValueError if the model has several latent groups, which ``what`` cannot deal with."""
    if len(trace.z) != 1:
        raise ValueError(
            f"the model has {len(trace.z)} latent groups, {what} needs one; the bounds of "
            "jensen.evaluation.importance_weighted allow several"
        )


@runtime_checkable
class Model(Protocol):
    """Anything that can trace data and sample new data. No base class: any object will do."""

    def posterior(self, x: Tensor, *, context: Tensor | None = None) -> tuple[Distribution, ...]:
        """q(z | x) of each latent group for ``x`` ``[B, *event]``.

        What it returns is only handed back to `trace` of the same model, many times for the same data: a
        hierarchy returns what its trace needs. Measures of one latent group look at the distribution.
        """
        ...

    def trace(
        self,
        x: Tensor,
        num_samples: int = 1,
        *,
        context: Tensor | None = None,
        pathwise: bool | Sequence[bool] = True,
        posterior: tuple[Distribution, ...] | None = None,
    ) -> Trace:
        """One stochastic pass over ``x`` ``[B, *event]`` with ``num_samples`` = K latent draws.

        With ``pathwise`` the draws are reparameterized where the posterior allows it; without, they
        carry no gradient (for score-function estimators); a sequence says it for each latent group.
        A given ``posterior`` replaces the model's.
        """
        ...

    def log_joint(self, x: Tensor, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Tensor:
        """log p(x, z) at given latents, each ``[K, B, M]``: ``[K, B]``, nats."""
        ...

    def sample(self, n: int, *, context: Tensor | None = None, mean: bool = False) -> Tensor:
        """``n`` new data ``[n, *event]``: true draws of p(x), or decoder means when ``mean``."""
        ...
