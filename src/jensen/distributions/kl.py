"""KL divergences of normals that torch does not register, added to torch's own registry.

With them, `torch.distributions.kl_divergence` knows diagonal, full and low-rank normal posteriors with a
diagonal normal prior. Pairs with a flow or a mixture have no formula: a trace takes the Monte Carlo term.
"""

import torch
from torch import Tensor
from torch.distributions import (
    Independent,
    MultivariateNormal,
    Normal,
    register_kl,
)

from jensen.distributions.low_rank import LowRankNormal


def _diagonal(q: Independent[Normal]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of an Independent(Normal, 1); NotImplementedError for any other."""
    if not isinstance(q.base_dist, Normal) or q.reinterpreted_batch_ndims != 1:
        raise NotImplementedError(f"no closed-form KL with {q}")
    return q.base_dist.loc, q.base_dist.scale


@register_kl(MultivariateNormal, Independent)
def _kl_full_diagonal(q: MultivariateNormal, p: Independent[Normal]) -> Tensor:
    """KL(N(m, S) || N(a, diag b^2)) with S = T T', T triangular (Kingma & Welling 2014, B).

    ``sum_i ((S_ii + (m_i - a_i)^2) / b_i^2 - 1) / 2 + sum_i log b_i - sum_i log T_ii``
    """
    loc, scale = _diagonal(p)
    variance = q.scale_tril.square().sum(-1)
    log_det_root = q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    ratio = (variance + (q.loc - loc).square()) / scale.square()
    kl: Tensor = 0.5 * (ratio - 1).sum(-1) + scale.log().sum(-1) - log_det_root
    return kl


@register_kl(Independent, MultivariateNormal)
def _kl_diagonal_full(q: Independent[Normal], p: MultivariateNormal) -> Tensor:
    """KL(N(m, diag s^2) || N(a, S)) with S = T T', T triangular.

    ``(|T^-1 diag s|_F^2 + |T^-1 (a - m)|^2 - M) / 2 + sum_i log T_ii - sum_i log s_i``
    """
    loc, scale = _diagonal(q)
    root = p.scale_tril
    identity = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device)
    inverse = torch.linalg.solve_triangular(root, identity, upper=False)
    trace = (inverse.square() * scale.square().unsqueeze(-2)).sum((-2, -1))
    gap = (inverse @ (p.loc - loc).unsqueeze(-1)).squeeze(-1).square().sum(-1)
    log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1) - scale.log().sum(-1)
    kl: Tensor = 0.5 * (trace + gap - scale.shape[-1]) + log_det
    return kl


@register_kl(LowRankNormal, Independent)
def _kl_low_rank_diagonal(q: LowRankNormal, p: Independent[Normal]) -> Tensor:
    """KL(q || N(a, diag b^2)) from q's mean m, variances v and covariance Sigma.

    ``sum_i ((v_i + (m_i - a_i)^2) / b_i^2 - 1) / 2 + sum_i log b_i - log det Sigma / 2``
    """
    loc, scale = _diagonal(p)
    ratio = (q.variance + (q.loc - loc).square()) / scale.square()
    kl: Tensor = 0.5 * (ratio - 1).sum(-1) + scale.log().sum(-1) - q.half_log_det
    return kl
