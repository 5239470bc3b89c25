"""The model of a fresh run: its weights, and the rows of the data that they start from."""

import torch
from torch import Tensor

from jensen.config.build import build_model, rows_needed
from jensen.config.choices import write_names
from jensen.config.settings import Settings
from jensen.data import Dataset, Preparation
from jensen.data.seeds import derive_seed, generator, seeded
from jensen.errors import UserError
from jensen.memory import within_memory
from jensen.models import VAE, ConditionalVAE
from jensen.models.conditional import MOST_CONTEXTS


def fresh_model(settings: Settings, dataset: Dataset, preparation: Preparation) -> VAE:
    """The model with its initial weights, which depend on the seed and the data alone, on the CPU.

    Raises:
        UserError: a closed-form KL is needed, and there is none; or the memory does not suffice.
    """
    with within_memory(lambda: _smaller(settings)):
        rows = _starting_rows(settings, dataset, preparation)
        with seeded(derive_seed(settings.seed, "weights")):
            model = build_model(settings, dataset.event_shape, preparation, rows)
            _check_kl(model, settings, rows[:1])
        if isinstance(model, ConditionalVAE):
            with seeded(derive_seed(settings.seed, "contexts")):
                model.contexts.remember(_contexts(dataset, preparation, model))
    return model


def _smaller(settings: Settings) -> str:
    """When memory ran out, and which settings to lower."""
    widths = f"--hidden (now {write_names(map(str, settings.hidden))}) or " if settings.hidden else ""
    return f" for the weights: lower {widths}--latent-dim (now {settings.latent_dim})"


def _starting_rows(settings: Settings, dataset: Dataset, preparation: Preparation) -> Tensor:
    """Random training rows, prepared, as many as are needed: all before one comes twice."""
    train = dataset.numbers("train")
    needed = rows_needed(settings, len(train))
    with seeded(derive_seed(settings.seed, "pseudo-inputs")):
        order = torch.randperm(len(train))
    some = train[order.repeat(-(-needed // len(train)))[:needed]]
    return preparation(dataset.source[some], generator(settings.seed, "pseudo-inputs"))


def _check_kl(model: VAE, settings: Settings, rows: Tensor) -> None:
    """Refuse settings that need a KL in closed form where there is none.

    Raises:
        UserError: which, and the mend.
    """
    coupled = settings.bound == "free-bits" and settings.estimator == "score-function"
    if not (coupled or settings.kl == "closed-form") or all(model.trace(rows).kl_is_exact):
        return
    what, mend = "--kl closed-form", "leave --kl out"
    if coupled:
        what, mend = "--bound free-bits with --estimator score-function", "use --estimator pathwise"
    raise UserError(
        f"{what} needs a KL in closed form, and there is none for --posterior {settings.posterior} and "
        f"--prior {settings.prior}; {mend}, or use --posterior diagonal and --prior standard"
    )


def _contexts(dataset: Dataset, preparation: Preparation, model: ConditionalVAE) -> Tensor:
    """What is given in up to `MOST_CONTEXTS` training rows, drawn evenly, ``[R, Cc]``."""
    train = dataset.numbers("train")
    some = train[torch.randperm(len(train))[:MOST_CONTEXTS].sort().values]
    if dataset.contexts is not None:  # without the images, which are large
        return dataset.contexts[some]
    return model.context_of(preparation(dataset.x[some]))
