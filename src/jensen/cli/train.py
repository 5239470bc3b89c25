"""jensen train DATA: from data to a trained, recorded run."""

import dataclasses
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jensen.cli.common import print_json, say
from jensen.config.effect import DEFAULTS, without_effect
from jensen.config.parse import parse
from jensen.config.settings import Settings, read_run_settings, read_settings
from jensen.errors import UserError
from jensen.recipes import recipe

if TYPE_CHECKING:
    from jensen.figures.epochs import Show
    from jensen.run import Run
    from jensen.training.state import TrainingState


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Settings):
    """Train a VAE on DATA into a run's folder, or go on with a stopped run."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The run's folder. Default: runs/NAME-OF-THE-DATA."""
    config: str | None = None
    """Start from the settings of a file (a run's config.yaml will do: what was left to jensen there is left
    to it again) or a recipe (binarized-mnist, lecture, ...); options on the command line come on top."""
    overwrite: bool = False
    """Replace the run that the folder holds."""
    resume: Path | None = None
    """Go on with this stopped run; only --epochs, --max-time, --patience, --device, --compile and --data-dir
    may be given with it, and DATA where they have moved."""
    json: bool = False
    """Print the result as one JSON object."""


def main(arguments: Sequence[str]) -> None:
    """Parse, train, say what came of it."""
    options = parse(TrainOptions, arguments, "jensen train")
    base = _settings_below(options)
    if base is not None:  # parse again, with those settings for defaults
        options = parse(TrainOptions, arguments, "jensen train", TrainOptions(**_fields(base)))
    with progress() as show:
        if options.resume is not None and base is not None:
            with _as_it_was(options.resume, arguments):
                run = _go_on(options.resume, base, options, show)
        else:
            options = options if base is None else _without_idle(options, base)
            out = _folder(options)
            with _as_it_was(out, arguments):
                run = _begin(out, options, show)
    report(run, as_json=options.json)


@contextmanager
def _as_it_was(run: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Have an interruption before training goes on say that the run is as it was, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if interrupt.args:  # training had begun, and has said more
            raise
        command = shlex.join(["jensen", "train", *arguments])
        raise type(interrupt)(f"{run}: nothing was changed; go on with: {command}") from None


def _folder(options: TrainOptions) -> Path:
    """Where a new run goes."""
    if not options.data:
        raise UserError("no data given: name a data set, as in `jensen train digits`, a file or a folder")
    if options.out == Path():  # also what an empty variable makes of it
        raise UserError("--out names no folder; give one for the run, such as runs/name")
    return options.out or Path("runs") / _name(options.data)


def _begin(out: Path, options: TrainOptions, show: "Show") -> "Run":
    """A run from its start."""
    from jensen import session

    settings = Settings(**_fields(options))
    return session.start(settings, out, overwrite=options.overwrite, on_epoch=show, on_choice=say)


def _go_on(run: Path, base: Settings, options: TrainOptions, show: "Show") -> "Run":
    """A stopped run, whose settings are ``base``, with those of the options that differ."""
    from jensen import session
    from jensen.data import absolute

    trained: list[int] = []

    def on_epoch(state: "TrainingState") -> None:
        trained.append(state.epoch)
        show(state)

    given = _fields(options) | {"data": absolute(options.data)}  # as a run keeps it
    changes = {k: v for k, v in given.items() if v != getattr(base, k)}
    resumed = session.resume(run, changes, on_epoch=on_epoch, on_choice=say)
    if not trained:
        say(f"no epoch was left to train; {_to_go_on(resumed)}")
    return resumed


def _to_go_on(run: "Run") -> str:
    """What keeps a run that is resumed from going on, and the option to raise."""
    done, limit = len(run.history()), run.settings.epochs or 0
    if done >= limit:
        return f"{run.path} has {done} epochs, and --epochs is {limit}: raise it to go on"
    return "raise --patience or --max-time to go on"


def _name(data: str) -> str:
    """What to call the run of a source: its file or folder without suffix, or its name."""
    path = Path(data.removeprefix("hf:").partition(":")[0]).expanduser().resolve()
    return Path(path.name.removesuffix(".gz")).stem


def _settings_below(options: TrainOptions) -> Settings | None:
    """The settings that the command line comes on top of: of a run to resume, a file or a recipe."""
    if options.resume is not None:
        for name in ("config", "out", "overwrite"):
            if getattr(options, name):
                raise UserError(f"--{name} does not go with --resume; leave one of them out")
        return read_run_settings(options.resume)
    if options.config is None:
        return None
    path = Path(options.config)
    return read_settings(path, anew=True) if path.exists() else recipe(options.config)


def _without_idle(options: TrainOptions, base: Settings) -> TrainOptions:
    """The options without those of ``base`` that do nothing beside what the command line chooses; said."""
    for name, why, _ in without_effect(options):
        if getattr(options, name) == getattr(base, name):
            say(f"{options.config}: {why}, and is left out")
            options = dataclasses.replace(options, **{name: DEFAULTS[name]})
    return options


def _fields(settings: Settings) -> dict[str, Any]:
    """The settings alone, without what only the command takes."""
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(Settings)}


def report(run: "Run", *, as_json: bool) -> None:
    """Say where the run is and what its validation bound came to."""
    from jensen.config.rules import objective
    from jensen.memory import peak_memory

    history = run.history()
    best = max(history, key=lambda line: line["validation_bound"])
    if as_json:
        keys = ("validation_bound", "validation_distortion", "validation_rate")
        figures = {key: best[key] for key in keys}
        print_json(
            {
                "run": str(run.path),
                "unit": "nats",
                "epochs": len(history),
                "best_epoch": best["epoch"],
                "seconds": history[-1]["seconds"],
                "peak_memory": peak_memory(),
                **figures,
            }
        )
        return
    print(
        f"{run.path}: best validation {objective(run.settings)} {best['validation_bound']:.2f} nats per "
        f"datum (epoch {best['epoch']} of {len(history)}, {history[-1]['seconds']:.0f} s of training)"
    )
    print(f"next: jensen evaluate {shlex.quote(str(run.path))}")


WIDE = 125
"""Columns of a terminal that has room for all figures beside the bar."""


@contextmanager
def progress() -> "Iterator[Show]":
    """A live bar on a terminal, plain lines elsewhere; both on standard error."""
    from jensen.figures.epochs import figures, plain_lines

    if not sys.stderr.isatty():
        yield plain_lines(say)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    columns = (  # where a terminal is narrow, the words give way and not the counters
        BarColumn(bar_width=20, table_column=Column(min_width=10)),
        MofNCompleteColumn(table_column=Column(min_width=9, no_wrap=True)),
        TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
    )
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("", total=None)

    def show(state: "TrainingState") -> None:
        bar.start()  # not before there is something to show: what comes before may be a refusal
        total, brief = state.learning_rate.plan.epochs, bar.console.width < WIDE
        bar.update(task, total=total, completed=state.epoch, description=figures(state, brief))
        if state.stopped:
            bar.console.print(f"stopped: {state.stopped}", highlight=False)

    try:
        yield show
    finally:
        bar.stop()
