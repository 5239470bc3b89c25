"""A compiled decoder gives what the decoder gives, whatever it is asked, and its failures stop nothing."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch

from jensen.evaluation import importance_weighted, sample
from jensen.evaluation.ais import annealed_importance_sampling
from jensen.evaluation.compiled import compiled
from jensen.evaluation.score import score
from jensen.families import Bernoulli as BernoulliFamily
from jensen.families import Categorical as CategoricalFamily
from jensen.families import Conditional, NetworkScale, Normal, SharedScale
from jensen.models import VAE
from jensen.networks import mlp
from jensen.priors import StandardNormal
from jensen.training.inner import refine


def model_of(family: Any, event: tuple[int, ...], dtype: torch.dtype = torch.float32) -> VAE:
    torch.manual_seed(0)
    posterior = Normal([3], NetworkScale(3))
    encoder = Conditional(mlp(math.prod(event), [8], posterior.num_outputs), posterior, event_dim=len(event))
    decoder = Conditional(mlp(3, [8], family.num_outputs), family)
    return VAE(StandardNormal(3), encoder, decoder).to(dtype).eval().requires_grad_(False)


@pytest.fixture
def eager_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as for compiling, run without a compiler of C++, which costs half a minute."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend="eager", **options))


@pytest.mark.usefixtures("eager_backend")
@pytest.mark.parametrize(
    "family", [BernoulliFamily([5, 7]), Normal([5, 7], SharedScale(0.5))], ids=["b", "n"]
)
def test_the_figures_are_those_of_the_model(family: Any) -> None:
    model = model_of(family, (5, 7), torch.float64)
    fast = compiled(model, after=0.0)
    x = (torch.rand(6, 5, 7, dtype=torch.float64) < 0.3).double()
    for measure in (
        lambda m: importance_weighted(m, x, 64, chunks=[32, 32]),
        lambda m: {"log_px": annealed_importance_sampling(m, x, num_temperatures=5, num_chains=4).log_px},
        lambda m: {"bound": refine(m, x, 8, every=4).bound},
        lambda m: {"score": score(m, [x], 20).log_px},
    ):
        values = []
        for m in (model, fast, fast):  # the second time compiled from the start
            torch.manual_seed(3)
            values.append(measure(m))
        for found in values[1:]:
            torch.testing.assert_close(found, values[0], rtol=1e-9, atol=1e-9)
    assert fast.decoder.functions, "nothing was compiled"


@pytest.mark.parametrize("context", [None, torch.zeros(6, 2)], ids=["", "context"])
def test_a_trace_is_decoded_once(context: torch.Tensor | None) -> None:
    model = model_of(BernoulliFamily([4]), (4,))
    calls: list[int] = []
    model.decoder.register_forward_hook(lambda *_: calls.append(1))
    network = model.decoder.forward
    model.decoder.forward = lambda z, context=None: network(z)
    encode = model.encoder.forward
    model.encoder.forward = lambda x, context=None: encode(x)
    x = torch.ones(6, 4)
    for m in (model, compiled(model)):
        calls.clear()
        importance_weighted(m, x, 9, chunks=[3, 3, 3], context=context)
        assert len(calls) == 3, "one for each chunk"
        m.trace(x, 2, context=context).log_w.sum()
        assert len(calls) == 4


def test_what_is_not_asked_of_log_prob_comes_from_the_decoder() -> None:
    model = model_of(BernoulliFamily([4]), (4,))
    fast = compiled(model)
    torch.manual_seed(1)
    expected = model.sample(3)
    torch.manual_seed(1)
    assert torch.equal(fast.sample(3), expected)
    z = torch.randn(2, 3, 3)
    assert torch.equal(fast.decoder(z).mean, model.decoder(z).mean)
    assert fast.decoder.decoder is model.decoder, "the weights are shared"
    assert compiled(fast) is fast
    assert isinstance(model.decoder, Conditional), "the model itself is as it was"


def test_the_mean_of_class_indices_is_their_mode() -> None:
    model = model_of(CategoricalFamily([4], 3), (4,))
    fast = compiled(model)
    for _ in range(2):  # the first likelihood is the decoder's own
        assert torch.equal(sample(fast, 5, mean=True), sample(model, 5, mean=True))


def test_a_compiler_that_fails_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any, **options: Any) -> Any:
        def fail(*arguments: Any) -> None:
            raise RuntimeError("no C++ compiler")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    model = model_of(BernoulliFamily([4]), (4,))
    fast = compiled(model, after=0.0)
    x = (torch.rand(6, 4) < 0.3).float()
    torch.manual_seed(2)
    expected = importance_weighted(model, x, 9, chunks=[3, 3, 3])
    torch.manual_seed(2)
    with pytest.warns(UserWarning, match=r"going on without torch\.compile"):
        found = importance_weighted(fast, x, 9, chunks=[3, 3, 3])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_short_work_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda *a, **k: pytest.fail("compiled"))
    fast = compiled(model_of(BernoulliFamily([4]), (4,)))
    importance_weighted(fast, torch.ones(6, 4), 1000)


def test_compiling_leaves_the_checks_of_distributions_as_they_were() -> None:
    """In a process of its own: torch.compile switches them off once."""
    code = """
import torch
from torch.distributions import Distribution
from jensen.evaluation.compiled import _compiled
double = _compiled(lambda z, x: z + x)
assert Distribution._validate_args
torch.compile(lambda z: z, backend="eager")(torch.ones(1))
assert Distribution._validate_args
"""
    subprocess.run([sys.executable, "-c", code], check=True)
