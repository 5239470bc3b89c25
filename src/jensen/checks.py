"""What models are made of and given, looked at before it is used: a ValueError says what to give instead."""

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.distributions import Distribution, constraints


def check_count(name: str, value: Any) -> None:
    """ValueError unless ``value`` is a whole number of 1 or more, as numbers of draws are."""
    if not (hasattr(value, "__index__") and value >= 1):
        raise ValueError(f"{name} is {value!r}; give a whole number of 1 or more")


def check_data(x: Any) -> None:
    """ValueError unless ``x`` is a tensor of one row or more (torch's distributions cannot measure none)."""
    if not (isinstance(x, Tensor) and x.dim()):
        given = f"a tensor of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        several = isinstance(x, list | tuple) and x and isinstance(x[0], Tensor)
        mend = "; of a loader whose batches are lists, (x for x, *_ in loader)" if several else ""
        raise ValueError(f"x is {given}; give a tensor of rows, [B, *event]{mend}")
    if not len(x):
        raise ValueError(f"x has no rows, shape {tuple(x.shape)}; give one row or more")


def takes_two(function: Any) -> bool:
    """Whether a function, or a module's ``forward``, can be called with two arguments and no more."""
    try:
        inspect.signature(getattr(function, "forward", function)).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # nothing is known of its arguments, as of some built-in functions
        return True
    return True


def named(d: Distribution) -> str:
    """A distribution's kind, with what it wraps: Independent of Normal."""
    inner = getattr(d, "base_dist", None)
    return type(d).__name__ + (f" of {named(inner)}" if isinstance(inner, Distribution) else "")


def check_distribution(part: str, d: Any) -> None:
    """ValueError unless ``d`` is a distribution, which a tensor or a tuple of parameters is not."""
    if not hasattr(d, "batch_shape"):
        maker = {"likelihood": "decoder", "posterior": "encoder"}.get(part, part)
        raise ValueError(
            f"the {part} is a {type(d).__name__}; the {maker} returns a distribution of torch.distributions, "
            "as Independent(Normal(mean, scale), 1)"
        )


def check_shapes(part: str, d: Distribution, event: Sequence[int], *batches: tuple[int, ...]) -> None:
    """ValueError, with the mend, unless ``d`` has this event shape and one of these batch shapes."""
    check_distribution(part, d)
    has = (tuple(d.batch_shape), tuple(d.event_shape))
    if has[1] == tuple(event) and has[0] in batches:
        return
    missing = len(event) - len(has[1])
    mend = "check its parameters"
    if missing > 0:
        mend = f"wrap it in torch.distributions.Independent(d, {missing})"
    elif has[1] == tuple(event) and set(batches) == {()}:
        mend = f"give it parameters without the dimensions {has[0]}; it is the same for all data"
    raise ValueError(
        f"the {part}, {named(d)}, has batch shape {has[0]} and event shape {has[1]}; it must have "
        f"batch shape {' or '.join(map(str, dict.fromkeys(batches)))} and event shape {tuple(event)}: {mend}"
    )


def check_pair(q: Distribution, p: Distribution) -> None:
    """ValueError where q and p measure different things, so that no ratio of the two makes a bound."""
    kinds = [_kind(d) for d in (q, p)]
    if None not in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            f"the posterior, {named(q)}, is {kinds[0]} and the prior, {named(p)}, {kinds[1]}, so that no "
            "figure would be a bound; give a relaxed posterior a relaxed prior (priors.RelaxedCategorical) "
            "or another one on its simplex, and a one-hot posterior, straight-through or not, a one-hot one "
            "(priors.Categorical)"
        )


def _kind(d: Distribution) -> str | None:
    """What it gives: probabilities, a density on a simplex or one in space; None where it does not say.

    A density on the simplex of C classes is one of C - 1 numbers, and one in space is of all C.
    """
    try:
        support: Any = d.support
        while hasattr(support, "base_constraint"):
            support = support.base_constraint
        is_discrete = getattr(support, "is_discrete", None)
    except NotImplementedError:
        return None
    if is_discrete or is_discrete is None:
        return "discrete" if is_discrete else None
    return "on a simplex" if isinstance(support, type(constraints.simplex)) else "continuous"
