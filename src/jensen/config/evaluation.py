"""The settings of an evaluation. Free of torch, so that the command line can show them at once."""

from dataclasses import dataclass
from typing import Literal

from jensen.errors import check_choices, check_options


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What to measure, and how much to spend on it; the attribute docstrings are the help texts."""

    split: Literal["train", "validation", "test"] = "test"
    """Which rows."""
    num_samples: int = 1000
    """Posterior samples per datum, K, of the importance-weighted bound."""
    limit: int | None = None
    """Only the first so many rows of the split."""
    refine: bool = False
    """Refine the posterior of every row, not only of the first 256 (the two-tier ELBO)."""
    refine_steps: int = 200
    """Inner steps of the refinement; 0: leave it out."""
    ais: bool = False
    """Add annealed importance sampling, of the first 100 rows unless --limit says otherwise."""
    bdmc: bool = False
    """Add bidirectional Monte Carlo on data simulated from the model: how far annealing can be off."""
    temperatures: int = 500
    """Temperatures of the annealing."""
    chains: int = 16
    """Annealed chains per datum."""
    seed: int = 0
    """Seed of every draw."""

    def __post_init__(self) -> None:
        """Refuse choices that are none, and counts below one."""
        check_choices(self)
        check_options(self, "num_samples limit temperatures chains", lambda v: v >= 1, "at least 1")
        check_options(self, "refine_steps seed", lambda v: v >= 0, "0 or more")
