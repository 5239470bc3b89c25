"""The task's networks in plain PyTorch, as people write them: an MLP, or for images strided convolutions."""

import itertools

import torch
from benchmarks.speed.tasks import DENSE, HIDDEN, KERNEL, LATENTS, PIXELS, Task
from torch import nn


def coders(task: Task) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder to means and log-variances, and decoder to logits of the shape of the data."""
    if not task.widths:
        encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENTS))
        decoder = nn.Sequential(nn.Linear(LATENTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))
    else:
        encoder, decoder = _convolutions(task)
    for layer in (*encoder.modules(), *decoder.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            torch.zero_(layer.bias.data)  # type: ignore[union-attr]
    decoder[-1].bias.data.copy_(torch.from_numpy(task.log_odds()))  # type: ignore[union-attr, operator]
    return encoder, decoder


def _convolutions(task: Task) -> tuple[nn.Sequential, nn.Sequential]:
    """4x4 kernels of stride 2, with a dense layer between them and the latents."""
    channels, side, _ = task.event
    widths, side = task.widths, side >> len(task.widths)
    flat = widths[-1] * side**2
    down: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *widths]):
        down += [nn.Conv2d(before, after, KERNEL, 2, 1), nn.SiLU()]
    up: list[nn.Module] = []
    for before, after in itertools.pairwise([*reversed(widths), channels]):
        up += [nn.SiLU(), nn.ConvTranspose2d(before, after, KERNEL, 2, 1)]
    between = nn.Flatten(), nn.Linear(flat, DENSE), nn.SiLU(), nn.Linear(DENSE, 2 * LATENTS)
    first = nn.Linear(LATENTS, DENSE), nn.SiLU(), nn.Linear(DENSE, flat)
    return (
        nn.Sequential(*down, *between),
        nn.Sequential(*first, nn.Unflatten(1, (widths[-1], side, side)), *up),
    )
