"""Normals of which many share a scale: torch's numbers, without its work for each element."""

from typing import Any

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from jensen import families
from jensen.distributions.few_scales import FewScalesNormal, normal
from jensen.distributions.shared_noise import share_noise
from jensen.families import FixedScale, NetworkScale, PerDimensionScale, SharedScale

SHAPES = [((), (4, 3, 50)), ((50,), (4, 3, 50)), ((6, 7, 3), (5, 6, 7, 3)), ((), (2, 1))]


class _Logarithms(TorchDispatchMode):
    """Counts the numbers of which a logarithm is taken."""

    taken = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.log.default:
            self.taken += args[0].numel()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("scales", "shape"), SHAPES)
def test_its_numbers_are_those_of_torch(
    scales: tuple[int, ...], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    loc, scale, x = (torch.randn(of, dtype=dtype) for of in (shape, scales, shape[1:]))
    ours, theirs = normal(loc, scale.exp()), Normal(loc, scale.exp())
    assert isinstance(ours, FewScalesNormal)
    assert torch.equal(ours.log_prob(x), theirs.log_prob(x))
    assert torch.equal(ours.scale, theirs.scale)
    larger = torch.Size([2, *shape])
    assert torch.equal(ours.expand(larger).log_prob(x), theirs.expand(larger).log_prob(x))
    assert torch.equal(ours.expand(larger).stddev, theirs.expand(larger).stddev)


def test_its_gradients_are_those_of_torch() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, dtype=torch.float64)
    loc = torch.randn_like(x).requires_grad_()
    scale = torch.rand(5, dtype=torch.float64).add(0.5).requires_grad_()
    ours, theirs = (
        torch.autograd.grad(made(loc, scale).log_prob(x).sum(), (loc, scale)) for made in (normal, Normal)
    )
    for ours_one, theirs_one in zip(ours, theirs, strict=True):
        torch.testing.assert_close(ours_one, theirs_one, rtol=1e-12, atol=1e-12)


def test_it_can_share_its_noise() -> None:
    q = Independent(normal(torch.zeros(3, 2), torch.ones(())), 1)
    z = share_noise(q).rsample(torch.Size([5]))
    assert torch.equal(z, z[:, :1].expand(5, 3, 2))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(FixedScale(0.5), 1), (SharedScale(0.5), 1), (PerDimensionScale(50), 50), (NetworkScale(50), 2000)],
)
def test_a_decoder_takes_one_logarithm_for_each_scale(scale: families.scales.Scale, expected: int) -> None:
    """And not one for each of the 10 x 4 x 50 numbers."""
    family = families.Normal([50], scale)
    with torch.no_grad(), _Logarithms() as seen:
        p = family(torch.zeros(10, 4, family.num_outputs))
        assert isinstance(p, Independent)
        p.log_prob(torch.zeros(4, 50))
    assert seen.taken == expected
