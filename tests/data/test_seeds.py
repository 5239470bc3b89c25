"""Draws from a seed that leave no mark."""

import pytest
import torch

from jensen.data.seeds import seeded
from jensen.distributions.moments import seeded_moments
from jensen.distributions.one_hot import RelaxedOneHot
from jensen.evaluation import sample
from jensen.models import VAE
from jensen.priors import StandardNormal


def test_draws_are_those_of_the_seed_and_the_generator_is_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with seeded(5):
        first = torch.rand(2)
    with seeded(5):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.rand(4), expected)


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with GPUs that this process has not opened: to ask one for its state would open it."""

    def opened(*args: object) -> None:
        raise AssertionError("a GPU was opened")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", opened)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", opened)


@pytest.mark.usefixtures("eight_gpus")
def test_work_on_the_cpu_opens_no_gpu() -> None:
    def decoder(z: torch.Tensor, context: None) -> torch.distributions.Distribution:
        return torch.distributions.Independent(torch.distributions.Normal(z, 1.0), 1)

    model = VAE(StandardNormal(2), torch.nn.Identity(), torch.nn.Identity())
    model.decoder.forward = decoder
    assert sample(model, 3).shape == (3, 2)


@pytest.mark.usefixtures("eight_gpus")
def test_moments_on_the_cpu_leave_the_gpus_alone() -> None:
    seeded_moments(RelaxedOneHot(torch.zeros(1, 2), 1.0), torch.device("cpu"))
