"""Natural-gradient steps of an inner maximisation: for normal posteriors, diagonal or of full covariance."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from jensen.trace import Model
from jensen.training.start import Family

WHOLE = 0.1
"""The step size ``lr`` from which on a natural step, which has a scale of its own, is taken whole."""
FARTHEST = 0.5
"""Standard deviations that the mean may move in a step, root mean square over dimensions. Far from the
maximum, where q is much too wide, a whole step would end far beyond it."""
MOST_DIAGONAL, MOST_FULL = 0.25, 1.0
"""How far a step may change the scale of a diagonal posterior (each log standard deviation) and of a full one
(the log covariance, in Frobenius' norm). Larger ones diverge from the prior's scale at M = 20."""
LARGEST_CURVATURE = 256
"""Up to so many latents the curvature of each datum of a diagonal posterior, M^2 numbers, is learned."""
CUT = 0.5
"""What the share of the step is multiplied by, of a datum without a significant gain."""
DAMPING = 0.1
"""Added to the curvature, in units of q, before the mean's step is divided by it."""


class NaturalSteps:
    """Natural gradient ascent of each datum's ELBO over the mean m and covariance S = L L' of a normal q.

    In the coordinates ``z = m + L e``, where the Fisher information of m is I, and with
    ``u(e) = L' d/dz log p(x, z) + e``, the slope of log w at q held fixed (zero at the exact posterior):

        ``m += L E[u]``,  ``S <- L exp(G) L'``,  ``G = E[u e' + e u']/2``, of a diagonal q its diagonal

    (Tan 2021, "Analytic natural gradient updates for Cholesky factor"; exp to second order, which keeps S
    positive definite). For a normal model this is Newton's method: neither scale nor rotation of the
    posterior slows it down, where Adam on the raw outputs has to crawl.

    Three things make few draws do. They come in pairs e, -e, so that the mean's slope has no noise in a
    quadratic log p(x, z). Their directions are orthogonal, within and across steps, until all M are used. And
    for a diagonal q, whose u does not vanish at its best, the curvature ``J = -E[d^2/dz^2 log p(x, z)]`` is
    learned by least mean squares: ``E[u e']`` is estimated as a control variate from what J leaves over
    (Miller et al. 2017), and the mean's step is Newton's, ``(L'J L)^-1 E[u]`` in place of E[u].

    Args:
        model: with ``log_joint``.
        x: prepared data, ``[B, *event]``.
        context: for conditional models.
        family: with ``inverse``.
        num_samples: K, draws a step; an odd number is raised to the next even one.
    """

    def __init__(self, model: Any, x: Tensor, context: Tensor | None, family: Any, num_samples: int) -> None:
        self.model, self.x, self.context, self.family = model, x, context, family
        self.pairs = (num_samples + 1) // 2
        self.directions = torch.empty(0, 0, dtype=torch.float64)
        self.curvature: Tensor | None = None
        self.rate = torch.ones(())

    @staticmethod
    def suit(model: Model, family: Family, raw: Tensor) -> bool:
        """Whether the posterior is a normal one whose raw outputs follow from its mean and covariance."""
        q = family(raw)
        diagonal = isinstance(q, Independent) and type(q.base_dist) is Normal and len(q.event_shape) == 1
        if not (diagonal or type(q) is MultivariateNormal) or not hasattr(model, "log_joint"):
            return False
        try:
            family.inverse(q)  # type: ignore[attr-defined]
        except (AttributeError, NotImplementedError):  # other raw outputs, or a scale that is given
            return False
        return True

    def step(self, raw: Tensor, lr: float) -> Tensor:
        """The raw outputs ``[B, P]`` one step uphill; ``lr`` below `WHOLE` takes a part of it."""
        q = self.family(raw)
        e = self._draw(q.mean)
        full = isinstance(q, MultivariateNormal)
        L = q.scale_tril if full else torch.diag_embed(q.stddev)
        with torch.enable_grad():
            z = (q.mean + _times(L, e)).detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.model.log_joint(self.x, (z,), context=self.context).sum(), z)
        slope = slope.nan_to_num(0.0, 0.0, 0.0)  # one bad draw must not spoil all that follow
        moved = (self._full if full else self._diagonal)(
            q.mean, L, e, slope, self.rate * min(1.0, lr / WHOLE)
        )
        found: Tensor = self.family.inverse(moved)
        return found

    def judged(self, gained: Tensor, lost: Tensor) -> None:
        """A datum that did not gain goes on with smaller steps, which average the noise of their draws."""
        self.rate = torch.where(gained[:, None], self.rate, CUT * self.rate)

    def _full(self, m: Tensor, L: Tensor, e: Tensor, slope: Tensor, part: Tensor) -> MultivariateNormal:
        """q after a step of full covariance."""
        u, M, P = _times(L.mT, slope) + e, m.shape[-1], self.pairs
        product = _mean_product(u, e)
        # P of M directions are seen, times e'e, with mean M: a larger step would overshoot along them.
        change = part * P / (max(M, P) + 2) * (product + product.mT).flatten(1) / 2
        G = _at_most(change, MOST_FULL).view_as(product)
        root = torch.linalg.cholesky_ex(torch.eye(M).to(G) + G + G @ G / 2).L
        return MultivariateNormal(
            m + _times(L, self._towards(u.mean(0), part)), scale_tril=L @ root, validate_args=False
        )

    def _diagonal(self, m: Tensor, L: Tensor, e: Tensor, slope: Tensor, part: Tensor) -> Independent[Normal]:
        """q after a step of a diagonal covariance."""
        u, sd = _times(L.mT, slope) + e, L.diagonal(dim1=-2, dim2=-1)
        if m.shape[-1] <= LARGEST_CURVATURE:
            G, towards = self._by_curvature(sd, e, slope, u.mean(0))
        else:
            G, towards = (u * e).mean(0), u.mean(0)
        log_sd = part * self.pairs / (self.pairs + 2) * G / 2
        base = Normal(
            m + sd * self._towards(towards, part),
            sd * log_sd.clamp(-MOST_DIAGONAL, MOST_DIAGONAL).exp(),
            validate_args=False,
        )
        return Independent(base, 1, validate_args=False)

    def _by_curvature(self, sd: Tensor, e: Tensor, slope: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """G and the mean's step by the curvature as it is known, which then learns from the same slopes."""
        M, P = sd.shape[-1], self.pairs
        J = torch.diag_embed(sd**-2) if self.curvature is None else self.curvature
        rest = _mean_product(slope + _times(J, sd * e), e)
        known = sd.unsqueeze(-1) * J * sd.unsqueeze(-2)
        root, failed = torch.linalg.cholesky_ex(known + DAMPING * torch.eye(M).to(J))
        newton = torch.cholesky_solve(u.unsqueeze(-1), root).squeeze(-1)
        learned = J - P / (max(M, P) + 2) * rest / sd.unsqueeze(-2)  # in units of q: one rate suits all data
        self.curvature = (learned + learned.mT) / 2
        G = 1 + sd * rest.diagonal(dim1=-2, dim2=-1) - known.diagonal(dim1=-2, dim2=-1)
        return G, torch.where(failed[:, None] > 0, u, newton)

    def _towards(self, step: Tensor, part: Tensor) -> Tensor:
        """The mean's step, in standard deviations ``[B, M]``, no longer than it may be."""
        return _at_most(part * self.pairs / (self.pairs + 1) * step, FARTHEST * step.shape[-1] ** 0.5)

    def _draw(self, like: Tensor) -> Tensor:
        """Standard normal draws ``[K, B, M]`` in pairs e, -e of orthogonal directions; alike for all data."""
        B, M = like.shape
        while len(self.directions) < self.pairs:
            basis = torch.linalg.qr(torch.randn(M, M, dtype=torch.float64)).Q
            self.directions = torch.cat([self.directions.view(-1, M), basis.mT])
        taken, self.directions = self.directions[: self.pairs], self.directions[self.pairs :]
        lengths = torch.randn(self.pairs, M, dtype=torch.float64).norm(dim=-1, keepdim=True)
        e = (taken * lengths).to(like).unsqueeze(1).expand(-1, B, -1)
        return torch.cat([e, -e])


def _times(matrix: Tensor, vectors: Tensor) -> Tensor:
    """``matrix [B, M, M]`` times ``vectors [..., B, M]``."""
    product: Tensor = matrix @ vectors.unsqueeze(-1)
    return product.squeeze(-1)


def _mean_product(a: Tensor, b: Tensor) -> Tensor:
    """``mean_k a_k b_k'`` of ``[K, B, M]``: ``[B, M, M]``."""
    product: Tensor = torch.einsum("kbi,kbj->bij", a, b)
    return product / len(a)


def _at_most(vectors: Tensor, most: float) -> Tensor:
    """``vectors [B, n]``, the longer ones shortened to length ``most``."""
    shorter: Tensor = vectors * (most / vectors.norm(dim=-1, keepdim=True)).clamp(max=1)
    return shorter
