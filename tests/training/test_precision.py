"""bfloat16 products: what is rounded and what is not, and where they are chosen or refused."""

import pytest
import torch
from torch.nn import functional

import jensen.training.precision
from jensen.errors import UserError
from jensen.training.precision import Bf16Products, choose_precision, products
from tests.training.cases import problem

CPU = torch.device("cpu")


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().float()


def test_products_are_those_of_rounded_numbers_and_all_else_is_not_rounded() -> None:
    torch.manual_seed(0)
    x, w, b = torch.randn(64, 32), torch.randn(8, 32), torch.randn(8)
    expected = rounded(functional.linear(rounded(x), rounded(w))) + b
    for native in (False, True):
        with Bf16Products(native):
            y = functional.linear(x, w, bias=b)
            tanh, product = torch.tanh(x), x @ w.T
        assert y.dtype == torch.float32
        # Of the same rounded numbers, summed up in another order: at most one rounding apart.
        torch.testing.assert_close(y, expected, rtol=2**-7, atol=2**-7)
        assert torch.equal(tanh, torch.tanh(x))
        assert torch.equal(product, x @ w.T), "a product outside of a layer is not rounded"
    assert not torch.equal(expected, functional.linear(x, w, b))


def test_convolutions_are_rounded_and_float64_is_left_alone() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    b = torch.randn(4)
    with Bf16Products(native=False):
        y = functional.conv2d(x, w)
        z = functional.conv2d(x, w, b, 2, padding=1)
        up = functional.conv_transpose2d(input=z, weight=w, bias=b[:3], stride=2)
        exact = functional.linear(x.double(), w.double().flatten()[:8][None])
    assert torch.equal(y, rounded(functional.conv2d(rounded(x), rounded(w))))
    expected = rounded(functional.conv2d(rounded(x), rounded(w), stride=2, padding=1)) + b[:, None, None]
    assert torch.equal(z, expected)
    expected = rounded(functional.conv_transpose2d(rounded(z), rounded(w), stride=2)) + b[:3, None, None]
    assert torch.equal(up, expected)
    assert torch.equal(exact, functional.linear(x.double(), w.double().flatten()[:8][None]))


def test_gradients_are_rounded_on_their_way_and_weights_stay_float32() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(16, 8), torch.randn(4, 8, requires_grad=True)
    out = torch.randn(16, 4)
    with products("bf16", CPU):
        (functional.linear(x, w) * out).sum().backward()
    assert w.dtype == w.grad.dtype == torch.float32  # type: ignore[union-attr]
    torch.testing.assert_close(w.grad, rounded(rounded(out).T @ rounded(x)), rtol=2**-7, atol=2**-6)


def test_the_gradient_of_a_bias_is_not_rounded() -> None:
    """A sum over rows and pixels, whose roundings are alike where a decoder says the same of all."""
    x, w, b = torch.zeros(64, 2, 4, 4), torch.zeros(3, 2, 1, 1), torch.full((3,), -1.3, requires_grad=True)
    with products("bf16", CPU):
        functional.conv2d(x, w, b).sigmoid().sum().backward()
    share = torch.tensor(-1.3).sigmoid()
    torch.testing.assert_close(b.grad, (64 * 16 * share * (1 - share)).expand(3), rtol=1e-5, atol=0)


def test_the_bound_is_nearly_that_of_float32() -> None:
    values = {}
    for precision in ("float32", "bf16"):
        it = problem("likelihood bernoulli", precision=precision)
        torch.manual_seed(1)
        values[precision], gradients = it.slope(it.rows[:16], it.weight)
        assert all(g is None or g.dtype == torch.float32 for g in gradients)
    assert values["bf16"] != values["float32"]
    torch.testing.assert_close(values["bf16"], values["float32"], rtol=1e-2, atol=0)


def test_auto_is_bf16_where_that_is_fast_and_was_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jensen.training.precision, "is_fast", lambda device: True)
    precision, said = choose_precision("auto", "bernoulli", "cpu")
    assert precision == "bf16"
    assert "--precision float32" in said
    assert choose_precision("auto", "normal", "cpu") == ("float32", "")
    monkeypatch.setattr(jensen.training.precision, "is_fast", lambda device: False)
    assert choose_precision("auto", "bernoulli", "cpu") == ("float32", "")


def test_bf16_without_its_instructions_is_said_on_a_cpu_and_refused_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jensen.training.precision, "is_fast", lambda device: False)
    precision, said = choose_precision("bf16", "normal", "cpu")
    assert precision == "bf16"
    assert "no faster" in said
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match=r"compute capability 8\.0 .* cuda has 7\.5; use --precision float32"):
        choose_precision("bf16", "normal", "cuda")
