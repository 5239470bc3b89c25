"""Pythae: its VAE with the task's network, trained by its own trainer; and its log-likelihood."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed.tasks import HIDDEN, LATENTS, LEARNING_RATE, PIXELS, Task
from benchmarks.speed.worker import Turns
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

PACKAGES = ("pythae", "torch")


class Encoder(BaseEncoder):
    """784-512-2 x 16."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(PIXELS, HIDDEN), nn.Linear(HIDDEN, 2 * LATENTS)

    def forward(self, x: Tensor) -> ModelOutput:
        """Mean and log-variance."""
        mean, log_variance = self.out(torch.relu(self.hidden(x))).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """16-512-784; Pythae's cross-entropy takes probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(LATENTS, HIDDEN), nn.Linear(HIDDEN, PIXELS)

    def forward(self, z: Tensor) -> ModelOutput:
        """Probabilities."""
        return ModelOutput(reconstruction=torch.sigmoid(self.out(torch.relu(self.hidden(z)))))


def build(log_odds: np.ndarray | None = None) -> VAE:
    """The model; its weights are drawn as the other contestants draw theirs, and its last bias is given."""
    config = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENTS, reconstruction_loss="bce")
    model = VAE(config, Encoder(), Decoder())
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    if log_odds is not None:
        model.decoder.out.bias.data.copy_(torch.from_numpy(log_odds))
    return model


class Pause(TrainingCallback):
    """Ends a turn where the trainer logs an epoch."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_log(self, training_config: Any, logs: dict[str, float], **other: Any) -> None:
        """The epoch is over."""
        self.turns.end(logs["train_epoch_loss"])


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Train until told to end."""
    torch.manual_seed(task.seed)
    x = torch.from_numpy(np.load(task.data)[: task.rows]).float()
    config = BaseTrainerConfig(
        output_dir=str(task.folder / "pythae"),
        num_epochs=1000,
        per_device_train_batch_size=task.batch_size,
        per_device_eval_batch_size=task.batch_size,
        learning_rate=LEARNING_RATE,
        no_cuda=task.device == "cpu",
        seed=task.seed,
    )
    data = BaseDataset(x, torch.zeros(len(x)))
    BaseTrainer(build(task.log_odds()), data, training_config=config, callbacks=[Pause(turns)]).train()


def clean() -> None:
    """Nothing is kept."""


def log_likelihood(weights: Path, images: Path, num_samples: int) -> dict[str, float]:
    """The mean over images of its importance-weighted estimate of log p(x), nats, and its seconds."""
    model = build().eval()
    arrays = np.load(weights)
    layers = (model.encoder.hidden, model.encoder.out, model.decoder.hidden, model.decoder.out)
    with torch.no_grad():
        for i, layer in enumerate(layers):
            layer.weight.copy_(torch.from_numpy(arrays[f"weight{i}"]))
            layer.bias.copy_(torch.from_numpy(arrays[f"bias{i}"]))
        x = torch.from_numpy(np.load(images)).float()
        torch.manual_seed(0)
        began = time.perf_counter()
        value = float(model.get_nll(x, n_samples=num_samples, batch_size=min(1000, num_samples)))
    return {"seconds": time.perf_counter() - began, "log_px": value}


if __name__ == "__main__":
    print(json.dumps(log_likelihood(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
