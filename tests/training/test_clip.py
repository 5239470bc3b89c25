"""Gradients of bounded length: by a norm, by a multiple of the running norm, and by both."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen.errors import UserError
from jensen.training.clip import SHARE, Clip
from jensen.training.plan import Plan
from tests.training.cases import problem


def lengths(clip: Clip, given: list[float]) -> list[float]:
    """Of what comes out, for gradients of these lengths: two parameters', and one that has none."""
    way = torch.tensor([2.0, 1.0, 2.0]) / 3
    found = []
    for length in given:
        one, other, none = clip((length * way[:1], length * way[1:], None))
        assert none is None
        whole = torch.cat([one, other])
        if math.isfinite(length):
            torch.testing.assert_close(whole / whole.norm(), way)
        found.append(float(whole.norm()))
    return found


def test_no_longer_than_a_multiple_of_the_running_norm() -> None:
    given = [1.0, 2.0, 500.0, 3.0, 0.1]
    expected, running = [], given[0]
    for length in given:
        expected.append(min(length, 10 * running))
        running += SHARE * (expected[-1] - running)
    clip = Clip(Plan(grad_clip_ratio=10))
    np.testing.assert_allclose(lengths(clip, given), expected, rtol=1e-5)
    np.testing.assert_allclose(clip.norm, running, rtol=1e-5)
    assert expected[2] == pytest.approx(11.0), "the spike is one of the running norm's tenfold"


def test_a_run_of_long_gradients_is_soon_let_through() -> None:
    assert lengths(Clip(Plan(grad_clip_ratio=10)), [1.0] + [1000.0] * 12)[-1] == pytest.approx(1000)


def test_by_a_norm_and_by_both() -> None:
    np.testing.assert_allclose(lengths(Clip(Plan(grad_clip=2)), [1.0, 4.0, 400.0]), [1, 2, 2], rtol=1e-5)
    both = Clip(Plan(grad_clip=5, grad_clip_ratio=3))
    np.testing.assert_allclose(lengths(both, [1.0, 4.0, 400.0, 400.0]), [1, 3, 3.6, 4.32], rtol=1e-5)
    gradients: tuple[Tensor | None, ...] = (torch.ones(3), None)
    assert Clip(Plan())(gradients) is gradients, "no clipping costs nothing"


@pytest.mark.parametrize("most", [0.5, 2.0])
def test_gradients_are_clipped_as_torch_clips_them(most: float) -> None:
    """Their norm is 1.3: a limit below it scales them down, and one above it leaves them as they are."""
    gradients = (torch.tensor([0.3, -0.4]), None, torch.tensor([[1.2]]))
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients if g is not None]
    for p, g in zip(parameters, (g for g in gradients if g is not None), strict=True):
        p.grad = g.clone()
    nn.utils.clip_grad_norm_(parameters, most)
    first, nothing, last = Clip(Plan(grad_clip=most))(gradients)
    assert nothing is None
    for ours, p in zip((first, last), parameters, strict=True):
        torch.testing.assert_close(ours, p.grad, atol=0, rtol=0)


def test_what_is_not_finite_is_not_hidden() -> None:
    clip = Clip(Plan(grad_clip_ratio=10))
    assert math.isnan(lengths(clip, [1.0, math.inf])[-1])


def test_a_gradient_of_zero_does_not_close_the_way() -> None:
    found = []
    clip = Clip(Plan(grad_clip_ratio=10))
    for length in (0.0, 4.0, 5.0):
        (g,) = clip((torch.full((1,), length),))
        assert g is not None
        found.append(float(g))
    assert found == pytest.approx([0, 4, 5])


@pytest.mark.parametrize("ratio", [-1.0, 0.5, math.inf, math.nan])
def test_a_ratio_that_would_end_at_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(UserError, match=r"grad_clip_ratio is .*; it must be 0, or 1 or more"):
        Plan(grad_clip_ratio=ratio)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"network": "conv"}, 10), ({"network": "mlp"}, 0), ({"network": "conv", "grad_clip_ratio": 0}, 0)],
)
def test_convolutions_have_it_by_default(changes: dict[str, Any], expected: float) -> None:
    it = problem("", kind="image", **changes)
    assert it.settings.grad_clip_ratio == expected
    assert it.slope.clip.ratio == expected
