"""Bounds on log p(x), per datum, with many samples in the memory of one chunk."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.chunks import traces
from jensen.mode import NO_BLOCKS, measuring, with_contexts
from jensen.trace import Model, Trace


def importance_weighted(
    model: Model,
    x: Tensor,
    num_samples: int,
    *,
    context: Tensor | None = None,
    posterior: tuple[Distribution, ...] | None = None,
    chunks: Iterable[int] | None = None,
    on_draws: Callable[[int], None] = lambda draws: None,
) -> dict[str, Tensor]:
    """All that K posterior samples say of log p(x), for each datum, ``[B]``, nats.

    With ``log w_k = log p(x, z_k) - log q(z_k | x)``, z_k ~ q(z | x):

    - ``distortion = -mean_k log p(x | z_k)``, ``rate = KL(q(z | x) || p(z))`` (closed form where there
      is one, else ``mean_k log q - log p``), ``elbo = -distortion - rate``;
    - ``iwae = log mean_k w_k`` (Burda, Grosse & Salakhutdinov 2016, eq. 8);
    - ``effective_sample_size = (sum_k w_k)^2 / sum_k w_k^2``, between 1 and K.

    The sums over k stream: chunk after chunk of samples, with a running log-sum-exp, so the memory is
    that of one chunk at any K. The draws come from torch's global generator: seed it, or measure within
    `jensen.data.seeds.seeded`.

    Args:
        model: anything with ``trace``.
        x: prepared data, ``[B, *event]``.
        num_samples: K.
        context: for conditional models.
        posterior: q(z | x) to use in place of the model's own, for example a refined one.
        chunks: sizes of the chunks, adding up to K; chosen by `jensen.chunks.traces` when left out.
        on_draws: told after each chunk how many latents were drawn, K B in all, for progress.

    Raises:
        ValueError: K, the data or the chunks are not such.
    """
    with measuring(model):
        parts = traces(model, x, num_samples, context=context, posterior=posterior, chunks=chunks)
        return _streamed(x, parts, num_samples, on_draws)


def _streamed(
    x: Tensor, traces: Iterable[Trace], num_samples: int, on_draws: Callable[[int], None]
) -> dict[str, Tensor]:
    """The figures of `importance_weighted` from the traces of its chunks, one at a time."""
    total_px = total_kl = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    log_w1 = log_w2 = torch.full_like(total_px, -math.inf)
    has_density = True
    for number, trace in enumerate(traces):
        log_px = trace.log_px
        total_px = total_px + log_px.double().sum(0)
        on_draws(log_px.numel())
        if number == 0:
            has_density = trace.has_density
        if not has_density:  # a point mass: no KL, no bound, and NaN says so
            total_kl = log_w1 = log_w2 = torch.full_like(total_px, math.nan)
            continue
        log_ratio = trace.log_qz - trace.log_pz
        log_w = (log_px - log_ratio.sum(-1)).double()
        total_kl = total_kl + trace.kl_from(log_ratio).sum(-1).double().sum(0)
        log_w1 = torch.logaddexp(log_w1, log_w.logsumexp(0))
        log_w2 = torch.logaddexp(log_w2, (2 * log_w).logsumexp(0))
    distortion, rate = -total_px / num_samples, total_kl / num_samples
    return {
        "elbo": -distortion - rate,
        "distortion": distortion,
        "rate": rate,
        "iwae": log_w1 - math.log(num_samples),
        "effective_sample_size": (2 * log_w1 - log_w2).exp(),
    }


def evaluate(
    model: Model,
    blocks: Iterable[Tensor],
    num_samples: int,
    *,
    log_det: float = 0.0,
    contexts: Iterable[Tensor | None] | None = None,
    on_draws: Callable[[int], None] = lambda draws: None,
) -> dict[str, Tensor]:
    """`importance_weighted` over a data set, in nats of the data as given.

    The draws come from torch's global generator here too.

    Args:
        model: anything with ``trace``.
        blocks: prepared rows, block after block.
        num_samples: K.
        log_det: log |d model input / d data as given|, added to every bound (and taken from the
            distortion), see `jensen.data.Preparation`.
        contexts: for conditional models, what is given in each block, ``[B, ...]``.
        on_draws: told of every K B latents that were drawn, in pieces, for progress.

    Returns:
        Per-datum tensors ``[N]`` by name, float64 on the CPU.

    Raises:
        ValueError: K, the blocks or the contexts are not such, or there is no block.
    """
    parts: dict[str, list[Tensor]] = {}
    for x, context in with_contexts(blocks, contexts):
        values = importance_weighted(model, x, num_samples, context=context, on_draws=on_draws)
        for name in ("elbo", "iwae"):
            values[name] = values[name] + log_det
        values["distortion"] = values["distortion"] - log_det
        for name, value in values.items():
            parts.setdefault(name, []).append(value.cpu())
    if not parts:
        raise ValueError(NO_BLOCKS)
    return {name: torch.cat(values) for name, values in parts.items()}
