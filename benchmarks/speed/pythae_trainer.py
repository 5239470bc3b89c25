"""Pythae: its VAE with the task's network, trained by its own trainer; and its log-likelihood."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed.tasks import LATENTS, LEARNING_RATE, Task
from benchmarks.speed.torch_networks import coders
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
    """Mean and log-variance by a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> ModelOutput:
        """Mean and log-variance."""
        mean, log_variance = self.network(x).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """Pythae's cross-entropy takes probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> ModelOutput:
        """Probabilities."""
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


def build(task: Task) -> VAE:
    """The model, of the networks that all contestants have."""
    config = VAEConfig(input_dim=task.event, latent_dim=LATENTS, reconstruction_loss="bce")
    encoder, decoder = coders(task)
    return VAE(config, Encoder(encoder), Decoder(decoder))


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
    BaseTrainer(build(task), data, training_config=config, callbacks=[Pause(turns)]).train()


def clean() -> None:
    """Nothing is kept."""


def log_likelihood(weights: Path, images: Path, num_samples: int) -> dict[str, float]:
    """The mean over images of its importance-weighted estimate of log p(x), nats, and its seconds."""
    model = build(Task(images, 1, 0, 1, 0, images.parent, {})).eval()
    arrays = np.load(weights)
    modules = [*model.encoder.modules(), *model.decoder.modules()]
    layers = [module for module in modules if isinstance(module, nn.Linear)]
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
