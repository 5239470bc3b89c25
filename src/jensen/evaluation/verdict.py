"""What the figures of the aggregate posterior mean, in a word and a sentence of advice."""

import math
from dataclasses import dataclass, fields

from jensen.evaluation.estimate import Estimate

COLLAPSED_INFORMATION = 0.1
"""Nats. exp(0.1) = 1.1: such codes tell hardly more than one kind of datum apart."""
UNDER_USED_SHARE = 0.5
"""With fewer than half of the latent dimensions active, half of the width would do."""
MISMATCH_P_VALUE = 0.01
"""One good model in a hundred is called mismatched by the MMD test alone; the next threshold spares it."""
MISMATCH_NATS = 0.5
"""KL(q(z) || p(z)) is what the bound would gain, per datum, from a prior equal to the aggregate posterior.
Below half a nat that is not worth a change, however sure the test is that it is not zero."""
FEW_ROWS = 30
"""With fewer rows, variances (by which a dimension is active) are off by a quarter and more, and no test sees
much."""
SATURATION = 1.0
"""Nats. The estimate of I within so much of its cap log N may be the cap rather than I."""
UNCOVERED_TAIL = 0.01
"""A draw of the prior is uncovered where the aggregate's density is lower than at all but this share of the
aggregate's own draws."""
UNCOVERED_SHARE = 0.1
"""One prior draw in ten from where no data are: ten times what a match gives, and plain to see in samples."""


@dataclass(frozen=True)
class Findings:
    """What the verdict rests on; the fields are those of `jensen.evaluation.aggregate.Aggregate`."""

    latents: int
    mutual_information: Estimate
    log_n: float
    marginal_kl: Estimate
    marginal_kl_lower: float | None
    mmd_p_value: float
    uncovered: float
    active: int

    @classmethod
    def measured(cls) -> list[str]:
        """The names of the fields that are measured."""
        return [field.name for field in fields(cls) if field.name != "latents"]

    @property
    def saturated(self) -> bool:
        """Whether the estimate of I is near its cap."""
        return self.mutual_information.value > self.log_n - SATURATION

    @property
    def mismatch(self) -> float:
        """KL(q(z) || p(z)), nats: the mixture's figure, or where that is only an upper bound the moments'.

        Where there is neither, nothing is known but that it is 0 or more.
        """
        return (self.marginal_kl_lower or 0.0) if self.saturated else self.marginal_kl.value

    @property
    def learned(self) -> bool:
        """Whether the prior is learned: of one that is not, a normal, the KL of the moments is known."""
        return self.marginal_kl_lower is None


def nats_apart(kl: float, lower: float | None, *, saturated: bool) -> str:
    """How far the aggregate posterior is from the prior, in words.

    Args:
        kl: the mixture's figure, an upper bound where it is ``saturated``.
        lower: the moments' figure, a lower bound; None where there is none.
        saturated: whether the estimate of I is near its cap.
    """
    if not saturated:
        return f"{kl:.1f} nats"
    return f"between {max(lower or 0.0, 0.0):.1f} and {kl:.1f} nats"


def verdict(found: Findings) -> tuple[str, str]:
    """A word and a sentence: collapsed, holes, mismatched, unclear, under-used or good, the first that holds.

    Where the estimate of I is at its cap, every datum has a region of the latent space for itself, and what
    lies between the regions is not seen. A mismatch that is plain all the same is called by its name, for the
    test and the share of uncovered draws hold at any N; that none was found shows nothing, and is not "good".
    """
    if found.active == 0 or found.mutual_information.value < COLLAPSED_INFORMATION:
        return "collapsed", (
            f"the latents say {found.mutual_information.value:.2f} nats of a datum, and the decoder "
            "ignores them; train longer, with --kl-warmup, with --bound free-bits, with --beta 1 or less, "
            "or with a weaker decoder"
        )
    differs = found.mmd_p_value < MISMATCH_P_VALUE
    if differs and found.uncovered > UNCOVERED_SHARE:
        return "holes", (
            f"{found.uncovered:.0%} of the prior's draws fall where almost no data are encoded, and samples "
            "from there need not look like data; use fewer latents, a stronger KL, or "
            f"{'a richer' if found.learned else 'a learned'} prior"
        )
    if differs and found.mismatch > MISMATCH_NATS:
        return "mismatched", _mismatched(found)
    carry = f"{found.active} of {found.latents} latent dimensions carry information"
    under_used = found.active < UNDER_USED_SHARE * found.latents
    if found.saturated or math.exp(found.log_n) < FEW_ROWS - 0.5:
        return "unclear", _unclear(found, differs) + (f" ({carry} in these)" if under_used else "")
    if under_used:
        return "under-used", (
            f"{carry}; a smaller --latent-dim gives the same model at less cost, and --kl-warmup may wake "
            "the others"
        )
    if differs:
        return "good", (
            f"the aggregate posterior is not quite the prior, but less than {MISMATCH_NATS} nats from it, "
            "which is not worth a change: samples come from where data are encoded"
        )
    return "good", "the aggregate posterior matches the prior: samples come from where data are encoded"


def _mismatched(found: Findings) -> str:
    """How far the aggregate is from the prior, and what can be done."""
    apart = nats_apart(found.marginal_kl.value, found.marginal_kl_lower, saturated=found.saturated)
    mend = (
        "which its learned prior has not won back; train longer, or give the prior more components or layers"
        if found.learned
        else "which a learned prior (--prior mixture, vamp or flow) can win back"
    )
    return f"the aggregate posterior is {apart} from the prior, {mend}"


def _unclear(found: Findings, differs: bool) -> str:
    """Why nothing can be told from these rows."""
    seen = (
        f": the code sets each apart from all others (I at its cap, {found.log_n:.1f} nats), and what lies "
        "between them is not seen"
        if found.saturated
        else ""
    )
    rows = f"{math.exp(found.log_n):,.0f} rows"
    return (
        f"no {'large ' if differs else ''}mismatch was found, but {rows} are too few to tell{seen}; evaluate "
        "more rows, or judge by samples"
    )
