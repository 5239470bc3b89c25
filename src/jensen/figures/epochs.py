"""The figures of an epoch of training, in a line."""

import math
import time
from collections.abc import Callable

from jensen.config.rules import objective
from jensen.config.settings import Settings
from jensen.training.state import TrainingState

EVERY_SECONDS = 1.0
"""Between two lines of plain progress."""

Show = Callable[[TrainingState], None]
"""Told the state after every epoch."""


def plain_lines(say: Callable[[str], None]) -> Show:
    """Tell ``say`` a line an epoch, but no more than one in `EVERY_SECONDS`, and always the last."""
    last = -math.inf

    def show(state: TrainingState) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY_SECONDS or state.stopped or state.epoch >= state.learning_rate.plan.epochs:
            say(f"epoch {state.epoch:4d}  {figures(state)}")
            last = now
        if state.stopped:
            say(f"stopped: {state.stopped}")

    return show


def figures(state: TrainingState, brief: bool = False) -> str:
    """The figures of the last epoch, nats per datum (validation split but for the first)."""
    line, plan = state.history[-1], state.learning_rate.plan
    name = objective(plan) if isinstance(plan, Settings) else "bound"
    rate = line["validation_rate"]
    said = "none" if math.isnan(rate) else f"{rate:.2f}"  # a point posterior has no rate
    if rate < 0:  # no KL is
        said += " by Monte Carlo"
    bounds = f"{name}: train {line['train_bound']:.2f}, validation {line['validation_bound']:.2f} nats"
    if brief:
        return bounds
    return (
        f"{bounds} (distortion {line['validation_distortion']:.2f}, rate {said})  "
        f"{line['rows_per_second']:,.0f} rows/s"
    )
