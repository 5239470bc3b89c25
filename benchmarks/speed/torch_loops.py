"""What people write themselves in PyTorch: the loop of every tutorial, and one tuned by an expert."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.speed.tasks import LEARNING_RATE, Task
from benchmarks.speed.torch_networks import coders
from benchmarks.speed.worker import Turns
from torch import Tensor, nn

PACKAGES = ("torch",)


class Network(nn.Module):
    """The negative ELBO of the task's network."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.encoder, self.decoder = coders(task)

    def forward(self, x: Tensor) -> Tensor:
        """The loss of a batch ``[B, *event]``, nats per datum."""
        mean, log_variance = self.encoder(x).float().chunk(2, -1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = self.decoder(z).float()
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(-1)
        rate = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(-1)
        return (distortion + rate).mean()


def plain(network: Network, task: Task) -> Callable[[], Iterator[Tensor]]:
    """DataLoader, zero_grad, backward, step."""
    x = torch.from_numpy(np.load(task.data)[: task.rows]).float()
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x), batch_size=task.batch_size, shuffle=True
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)

    def epoch() -> Iterator[Tensor]:
        for (batch,) in loader:
            loss = network(batch.to(task.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.detach()

    return epoch


def compiled(network: Network, task: Task, precision: str) -> Callable[[], Iterator[Tensor]]:
    """Data resident as bytes, batches by index, loss and gradients compiled, one fused Adam update.

    On a GPU the compiled parts are captured as graphs.
    """
    x = torch.from_numpy(np.load(task.data)[: task.rows]).to(task.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)

    def loss_of(rows: Tensor) -> Tensor:
        lower: AbstractContextManager[object] = (
            torch.autocast(x.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
        )
        with lower:
            return network(x[rows].float())

    fast = torch.compile(loss_of, mode="default" if task.device == "cpu" else "reduce-overhead")

    def epoch() -> Iterator[Tensor]:
        for rows in torch.randperm(len(x), device=x.device).split(task.batch_size):
            loss = fast(rows)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield loss.detach().clone()  # a graph writes its next loss to the same place

    return epoch


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Train until told to end."""
    torch.manual_seed(task.seed)
    network = Network(task).to(task.device)
    if name == "plain loop":
        epoch = plain(network, task)
    else:
        epoch = compiled(network, task, "bf16" if name.endswith("bf16") else "fp32")
    while True:
        turns.end(torch.stack(list(epoch())).mean().item())


def clean() -> None:
    """Forget what was compiled for the last task, as a new process would have."""
    torch.compiler.reset()
