"""Laws of families and priors as modules: finite everywhere, honest about rsample, shapes, types, state."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Distribution

from jensen import families, priors
from tests.chance import within_chance
from tests.laws.cases import ALL, FAMILIES, Case
from tests.laws.integration import smooth, values
from tests.laws.test_densities import COMPARISONS

EXTREMES = (0.0, 1.0, -1.0, 30.0, -30.0, 1e3, -1e3, 1e6, -1e6)

each = pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
each_family = pytest.mark.parametrize("case", FAMILIES, ids=lambda case: case.name)

ELSEWHERE = {families.Conditional, families.Exposed}
"""No family, and a family of counts given their total, whose laws tests/families/test_exposure.py has."""


def test_every_family_and_every_prior_is_submitted_to_the_laws() -> None:
    found = [kind for room in (families, priors) for kind in vars(room).values() if isinstance(kind, type)]
    kinds = {kind for kind in found if issubclass(kind, nn.Module)}
    assert kinds - ELSEWHERE <= {type(part) for case in ALL for part in case.build().modules()}


def some_values(case: Case, distribution: Distribution, n: int = 7) -> torch.Tensor:
    """A few values of the support, ends included, ``[n, *event]``."""
    if case.support == "real":
        ladder = torch.tensor([-10.0, -1.0, -0.1, 0.0, 0.3, 2.0, 10.0], dtype=torch.float64)
        return torch.stack([ladder, ladder.flip(0)], -1)[:, : distribution.event_shape.numel()]
    if case.support == "simplex":
        corner, edge = [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]
        return torch.tensor([corner, edge, [0.2, 0.3, 0.5], [0.0, 1e-30, 1.0]] * 2)[:n].double()
    x = values(case, distribution)[0]
    return x[torch.linspace(0, len(x) - 1, n).long()]


@each_family
def test_log_prob_and_its_gradient_are_finite_at_any_raw_output(case: Case) -> None:
    module = case.build(torch.float32).train("optimal" not in case.name)
    size = module.num_outputs
    signs = torch.sign(torch.randn(4, size, generator=torch.Generator().manual_seed(0)))
    trials = [torch.full((1, size), value) for value in EXTREMES]
    trials += [signs * scale for scale in (30.0, 1e3, 1e6)]
    for trial in trials:
        raw = trial.clone().requires_grad_()
        distribution = module(raw)
        assert torch.isfinite(distribution.sample((5,)).float()).all()
        if case.support == "point":
            continue
        x = some_values(case, distribution).float().unsqueeze(1)
        value = distribution.log_prob(x)
        assert torch.isfinite(value).all(), f"log_prob at raw {trial[0].tolist()}"
        gradients = torch.autograd.grad(value.sum(), [raw, *module.parameters()], allow_unused=True)
        assert all(torch.isfinite(g).all() for g in gradients if g is not None), f"gradient at {trial[0]}"


@each_family
def test_rsample_and_its_gradient_are_finite_at_any_raw_output(case: Case) -> None:
    module = case.build(torch.float32)
    if not module(case.raw(module).float()).has_rsample:
        pytest.skip("no pathwise sampler")
    for value in EXTREMES:
        raw = torch.full((1, module.num_outputs), value, requires_grad=True)
        torch.manual_seed(0)
        z = module(raw).rsample((5,))
        assert torch.isfinite(z).all()
        z.sum().backward()
        assert torch.isfinite(raw.grad).all()


@each
def test_has_rsample_is_true_to_its_name(case: Case) -> None:
    module = case.build()
    raw = case.raw(module)
    distribution = case.at(module, raw)
    if not distribution.has_rsample:
        with pytest.raises(NotImplementedError):
            distribution.rsample()
    elif raw.numel():
        draw = case.at(module, raw.requires_grad_()).rsample((3,))
        (gradient,) = torch.autograd.grad(draw[..., 0].sum(), raw)
        assert gradient.abs().sum() > 0


@each_family
def test_the_pathwise_gradient_is_that_of_the_expectation(case: Case) -> None:
    module = case.build()
    raw = case.raw(module).requires_grad_()
    distribution = module(raw)
    biased = getattr(distribution, "is_biased", False)
    if not distribution.has_rsample or biased or case.support == "point":
        pytest.skip("no unbiased pathwise sampler of a density")
    leaves = [raw, *module.parameters()]
    with torch.no_grad():
        x, w = values(case, case.at(module, raw))
    expectation = (w * case.at(module, raw).log_prob(x).exp() * smooth(x)[:, 0]).sum()
    exact = flat_gradient(expectation, leaves)
    torch.manual_seed(2)
    draws = [flat_gradient(smooth(module(raw).rsample((100,)))[:, 0].mean(), leaves) for _ in range(200)]
    moved = exact.abs() > 1e-9
    slack = 1e-3 if "flow" in case.name else 1e-6  # the error of the quadrature
    difference = torch.stack(draws)[:, moved] - exact[moved]
    pulled = difference - difference.mean(0).clamp(-slack, slack)
    assert within_chance(pulled, 0.0, tests=COMPARISONS)


def flat_gradient(value: torch.Tensor, leaves: list[torch.Tensor]) -> torch.Tensor:
    """The gradient with respect to all ``leaves`` as one vector; zero where there is none."""
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    pairs = zip(gradients, leaves, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


@each_family
def test_batch_shapes_are_kept(case: Case) -> None:
    module = case.build()
    raw = case.raw(module, 4, 3)
    distribution = module(raw)
    event = torch.Size(module.event_shape)
    assert distribution.batch_shape == (4, 3)
    assert distribution.event_shape == event
    assert distribution.sample().shape == (4, 3, *event)
    assert distribution.sample((5,)).shape == (5, 4, 3, *event)
    if case.support != "categories":
        assert distribution.mean.shape == (4, 3, *event)
        if case.support != "grid":
            assert distribution.stddev.shape == (4, 3, *event)
    if case.support == "point":
        return
    x = some_values(case, distribution, 3)[:3]
    whole = distribution.log_prob(x)  # [B, *event] against [K, B]: as a trace does it
    assert whole.shape == (4, 3)
    one = module(raw[2, 1]).log_prob(x[1])
    torch.testing.assert_close(whole[2, 1], one)
    # and a posterior with batch shape [B] is asked for [K, B, M]
    assert module(raw[0]).log_prob(distribution.sample()).shape == (4, 3)


@each
def test_single_and_double_precision(case: Case) -> None:
    for dtype in (torch.float32, torch.float64):
        module = case.build(dtype)
        distribution = case.at(module, case.raw(module).to(dtype))
        draw = distribution.sample((2,))
        assert draw.dtype == (torch.int64 if case.support == "categories" else dtype)
        if case.support != "point":
            assert distribution.log_prob(draw).dtype == dtype


@each
def test_the_state_goes_round(case: Case) -> None:
    module, other = case.build(seed=0), case.build(seed=1)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    other.load_state_dict(state)
    raw = case.raw(module)
    distribution = case.at(module, raw)
    if case.support != "point":
        x = some_values(case, distribution, 3)
        assert torch.equal(distribution.log_prob(x), case.at(other, raw).log_prob(x))
    twin = copy.deepcopy(module)
    assert all(p is not q for p, q in zip(twin.parameters(), module.parameters(), strict=True))


@each_family
def test_a_family_shows_its_sizes(case: Case) -> None:
    module = case.build()
    sizes = f"event_shape={list(module.event_shape)}, num_outputs={module.num_outputs}"
    assert sizes in repr(module).splitlines()[min(1, len(list(module.children())))]


@each
def test_nothing_is_validated_inside(case: Case) -> None:
    module = case.build()
    raw = case.raw(module)
    distribution = case.at(module, torch.full_like(raw, float("nan")) if raw.numel() else raw)
    assert not distribution._validate_args
