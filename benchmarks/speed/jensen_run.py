"""jensen, through its own public training path: a run in a folder, with validation and checkpoints."""

import torch
from benchmarks.speed.tasks import HIDDEN, LATENTS, LEARNING_RATE, Task
from benchmarks.speed.worker import Turns

from jensen.config import Settings
from jensen.config.parse import parse, to_arguments
from jensen.session import start
from jensen.training.state import TrainingState

PACKAGES = ("jensen", "torch")


def settings_of(task: Task) -> Settings:
    """A run of which far more epochs are planned than will be trained; jensen's defaults for the rest."""
    share = task.held_out / (task.rows + 2 * task.held_out)
    settings = Settings(
        data=str(task.data),
        latent_dim=LATENTS,
        hidden=(HIDDEN,),
        activation="relu",
        likelihood="bernoulli",
        epochs=1000,
        patience=0,
        batch_size=task.batch_size,
        lr=LEARNING_RATE,
        lr_schedule="constant",
        validation_fraction=share,
        test_fraction=share,
        device=task.device,
        seed=task.seed,
    )
    return parse(Settings, to_arguments(task.options, Settings, "data"), "jensen train", settings)


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Train until told to end; what is said of steps that could not be compiled goes with each answer."""
    said = list[str]()

    def after_epoch(state: TrainingState) -> None:
        turns.end(-state.history[-1]["train_bound"], remarks=[s for s in said if "not compiled" in s])

    start(
        settings_of(task),
        task.folder / "run",
        overwrite=True,
        on_epoch=after_epoch,
        on_choice=said.append,
    )


def clean() -> None:
    """Forget what was compiled for the last task, as a new process would have."""
    torch.compiler.reset()
