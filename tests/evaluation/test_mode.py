"""Every figure is made in evaluation mode and float32, whatever mode the model is in, and leaves it so."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Distribution, TransformedDistribution

from jensen.evaluation import encode, evaluate, importance_weighted, reconstruct, sample
from jensen.evaluation.aggregate import aggregate
from jensen.evaluation.ais import annealed_importance_sampling
from jensen.evaluation.bdmc import bidirectional
from jensen.evaluation.score import score
from jensen.families import Conditional, Normal
from jensen.families.scales import NetworkScale, OptimalScale
from jensen.models import VAE
from jensen.networks import mlp
from jensen.priors import Flow, StandardNormal
from jensen.training.two_tier import compute_log_likelihood, refine

B, D, M = 6, 4, 2


class Watched(nn.Module):
    """A module that notes how it is called: in training mode, and with convolutions in tf32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.calls: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        self.calls.append((self.module.training, torch.backends.cudnn.allow_tf32))
        found: Distribution = self.module(x)
        return found


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    q = Normal([M], NetworkScale(M))
    encoder = Watched(Conditional(nn.Sequential(mlp(D, [8], q.num_outputs), nn.Dropout(0.5)), q))
    return VAE(StandardNormal(M), encoder, Watched(Conditional(mlp(M, [8], D), Normal([D], OptimalScale()))))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, D, generator=torch.Generator().manual_seed(1))


def anneal(model: VAE, x: Tensor) -> Any:
    return annealed_importance_sampling(model, x, num_temperatures=3, num_chains=2)


MEASURES: dict[str, Callable[[VAE, Tensor], Any]] = {
    "importance_weighted": lambda model, x: importance_weighted(model, x, 3),
    "evaluate": lambda model, x: evaluate(model, [x], 3),
    "score": lambda model, x: score(model, [x], 3),
    "ais": anneal,
    "bdmc": lambda model, x: bidirectional(model, 3, num_temperatures=3, num_chains=2),
    "encode": lambda model, x: encode(model, [x]),
    "aggregate": lambda model, x: aggregate(model, [x], num_samples=6, num_permutations=2),
    "sample": lambda model, x: sample(model, 3),
    "reconstruct": lambda model, x: reconstruct(model.decoder, torch.zeros(3, M)),
    "refine": lambda model, x: refine(model, x, 2, family=Normal([M], NetworkScale(M)), seed=1),
    "log_likelihood": lambda model, x: compute_log_likelihood(
        model, [x], 2, num_samples=3, family=Normal([M], NetworkScale(M))
    ),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_figures_are_made_in_evaluation_mode_and_float32(
    measure: Callable[[VAE, Tensor], Any], model: VAE, x: Tensor
) -> None:
    model.train()
    model.prior.eval()
    sigma = model.decoder.module.family.scale.sigma.clone()
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        measure(model, x)
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert set(model.encoder.calls + model.decoder.calls) == {(False, False)}
    assert torch.equal(model.decoder.module.family.scale.sigma, sigma), "sigma was fitted to the test rows"
    modes = {name: module.training for name, module in model.named_modules()}
    assert not modes.pop("prior")
    assert all(modes.values())


@pytest.mark.parametrize("name", MEASURES)
def test_only_the_bounds_draw_from_the_global_generator(name: str, model: VAE, x: Tensor) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    MEASURES[name](model, x)
    drawn = not torch.equal(torch.get_rng_state(), before)
    assert drawn == (name in ("importance_weighted", "evaluate"))


@pytest.mark.parametrize("measure", [evaluate, score, compute_log_likelihood, lambda m, x, k: encode(m, x)])
def test_a_tensor_is_no_blocks(measure: Callable[..., Any], model: VAE, x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give blocks of rows, as in \[x\]"):
        measure(model, x, 3)


@pytest.mark.parametrize("measure", [lambda m, b: evaluate(m, b, 2), compute_log_likelihood], ids=["K", "T"])
def test_a_generator_that_is_used_up_is_named(measure: Callable[..., Any], model: VAE, x: Tensor) -> None:
    blocks = iter([x])
    next(blocks)
    with pytest.raises(ValueError, match="no blocks of rows; a generator gives its blocks only once"):
        measure(model, blocks)


@pytest.mark.parametrize("name", ["num_temperatures", "num_chains", "num_leapfrog"])
def test_counts_of_annealing_are_whole_numbers(name: str, model: VAE, x: Tensor) -> None:
    for bad in (0, 2.5):
        for call in (annealed_importance_sampling, lambda m, x, **k: bidirectional(m, 3, **k)):
            with pytest.raises(ValueError, match=f"{name} is {bad}; give a whole number of 1 or more"):
                call(model, x, **{name: bad})  # type: ignore[operator]


def test_chunks_add_up(model: VAE, x: Tensor) -> None:
    with pytest.raises(ValueError, match="chunks add up to 4, and must to num_samples, 5"):
        importance_weighted(model, x, 5, chunks=[2, 2])
    importance_weighted(model, x, 5, chunks=iter([2, 3]))


@pytest.mark.parametrize("count", [0, -1, 2.5, "3"])
def test_counts_are_whole_numbers(count: Any, model: VAE, x: Tensor) -> None:
    for measure in (
        importance_weighted,
        model.trace.__func__,
        lambda m, x, k: score(m, [x], k),
        lambda m, x, k: compute_log_likelihood(m, [x], 1, num_samples=k),
    ):
        with pytest.raises(ValueError, match=r"num_samples is .*; give a whole number of 1 or more"):
            measure(model, x, count)
    for draw in (model.sample, lambda n: sample(model, n)):
        with pytest.raises(ValueError, match=r"n is .*; give a whole number of 1 or more"):
            draw(count)


@pytest.mark.parametrize("name", [name for name in MEASURES if name not in ("bdmc", "sample", "reconstruct")])
def test_no_rows_are_refused(name: str, model: VAE, x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"x has no rows, shape \(0, 4\); give one row or more"):
        MEASURES[name](model, x[:0])


def test_a_posterior_without_a_mean_is_encoded(model: VAE, x: Tensor) -> None:
    base = model.encoder.module.eval()  # a function hides its modules
    shift = AffineTransform(torch.ones(M), 1.0, event_dim=1)
    model.encoder.module = _Function(lambda x: TransformedDistribution(base(x), [shift]))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = encode(model, [x, x]), encode(model, [x, x])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.mean, second.mean)
    q = base(x)
    assert ((first.mean[:B] - 1 - q.mean).abs() < 5 * q.stddev / 16).all()


def test_codes_of_several_latent_groups_are_refused(
    model: VAE, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = model.trace(x)
    groups = {name: 2 * getattr(one, name) for name in ("z", "posterior", "prior", "pathwise")}
    monkeypatch.setattr(model, "trace", lambda *arguments, **named: replace(one, **groups))
    with pytest.raises(ValueError, match="2 latent groups, encoding needs one"):
        encode(model, [x])


class _Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function


def test_a_density_is_asked_for_once_a_chunk(model: VAE, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = Flow(M)
    calls = []
    kind = type(prior())
    real = kind.log_prob
    monkeypatch.setattr(kind, "log_prob", lambda self, z: calls.append(1) or real(self, z))
    model.prior = prior
    found = importance_weighted(model, x, 6, chunks=[2, 2, 2])
    assert len(calls) == 3
    assert torch.isfinite(found["rate"]).all()


def test_contexts_of_blocks_reach_the_model(x: Tensor) -> None:
    class Shifted(nn.Module):
        def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
            mean = torch.cat([z, z], -1) + context
            return torch.distributions.Independent(torch.distributions.Normal(mean, 1.0), 1)

    q = Normal([M], NetworkScale(M))
    model = VAE(StandardNormal(M), Watched(Conditional(mlp(D, [8], q.num_outputs), q)), Shifted())
    context = torch.randn(B, D)
    torch.manual_seed(1)
    found = evaluate(model, iter(x.split(4)), 3, contexts=context.split(4))
    torch.manual_seed(1)
    pairs = zip(x.split(4), context.split(4), strict=True)
    parts = [importance_weighted(model, rows, 3, context=c)["elbo"] for rows, c in pairs]
    assert torch.equal(found["elbo"], torch.cat(parts))
    with pytest.raises(ValueError, match="shorter"):
        evaluate(model, x.split(4), 3, contexts=[context[:4]])


def test_rooms_within_rooms_are_imported_when_used() -> None:
    code = "import jensen; jensen.models.local.two_tier; jensen.evaluation.ais; jensen.evaluation.score.score"
    subprocess.run([sys.executable, "-c", code], check=True)
