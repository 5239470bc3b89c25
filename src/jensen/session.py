"""Training sessions: a run begun, or gone on with, from data to weights on disk."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jensen.config.build import build_bound, build_estimator, build_memory
from jensen.config.data import load_dataset
from jensen.config.fresh import fresh_model
from jensen.config.identity import FREE
from jensen.config.record import record
from jensen.config.resolve import resolve
from jensen.config.settings import CHOSEN, Settings, chosen, write_config
from jensen.data import Dataset, absolute
from jensen.data.stored import Stored
from jensen.data.strange import strange_numbers
from jensen.data.words import count
from jensen.errors import UserError, dashed
from jensen.files import sweep
from jensen.folder import begin, check_free, holds_any, take_back
from jensen.mode import learning
from jensen.run import WRITTEN, OtherDataError, Run
from jensen.saving import Saving, write
from jensen.training.device import choose_device
from jensen.training.loop import TrainingData, train
from jensen.training.state import TrainingState

EPOCH_ROWS = 1 << 16
"""Rows of an epoch where the data are larger than memory, unless --epoch-rows says otherwise."""
VALIDATION_ROWS = 20_000
"""Validation rows, evenly spaced, on which each epoch is judged where the data are larger than memory."""


@learning
def start(
    settings: Settings,
    out: Path,
    *,
    overwrite: bool = False,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Run:
    """Train from scratch into the folder ``out``. A run that it holds is kept until an epoch is done.

    Raises:
        UserError: unusable data or settings, ``out`` already holds a run, or the first epoch diverged;
            nothing is touched then.
    """
    device = choose_device(settings.device)  # may refuse, before anything is touched or read
    if not overwrite:
        check_free(out)
    dataset = load_dataset(settings, on_choice=on_choice)
    # First: they may say what to do about data that are then refused.
    for sentence in (*dataset.notes, *strange_numbers(dataset)):
        on_choice(sentence)
    settings = settings.replace(data=absolute(settings.data), **_resolved(settings.data_dir, settings.schema))
    asked = settings
    settings, notes = _bounded(asked, dataset)
    settings, said = resolve(settings, dataset)
    columns = [] if dataset.schema is None else dataset.schema.sentences()
    run = Run(out, settings, record(settings, dataset) | {CHOSEN: chosen(asked, settings)})
    model = fresh_model(settings, dataset, run.preparation)  # may refuse; the folder is touched after it
    state = TrainingState.start(model.to(device), settings, build_memory(settings))
    for sentence in (*notes, *columns, *said):
        on_choice(sentence)
    if not overwrite:
        check_free(out)  # again: reading the data may have taken long, and another training begun there
    return _fit_anew(run, dataset, state, on_epoch, on_choice)


def _fit_anew(
    run: Run,
    dataset: Dataset,
    state: TrainingState,
    on_epoch: Callable[[TrainingState], None],
    say: Callable[[str], None],
) -> Run:
    """Train a new run into its folder, which stays as it is if the first epoch fails."""
    held = holds_any(run.path)
    if not held:
        begin(run, dataset.schema)
    try:
        replaces = partial(begin, run, dataset.schema) if held else None
        return _fit(run, dataset, state, on_epoch, say, replaces)
    except KeyboardInterrupt as interrupt:
        if not held and not interrupt.args:  # nothing was said of how to resume: before the first step
            take_back(run.path)
        raise
    except UserError as error:
        if state.epoch:
            raise
        if not held:  # no run that could only diverge again is to bar the folder
            take_back(run.path)
        raise UserError(f"{error}; nothing was written to {run.path}") from None


def _resolved(data_dir: Path | None, schema: Path | None = None) -> dict[str, Path]:
    """The settings that are paths and are given, to be found again from any folder."""
    paths = {"data_dir": data_dir, "schema": schema}
    return {name: path.resolve() for name, path in paths.items() if path is not None}


def _bounded(settings: Settings, dataset: Dataset) -> tuple[Settings, list[str]]:
    """Settings whose epochs end, also where data are larger than memory, and what to say of them."""
    rows, notes = len(dataset.numbers("train")), []
    if isinstance(dataset.x, Stored):
        settings = settings.replace(epoch_rows=min(settings.epoch_rows or EPOCH_ROWS, rows))
        notes.append(
            f"{dataset.name} is large: its {len(dataset.x):,} rows stay on disk while training. An epoch "
            f"takes the next {settings.epoch_rows:,} of {rows:,} training rows (--epoch-rows), and its "
            f"validation bound is that of at most {VALIDATION_ROWS:,} rows"
        )
    if settings.batch_size is not None and settings.batch_size > rows:
        notes.append(
            f"--batch-size {settings.batch_size} is more than the {count(rows, 'training row')}: an epoch is "
            "one step"
        )
    return settings, notes


@learning
def resume(
    path: Path,
    changes: dict[str, Any],
    *,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Run:
    """Go on with a stopped run, to the weights of a run never stopped (bit for bit on the CPU).

    Args:
        path: the run's folder.
        changes: settings to change, of those in `FREE`; ``data`` only to where the same data are now.
        on_epoch: called after every epoch.
        on_choice: told, in a line, when the training step is compiled or why it is not.

    Raises:
        UserError: ``path`` is no run or is damaged, or a setting may not change.
    """
    run = Run.open(path)
    fixed = [name for name in changes if name not in (*FREE, "data")]
    if fixed:
        raise UserError(
            f"{dashed(fixed[0])} cannot change when a run is resumed (only {', '.join(map(dashed, FREE))} "
            "can); train a new run"
        )
    changes = changes | _resolved(changes.get("data_dir"))
    begun = any((path / name).exists() for name in WRITTEN[1:])
    if begun:  # an altered config.yaml is named before anything is made of it
        _check_epochs(run, changes.get("epochs"))
    dataset = _found_again(run, changes)
    run.settings = run.settings.replace(**changes | {"data": run.settings.data})
    device = choose_device(run.settings.device)
    model = fresh_model(run.settings, dataset, run.preparation).to(device)
    memory = build_memory(run.settings)
    if begun:
        state = TrainingState.load(run.checkpoint, model, run.settings, memory, run.identity)
        for damage in run.damages():
            on_choice(f"{damage}: it is written anew from the checkpoint")
    else:  # stopped before the first checkpoint
        state = TrainingState.start(model, run.settings, memory)
    if changes:
        write_config(run.config, run.settings, run.recorded)
    return _fit(run, dataset, state, on_epoch, on_choice)


def _check_epochs(run: Run, epochs: int | None) -> None:
    """Refuse fewer epochs than are done: config.yaml would say that they are all.

    Raises:
        UserError: there are fewer; the checkpoint is damaged, or of another config.yaml.
    """
    done = len(TrainingState.read_history(run.checkpoint, run.identity))
    if epochs is not None and epochs < done:
        raise UserError(
            f"--epochs {epochs} is less than the {done} that {run.path} has done; give more of them, or "
            "train a new run"
        )


def _found_again(run: Run, changes: dict[str, Any]) -> Dataset:
    """The data of a run that is resumed, which may have moved."""
    if "data" not in changes:
        return run.dataset(changes.get("data_dir"))
    run.moved(absolute(changes["data"]))
    try:
        return run.dataset(changes.get("data_dir"))
    except OtherDataError as error:
        raise UserError(
            f"DATA cannot change when a run is resumed: {str(error).partition(';')[0]}; give the same data, "
            "or train a new run"
        ) from None


def _fit(
    run: Run,
    dataset: Dataset,
    state: TrainingState,
    on_epoch: Callable[[TrainingState], None],
    say: Callable[[str], None],
    replaces: Callable[[], None] | None = None,
) -> Run:
    """Train ``run`` from ``state`` on, and write it: after an epoch over another, which ``replaces`` ends."""
    settings = run.settings
    device = choose_device(settings.device)
    for name in WRITTEN:
        sweep(run.path / name)
    preparation = run.preparation.to(device)
    rows = dataset.stream("train", settings.seed, settings.epoch_rows)
    held_out = dataset.thinned("validation", VALIDATION_ROWS)
    data = TrainingData(
        rows=rows,
        prepare=preparation,
        validation=lambda: run.blocks(held_out, "validation"),
        log_det=run.log_det,
    )
    estimator = build_estimator(settings, state.memory)
    saving = Saving(run, state, replaces)

    def after_epoch(state: TrainingState) -> None:
        saving.after_epoch(state)
        on_epoch(state)

    try:
        train(state, data, build_bound(settings), estimator, settings, after_epoch, say)
        write(run, state)
    except UserError as error:
        saving.failed(state, error)
        raise
    except KeyboardInterrupt as interrupt:
        if (epochs := saving.interrupted()) is None:
            raise
        raise type(interrupt)(_how_to_go_on(run, epochs)) from None
    return run


def _how_to_go_on(run: Run, epochs: int) -> str:
    """What is kept of a training that was interrupted, and the command that goes on with it."""
    kept = f"its {epochs} whole epochs are kept" if epochs > 1 else "its first epoch is kept"
    if not epochs:
        kept = "it was in its first epoch, of which nothing is kept"
    return f"{run.path}: {kept}; go on with: jensen train --resume {shlex.quote(str(run.path))}"
