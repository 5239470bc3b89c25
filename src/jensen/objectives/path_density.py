"""A posterior whose log-density does not see its own parameters."""

from torch import Tensor
from torch.distributions import Distribution


class PathDensity(Distribution):
    """log q(z), with its gradient through z and none through q's parameters (Roeder et al. 2017).

    ``log q_w(z) - (s - stop(s))`` with ``s = log q_w(stop(z))``; ``stop`` keeps a value without its gradient.
    No closed-form KL is registered for this type, so a trace's KL becomes the Monte Carlo term.

    Args:
        q: any distribution with ``log_prob``.
    """

    def __init__(self, q: Distribution) -> None:
        super().__init__(q.batch_shape, q.event_shape, validate_args=False)
        self.q = q

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z); see the class."""
        score = self.q.log_prob(value.detach())
        return self.q.log_prob(value) - (score - score.detach())
