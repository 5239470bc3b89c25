"""Convolutions are in float32 inside, and torch's switch is as it was after."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from jensen import families
from jensen.families import Conditional
from jensen.mode import full_float32
from jensen.models import VAE
from jensen.priors import StandardNormal
from jensen.training.two_tier import compute_log_likelihood


@pytest.mark.parametrize("before", [False, True])
def test_the_switch_is_put_back(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)

    @full_float32()
    def inside() -> bool:
        return torch.backends.cudnn.allow_tf32

    assert inside() is False
    assert torch.backends.cudnn.allow_tf32 is before
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 is before


def test_the_newer_switches_are_left_alone() -> None:
    before = torch.backends.cudnn.conv.fp32_precision
    try:
        torch.backends.cudnn.conv.fp32_precision = "ieee" if before == "tf32" else "tf32"
        chosen = torch.backends.cudnn.conv.fp32_precision
        with full_float32():
            assert torch.backends.cudnn.conv.fp32_precision == chosen
        assert torch.backends.cudnn.conv.fp32_precision == chosen
    finally:
        torch.backends.cudnn.conv.fp32_precision = before


def test_inner_maximisation_is_measured_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures stand beside those of `jensen.evaluation`, whose products are in float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    class Decoder(nn.Linear):
        def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
            seen.append(torch.backends.cudnn.allow_tf32)
            return Independent(Normal(super().forward(z), 1.0), 1)

    encoder = Conditional(nn.Linear(3, 4), families.Normal([2], families.NetworkScale(2)))
    model = VAE(StandardNormal(2), encoder, Decoder(2, 3))
    compute_log_likelihood(model, [torch.randn(4, 3)], steps=2)
    assert seen
    assert not any(seen)
