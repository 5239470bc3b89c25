"""Many samples, a few at a time: what is drawn together, and that nothing is lost between."""

import pytest
import torch
from torch import Tensor, nn

from jensen import chunks
from jensen.chunks import chunk_sizes, traces
from jensen.families import Categorical, Conditional, NetworkScale, Normal
from jensen.models import VAE
from jensen.networks import mlp
from jensen.priors import StandardNormal
from jensen.training.inner import log_weights

D, M, B, LEVELS = 3, 2, 5, 40


class Counted(nn.Module):
    """A module that counts its calls."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, x: Tensor, context: Tensor | None = None) -> torch.distributions.Distribution:
        self.calls += 1
        found: torch.distributions.Distribution = self.module(x)
        return found


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    family = Categorical([D], LEVELS)
    encoder = Counted(Conditional(mlp(D, [], 2 * M), Normal([M], NetworkScale(M))))
    return VAE(StandardNormal(M), encoder, Conditional(mlp(M, [], family.num_outputs), family))


@pytest.fixture
def x() -> Tensor:
    return torch.randint(LEVELS, (B, D), generator=torch.Generator().manual_seed(1)).float()


def test_sizes_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chunks.CHUNK, "cpu", 7 * 15)
    cpu = torch.device("cpu")
    assert chunk_sizes(20, 15, cpu) == [7, 7, 6]
    assert chunk_sizes(14, 15, cpu) == [7, 7]
    assert chunk_sizes(3, 15, cpu) == [3]
    assert chunk_sizes(2, 1000, cpu) == [1, 1]


def test_chunks_go_by_the_larger_of_data_and_decoder(
    model: VAE, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = B * D * LEVELS // chunks.PER_NUMBER
    monkeypatch.setitem(chunks.CHUNK, "cpu", 7 * counted)
    found = list(traces(model, x, 20))
    assert [trace.shape for trace in found] == [(7, B), (7, B), (6, B)]
    assert model.encoder.calls == 1
    assert all(trace.posterior[0] is found[0].posterior[0] for trace in found)


def test_log_weights_are_as_many_as_asked_for(model: VAE, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chunks.CHUNK, "cpu", 7 * B * D * LEVELS // chunks.PER_NUMBER)
    sizes = []
    model.decoder.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    q = model.posterior(x)
    log_w = log_weights(model, x, q, 20, seed=3)
    assert sizes == [7, 7, 6]
    assert (log_w.shape, log_w.dtype) == ((20, B), torch.float64)
    assert log_w.unique().numel() == log_w.numel()
    assert torch.equal(log_w, log_weights(model, x, q, 20, seed=3))
