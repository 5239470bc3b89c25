"""What estimators share: a pass through the model with pathwise draws, and the integrand of a bound on it."""

from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import named
from jensen.objectives.bounds import Bound
from jensen.trace import Model, Trace, has_density


def check_bound(bound: Any) -> None:
    """ValueError unless ``bound`` is one, which a name and a function of the trace are not."""
    if not isinstance(bound, Bound):
        given = repr(bound) if isinstance(bound, str) else f"a {type(bound).__name__}"
        raise ValueError(
            f"the bound is {given}; give a Bound, such as jensen.objectives.iwae, or one of your own: "
            'Bound("mine", integrand, jensen.objectives.mean)'
        )


def check_estimator(estimator: Any) -> None:
    """ValueError unless ``estimator`` can be called, which a name cannot."""
    if not callable(estimator):
        raise ValueError(f"the estimator is {estimator!r}; give a function, as jensen.objectives.pathwise")


def pathwise_trace(name: str, model: Model, x: Tensor, num_samples: int, context: Tensor | None) -> Trace:
    """A trace all of whose groups were drawn by reparameterization, or a ValueError."""
    trace = model.trace(x, num_samples, context=context)
    if not all(trace.pathwise):
        groups = zip(trace.posterior, trace.pathwise, strict=True)
        names = ", ".join(named(q) for q, by_path in groups if not by_path)
        raise ValueError(
            f"the {name} estimator needs reparameterized samples, and the posterior ({names}) has none; "
            "use the score_function estimator, or a posterior with rsample"
        )
    return trace


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


def integrand(bound: Bound, trace: Trace, score: bool = True) -> Tensor:
    """``bound.values(trace)``, ``[K, B]``, or a ValueError if that needs a density which q has not.

    Without ``score``, log q(z | x) in it has its gradient through z alone.
    """
    posterior = trace.posterior if score else tuple(PathDensity(q) for q in trace.posterior)
    try:
        return bound.values(replace(trace, posterior=posterior))
    except NotImplementedError as error:
        if trace.has_density:
            raise
        raise ValueError(no_density(bound.name, trace)) from error


def no_density(what: str, trace: Trace) -> str:
    """That ``what`` needs densities, and which groups have none."""
    pairs = zip(trace.posterior, trace.z, strict=True)
    names = ", ".join(named(q) for q, z in pairs if not has_density(q, z))
    return (
        f"{what} needs the density of the posterior, and {names} has none; "
        "use the bound reconstruction with the pathwise estimator, or a posterior with a density"
    )
