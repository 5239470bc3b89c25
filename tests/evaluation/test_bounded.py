"""Evaluation decodes so many numbers at a time as memory allows, however many a decoder makes of a row."""

import pytest
import torch
from torch import nn

from jensen import chunks
from jensen.evaluation import importance_weighted
from jensen.evaluation.impute import impute, impute_draws
from jensen.evaluation.score import BLOCK, score
from jensen.families import Conditional, Normal
from jensen.families.scales import NetworkScale
from jensen.models import VAE
from jensen.networks import mlp
from jensen.priors import StandardNormal

CPU = torch.device("cpu")
D, M, B = 3, 2, 40


class Observed(nn.Module):
    """A normal family of many outputs, of which it needs few, whose missing entries add nothing."""

    num_outputs = 800

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def forward(self, raw: torch.Tensor) -> torch.distributions.Distribution:
        self.largest = max(self.largest, raw.numel())
        return Present(torch.distributions.Normal(raw[..., :D], 1.0))


class Present(torch.distributions.Independent):
    def __init__(self, base: torch.distributions.Distribution) -> None:
        super().__init__(base, 1, validate_args=False)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        found = self.base_dist.log_prob(value.nan_to_num())
        return torch.where(value.isnan(), 0.0, found).sum(-1)


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    family = Normal([M], NetworkScale(M))
    encoder = Conditional(nn.Sequential(Filled(), mlp(D, [], family.num_outputs)), family)
    return VAE(StandardNormal(M), encoder, Conditional(mlp(M, [], Observed.num_outputs), Observed())).eval()


class Filled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.nan_to_num()


def rows() -> torch.Tensor:
    x = torch.randn(B, D, generator=torch.Generator().manual_seed(1))
    x[::2, 1] = torch.nan
    return x


def largest(model: VAE) -> int:
    found: int = model.decoder.family.largest
    model.decoder.family.largest = 0
    return found


def test_chunks_of_samples_count_what_is_decoded(model: VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model.decoded == Observed.num_outputs
    whole = importance_weighted(model, rows(), 4000)["distortion"]
    assert largest(model) <= chunks.CHUNK["cpu"] * chunks.PER_NUMBER
    assert len(chunks.chunk_sizes(4000, B * D, CPU)) == 1, "by the numbers of the data, one chunk would do"
    monkeypatch.setitem(chunks.CHUNK, "cpu", B * 100 * 7)
    parts = importance_weighted(model, rows(), 4000)["distortion"]
    assert largest(model) == 7 * B * Observed.num_outputs
    # Means of 4,000: the standard deviation of -log p(x | z) over z is a few nats.
    assert (whole - parts).abs().max() < 0.5
    monkeypatch.setitem(chunks.CHUNK, "cpu", BLOCK * 100 * 3)
    score(model, [rows()], 100)
    assert largest(model) == 3 * B * Observed.num_outputs


def test_rows_are_imputed_a_few_at_a_time(model: VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    x, discrete = rows(), torch.zeros(D, dtype=torch.bool)
    whole = impute([model], [x], discrete, num_samples=200)
    assert largest(model) == 3 * 200 * Observed.num_outputs, "2^19 numbers"
    monkeypatch.setattr("jensen.evaluation.impute.CHUNK", 6 * 200 * Observed.num_outputs)
    parts = impute([model], [x], discrete, num_samples=200)
    assert largest(model) == 6 * 200 * Observed.num_outputs
    there = ~x.isnan()
    assert torch.equal(parts[there], x[there])
    # 200 draws of a unit normal: two means of them differ by 0.1 or so.
    assert (whole - parts)[~there].abs().max() < 0.5
    draws = impute_draws([model], [x], 5, num_samples=200)
    assert largest(model) == 6 * 200 * Observed.num_outputs
    assert draws.shape == (5, B, D)
