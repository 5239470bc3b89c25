"""Train_VAE: the amortized training loop, epochs x minibatches x K latent samples."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from jensen.checks import takes_two
from jensen.chunks import numbers_decoded
from jensen.data.seeds import derive_seed, seeded
from jensen.data.stream import RowStream
from jensen.errors import UserError
from jensen.memory import within_memory
from jensen.mode import full_float32, learning, measuring, mode_kept
from jensen.objectives import Bound
from jensen.trace import Model
from jensen.training.engine import Engine, Say, place
from jensen.training.held_out import near
from jensen.training.history import Record
from jensen.training.plan import Plan
from jensen.training.schedules import kl_weight
from jensen.training.state import TrainingState
from jensen.training.step import Estimator, Prepare, Slope

HELD_OUT = "give a function that yields blocks of rows at every call, as lambda: iter([x])"
"""What `TrainingData.validation` must be."""


@dataclass(frozen=True)
class TrainingData:
    """What the loop needs to know of the data: the rows as stored, and how they are prepared."""

    rows: Tensor | np.ndarray[Any, np.dtype[Any]] | RowStream
    """The training rows as stored, ``[N, *event]``, a tensor or an array, which becomes one without a copy; a
    stream where they are larger than memory."""
    prepare: Prepare
    """Stored rows -> model inputs ``[B, *event]``; called with the rows and a generator, or None."""
    validation: Callable[[], Iterator[Tensor]]
    """The validation rows in fixed blocks, already prepared, the same at every call."""
    log_det: float = 0.0
    """Added to every bound, so that it is in nats of the data as given."""

    def __post_init__(self) -> None:
        """Refuse what the loop would stumble over, such as a DataLoader of rows.

        Raises:
            ValueError: what was given, and what is allowed.
        """
        if isinstance(self.rows, np.ndarray):
            object.__setattr__(self, "rows", torch.as_tensor(self.rows))  # frozen for all others
        if not isinstance(self.rows, Tensor | RowStream):
            raise ValueError(
                f"rows are a {type(self.rows).__name__}; they must be a tensor or an array of all training "
                "rows, [N, *event] (dataset.tensors[0] of a TensorDataset), of which train() takes batches "
                "itself, or a jensen.data.stream.RowStream"
            )
        if not takes_two(self.prepare):
            raise ValueError(
                "prepare cannot be called with rows and a generator, from which it may draw; give "
                "lambda rows, generator: rows, where rows are stored as the model takes them"
            )
        if not callable(self.validation):
            raise ValueError(f"validation is a {type(self.validation).__name__}; {HELD_OUT}")


@learning
@full_float32()
def train(
    state: TrainingState,
    data: TrainingData,
    bound: Bound,
    estimator: Estimator,
    plan: Plan,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    say: Say = lambda said: None,
) -> TrainingState:
    """Train_VAE: maximise the mean of ``bound`` over the data by minibatch gradient steps.

    ``max_w,theta mean_j bound(w, theta | x_j)``: the amortized form of maximum likelihood. Each epoch
    draws from its own seed, so a run resumed at an epoch's end continues bit for bit. Torch's generators and
    the mode of each module are left as they were.

    Args:
        state: where to start; `TrainingState.start` for a fresh run. Changed in place.
        data: rows and their preparation.
        bound: what to maximise.
        estimator: how its gradient is estimated.
        plan: epochs, batch size, learning rate, ...
        on_epoch: called after every epoch, for checkpoints and progress.
        say: told, in a line, when the step is compiled or why it is not.

    Raises:
        ValueError: parts that do not fit, such as a model all of whose parameters are frozen.
        UserError: the bound became NaN or infinite, and the message names what was first; or the memory does
            not suffice.
    """
    state.stopped = _reason_to_stop(state, plan)
    device = next(state.model.parameters()).device
    numbers = plan.num_samples * numbers_decoded(state.model)
    data = replace(data, validation=near(data.validation, device, numbers))
    memory, clip = state.memory.to(device), state.clip.to(device)
    slope = Slope(state.model, memory, data.prepare, bound, estimator, plan, clip)
    with within_memory(lambda: _smaller(state, plan)), mode_kept(slope):
        engine = Engine(state, place(cast(Tensor | RowStream, data.rows), device), slope, plan, say)
        if state.epoch == 0:
            engine.decide()
        while not state.stopped and state.epoch < plan.epochs:
            began = time.perf_counter()
            lr = state.learning_rate.at(state.epoch)
            state.optimizer.set_rate(lr)
            compiling = -engine.compiling
            with seeded(derive_seed(plan.seed, "epoch", state.number)):
                total = engine.epoch(kl_weight(state.number, plan))
            compiling += engine.compiling
            if not math.isfinite(total):
                raise UserError(_divergence(state, slope, engine.some_rows()))
            trained = time.perf_counter() - began - compiling
            with state.optimizer.averaged():
                validated = validate(state.model, data, bound, plan)
            record: Record = {
                "epoch": state.number + 1,
                "train_bound": total / engine.seen + data.log_det,
                "lr": lr,
                **validated,
                "rows_per_second": engine.seen / trained,
            }
            _check_validation(record)
            seconds = time.perf_counter() - began
            record |= {"seconds": state.seconds + seconds, "compiling": compiling}
            state.advance(record, seconds)
            if plan.max_time is not None and state.epoch == 1 and state.seconds > plan.max_time:
                say(_too_long(state.seconds, plan.max_time, engine.seen))
            engine.decide()
            state.stopped = _reason_to_stop(state, plan)
            on_epoch(state)
    return state


def validate(model: nn.Module, data: TrainingData, bound: Bound, plan: Plan) -> Record:
    """The bound on the validation rows, with rate and distortion, nats per datum of the data as given.

    The noise is the same at every epoch, so that two epochs differ by their weights alone.

    Raises:
        ValueError: there are no such rows.
    """
    sums, count = torch.zeros(3, dtype=torch.float64), 0
    device = next(model.parameters()).device
    with measuring(model), seeded(derive_seed(plan.seed, "validation")):
        for x in data.validation():
            trace = cast(Model, model).trace(x.to(device), plan.num_samples)
            distortion = -trace.log_px.mean(0)
            rate = trace.kl.sum(-1).mean(0) if trace.has_density else torch.full_like(distortion, math.nan)
            terms = (bound(trace), distortion, rate)
            sums += torch.stack([term.double().sum().cpu() for term in terms])
            count += len(x)
    if not count:
        raise ValueError(
            f"validation() gave no rows, by whose bound the best weights are told from the others; {HELD_OUT}"
        )
    means = (sums / count).tolist()
    return {
        "validation_bound": means[0] + data.log_det,
        "validation_distortion": means[1] - data.log_det,
        "validation_rate": means[2],
    }


def _too_long(seconds: float, limit: float, rows: int) -> str:
    """What to do where the first epoch, which always runs to its end, goes beyond the time limit."""
    fitting = max(1, int(rows * limit / seconds))
    return (
        f"the first epoch took {seconds:.0f} s, longer than --max-time {limit:g}, as no epoch is cut "
        f"short; --epoch-rows {fitting} would make epochs of about {limit:g} s"
    )


def _smaller(state: TrainingState, plan: Plan) -> str:
    """When memory ran out, and which settings to lower."""
    samples = f" or --num-samples (now {plan.num_samples})" if plan.num_samples > 1 else ""
    kept = "; the last checkpoint is kept" if state.epoch else ""
    return f" in epoch {state.epoch + 1}: lower --batch-size (now {plan.batch_size}){samples}{kept}"


def _check_validation(record: Record) -> None:
    """Refuse a validation bound that is not finite: it could not say which weights are the best."""
    if not math.isfinite(record["validation_bound"]):
        raise UserError(
            f"the validation bound is {record['validation_bound']} in epoch {record['epoch']}, while that of "
            "training is finite: look for extreme values among the rows held out, or lower --lr"
        )


def _reason_to_stop(state: TrainingState, plan: Plan) -> str:
    """Why training should end now; empty if it should go on."""
    if not state.history:
        return ""
    # Whole epochs only, so that a resumed run equals one never stopped: the next must fit in the time.
    last = state.history[-1]["seconds"] - (state.history[-2]["seconds"] if state.epoch > 1 else 0.0)
    last -= state.history[-1].get("compiling", 0.0)  # which the next will not do again
    if plan.max_time is not None and state.seconds + last > plan.max_time:
        return f"the time limit of {plan.max_time:g} s"
    if plan.patience and state.epoch - state.best_epoch >= plan.patience:
        return f"no better validation bound for {plan.patience} epochs"
    return ""


def _divergence(state: TrainingState, slope: Slope, stored: Tensor) -> str:
    """What to say where the bound of an epoch is not finite; the cause is sought with rows as stored."""
    with seeded(slope.plan.seed), torch.no_grad():
        cause = _cause_of_divergence(state.model, slope.prepare(stored, None))
    kept = "; the best weights so far are kept" if state.number else ""
    mend = "lower --lr" if slope.plan.grad_clip_ratio else "lower --lr, or add --grad-clip-ratio 10"
    return f"training diverged in epoch {state.number + 1}: {cause}; {mend}{kept}"


def _cause_of_divergence(model: nn.Module, x: Tensor) -> str:
    """Name the first quantity that is not finite, in the order in which they are computed."""
    broken = [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]
    if broken:
        return f"the weights {broken[0]} (and {len(broken) - 1} more) are not finite"
    trace = cast(Model, model).trace(x, 1)
    parts = {"z": trace.z[0], "log p(x|z)": trace.log_px}
    if trace.has_density:
        parts["KL"] = trace.kl
    bad = [name for name, value in parts.items() if not torch.isfinite(value).all()]
    return f"{bad[0]} is not finite" if bad else "a batch gave a value that is not finite"
