"""Where an inner maximisation begins: at the encoder's posterior, or at one like it."""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.data.seeds import seeded
from jensen.trace import Model, check_one_group

MATCHING_STEPS = 300
"""Steps of `matching`; each costs a pass through the family alone."""


class Family(Protocol):
    """Raw outputs -> a distribution (see `jensen.families`)."""

    num_outputs: int

    def __call__(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        ...


def matching(family: Family, q: Distribution, num_outputs: int) -> Tensor:
    """Raw outputs ``[B, P]`` at which ``family`` has the mean and standard deviation of ``q``, nearly.

    ``min_raw |(mean - mean_q) / sd_q|^2 + |log sd - log sd_q|^2`` by Adam from zero, without the model. Zero
    (as `jensen.models.local.Neutral`) where the moments are unknown, or not differentiable.
    """
    with seeded(0):  # a draw is needed for its type and device alone
        drawn = q.sample()
    with torch.enable_grad():
        leaf = drawn.new_zeros(*q.batch_shape, num_outputs).requires_grad_()
        optimizer = torch.optim.Adam([leaf], lr=0.1)
        for step in range(MATCHING_STEPS):
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / MATCHING_STEPS)
            p = family(leaf)
            try:
                mean, sd = q.mean.detach(), q.stddev.detach()
                distance = ((p.mean - mean) / sd).square() + (p.stddev.log() - sd.log()).square()
            except NotImplementedError:
                break
            if not distance.requires_grad:
                break
            (leaf.grad,) = torch.autograd.grad(distance.sum(), leaf)
            optimizer.step()
    return leaf.detach()


def find_start(
    model: Model, x: Tensor, context: Tensor | None, family: Family | None, start: Tensor | None
) -> tuple[Family, Tensor]:
    """The family, and the raw outputs from which the search begins, detached."""
    encoder: Any = getattr(model, "encoder", None)
    own: Family | None = getattr(encoder, "family", None)
    sought = own if family is None else family
    if own is None:  # a model of another kind, which may have several groups
        with torch.no_grad(), seeded(0):
            first = None if context is None else context[:1]
            check_one_group(model.trace(x[:1], 1, context=first), "refining")
    if sought is not None and start is not None:
        return sought, start.detach()
    with torch.no_grad():
        if own is not None and hasattr(encoder, "raw"):
            raw: Tensor = encoder.raw(x, context)
            if family is None or family is own:
                return own, raw
            return family, matching(family, own(raw), family.num_outputs)
        if family is not None:
            return family, matching(family, model.posterior(x, context=context)[0], family.num_outputs)
    who = "the model has no encoder with" if encoder is None else f"{type(encoder).__name__} lacks"
    raise ValueError(
        f"refine does not know what to refine: {who} a family and raw(x, context), "
        "which jensen.families.Conditional has; give refine a family, and a start where it shall not begin "
        "at the encoder's posterior"
    )
