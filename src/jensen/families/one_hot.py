"""Categorical posteriors: G variables of C classes each, as one flat latent vector ``[G * C]``."""

from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.one_hot import OneHot, RelaxedOneHot, StraightThroughOneHot
from jensen.families.arguments import shapes


class OneHotCategorical(nn.Module):
    """Exact categorical latents. No pathwise sampler: train with the score-function estimator.

    Args:
        num_variables: G.
        num_classes: C.
    """

    extra_repr = shapes

    def __init__(self, num_variables: int, num_classes: int) -> None:
        super().__init__()
        if num_variables < 1 or num_classes < 2:
            raise ValueError(f"{num_variables} variables of {num_classes} classes; need at least 1 of 2")
        self.groups = (num_variables, num_classes)
        self.num_outputs = num_variables * num_classes
        self.event_shape = (self.num_outputs,)

    def logits(self, raw: Tensor) -> Tensor:
        """``[*batch, G * C] -> [*batch, G, C]``."""
        logits: Tensor = raw.unflatten(-1, self.groups)
        return logits

    def forward(self, raw: Tensor) -> Distribution:
        """Logits ``[*batch, G * C]`` -> a distribution with batch shape ``[*batch]``."""
        return OneHot(self.logits(raw))


def _checked(temperature: float) -> float:
    """``temperature`` if it is positive.

    Raises:
        ValueError: it is not.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be positive (0.5 to 1 is usual)")
    return temperature


class GumbelSoftmax(OneHotCategorical):
    """Relaxed categorical latents: points of the simplex, with an exact density and pathwise gradient.

    The bound is one on the relaxed model's log p(x); it needs a relaxed prior on the same simplex
    (`jensen.priors.RelaxedCategorical`), since a one-hot prior has no density there.

    Args:
        num_variables: G.
        num_classes: C.
        temperature: t; near zero the draws are nearly one-hot and the gradients noisy.
    """

    def __init__(self, num_variables: int, num_classes: int, temperature: float = 2 / 3) -> None:
        super().__init__(num_variables, num_classes)
        self.temperature = _checked(temperature)

    def forward(self, raw: Tensor) -> Distribution:
        """Logits ``[*batch, G * C]`` -> a distribution with batch shape ``[*batch]``."""
        return RelaxedOneHot(self.logits(raw), self.temperature)


class StraightThrough(OneHotCategorical):
    """Exact categorical latents with a **biased** pathwise gradient, that of their relaxation.

    Values of bounds are right; their gradient is not that of the bound.

    Args:
        num_variables: G.
        num_classes: C.
        temperature: of the relaxation through which the gradient goes.
    """

    def __init__(self, num_variables: int, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__(num_variables, num_classes)
        self.temperature = _checked(temperature)

    def forward(self, raw: Tensor) -> Distribution:
        """Logits ``[*batch, G * C]`` -> a distribution with batch shape ``[*batch]``."""
        return StraightThroughOneHot(self.logits(raw), self.temperature)
