"""Convolutions are in float32 inside, and torch's switch is as it was after."""

import pytest
import torch

from jensen.float32 import full_float32


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
