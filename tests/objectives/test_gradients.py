"""score_function_gradient and pathwise_gradient, for F and q that have nothing to do with a VAE."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    Bernoulli,
    Categorical,
    Distribution,
    Exponential,
    Gumbel,
    Independent,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    TransformedDistribution,
    Weibull,
)

from jensen.objectives import RunningMean, leaf_parameters, pathwise_gradient, score_function_gradient
from tests.objectives.exact_models import Point
from tests.objectives.rows import ROWS, assert_unbiased


def copies(*values: float) -> Tensor:
    """A parameter for each of ROWS batch elements, and so as many independent gradients."""
    return torch.tensor(values, dtype=torch.float64).expand(ROWS, -1).clone().requires_grad_()


def total_square(z: Tensor) -> Tensor:
    return z.square().sum(-1)


@pytest.mark.parametrize("baseline", ["none", "leave-one-out", RunningMean(0.5)], ids=str)
def test_score_of_a_normal(baseline):
    """E z^2 = mu^2 + sigma^2, so the gradient is (2 mu, 2 sigma)."""
    torch.manual_seed(0)
    mu, sigma = copies(0.5, -1.0), copies(0.7, 1.5)
    gradient = score_function_gradient(total_square, Independent(Normal(mu, sigma), 1), 3, baseline=baseline)
    assert_unbiased(torch.cat(gradient, 1), torch.tensor([1.0, -2.0, 1.4, 3.0]).double())


def test_path_of_a_normal():
    torch.manual_seed(1)
    mu, sigma = copies(0.5, -1.0), copies(0.7, 1.5)
    gradient = pathwise_gradient(total_square, Independent(Normal(mu, sigma), 1), 3)
    assert_unbiased(torch.cat(gradient, 1), torch.tensor([1.0, -2.0, 1.4, 3.0]).double())


@pytest.mark.parametrize("cache_size", [0, 1])
@pytest.mark.parametrize("estimator", [pathwise_gradient, score_function_gradient], ids=lambda e: e.__name__)
def test_a_transformed_normal(estimator, cache_size):
    """z = mu + sigma e has E z^2 = mu^2 + sigma^2, also where the transform remembers the e of its last z."""
    torch.manual_seed(7)
    mu, sigma = copies(0.5), copies(0.7)
    move = AffineTransform(mu, sigma, event_dim=1, cache_size=cache_size)
    base = Independent(Normal(torch.zeros_like(mu), 1.0), 1)
    gradient = estimator(total_square, TransformedDistribution(base, move), 3)
    assert_unbiased(torch.cat(gradient, 1), torch.tensor([1.0, 1.4]).double())


@pytest.mark.parametrize("estimator", [pathwise_gradient, score_function_gradient], ids=lambda e: e.__name__)
def test_full_covariance(estimator):
    """E |z|^2 = |m|^2 + sum of T_ij^2: the gradient by m is 2 m, by T it is 2 T."""
    torch.manual_seed(2)
    mean = copies(0.3, -0.8)
    root = torch.tensor([[1.2, 0.0], [-0.5, 0.6]]).double().expand(ROWS, 2, 2).clone().requires_grad_()
    q = MultivariateNormal(mean, scale_tril=root)
    gradient = estimator(total_square, q, 3)
    assert [g.shape for g in gradient] == [mean.shape, root.shape]
    lower = gradient[1][:, [0, 1, 1], [0, 0, 1]]
    assert_unbiased(torch.cat([gradient[0], lower], 1), torch.tensor([0.6, -1.6, 2.4, -1.0, 1.2]).double())


@pytest.mark.parametrize("baseline", ["none", "leave-one-out"])
def test_score_of_a_categorical(baseline):
    """E F = sum_c p_c F_c; by the logits: p_c (F_c - E F). F needs no derivative, only a table."""
    torch.manual_seed(3)
    table = torch.tensor([2.0, -1.0, 0.5]).double()
    logits = copies(0.1, 0.7, -0.3)
    (gradient,) = score_function_gradient(
        lambda z: table[z], Categorical(logits=logits), 4, baseline=baseline
    )
    p = logits[0].softmax(-1).detach()
    assert_unbiased(gradient, p * (table - (p * table).sum()))


def test_score_where_f_has_steps():
    """P(z > 0) under N(mu, 1) has the derivative phi(mu), which no path through the step can see."""
    torch.manual_seed(4)
    mu = copies(0.4)
    q = Independent(Normal(mu, 1.0), 1)
    (gradient,) = score_function_gradient(lambda z: (z[..., 0] > 0).double(), q, 4, baseline="leave-one-out")
    assert_unbiased(gradient, Normal(0.0, 1.0).log_prob(torch.tensor([0.4])).exp().double())
    with pytest.raises(ValueError, match="score_function_gradient"):
        pathwise_gradient(lambda z: (z[..., 0] > 0).double(), q, 4)


def test_f_may_depend_on_the_parameters_as_well():
    """E mu z = mu^2 under N(mu, 1): the whole derivative is 2 mu."""
    torch.manual_seed(5)
    for estimator in (score_function_gradient, pathwise_gradient):
        mu = copies(0.8)
        (gradient,) = estimator(lambda z, mu=mu: (mu * z).sum(-1), Independent(Normal(mu, 1.0), 1), 2)
        assert_unbiased(gradient, torch.tensor([1.6]).double())


def test_the_score_gradient_is_its_formula():
    mu = torch.tensor([0.2, -0.4], dtype=torch.float64, requires_grad=True)
    torch.manual_seed(6)
    (gradient,) = score_function_gradient(total_square, Independent(Normal(mu, 2.0), 1), 5)
    torch.manual_seed(6)
    z = Normal(mu, 2.0).sample((5,))
    score = (z - mu.detach()) / 4
    torch.testing.assert_close(gradient, (total_square(z)[:, None] * score).mean(0))


def test_the_same_q_serves_twice():
    log_scale = torch.zeros(2, requires_grad=True)
    q = Independent(Normal(torch.zeros(2), log_scale.exp()), 1)
    for estimator in (score_function_gradient, pathwise_gradient, score_function_gradient):
        (gradient,) = estimator(total_square, q, 4)
        assert gradient.shape == (2,)
    assert log_scale.grad is None


def test_parameters_that_are_named():
    mu, unrelated = torch.zeros(2, requires_grad=True), torch.ones(3, requires_grad=True)
    q = Independent(Normal(mu, torch.ones(2, requires_grad=True)), 1)
    by_mu, by_unrelated = pathwise_gradient(total_square, q, 4, parameters=[mu, unrelated])
    assert by_mu.shape == (2,)
    assert by_unrelated.eq(0).all()


@pytest.mark.parametrize("estimator", [pathwise_gradient, score_function_gradient], ids=lambda e: e.__name__)
def test_what_q_does_not_depend_on_has_no_gradient(estimator):
    w = torch.ones(3, requires_grad=True)
    (gradient,) = estimator(lambda z: z, Normal(torch.zeros(2), 1.0), 3, parameters=[w])
    assert gradient.eq(0).all()
    assert gradient.shape == w.shape


def test_values_may_be_integers_or_truths():
    logits = torch.tensor([0.1, 0.7, -0.3], dtype=torch.float64, requires_grad=True)
    q = Categorical(logits=logits)
    for F in (lambda z: z, lambda z: z > 0):
        torch.manual_seed(8)
        (gradient,) = score_function_gradient(F, q, 4, baseline="leave-one-out")
        torch.manual_seed(8)
        as_numbers = score_function_gradient(lambda z, F=F: F(z).double(), q, 4, baseline="leave-one-out")
        torch.testing.assert_close((gradient,), as_numbers)


def test_leaf_parameters_are_what_q_was_made_of():
    a, b = (torch.zeros(2, requires_grad=True) for _ in range(2))
    full = torch.eye(2).requires_grad_()
    layer = nn.Linear(3, 2)
    cases: list[tuple[Distribution, list[Tensor]]] = [
        (Normal(a, b.exp()), [a, b]),
        (Normal(b, a.exp()), [b, a]),
        (Independent(Normal(a, 1.0), 1), [a]),
        (MultivariateNormal(a, scale_tril=full), [a, full]),
        (OneHotCategorical(logits=a), [a]),
        (Bernoulli(logits=layer(torch.ones(3))), [layer.weight, layer.bias]),
        (MixtureSameFamily(Categorical(logits=a), Normal(b, 1.0)), [a, b]),
        (Gumbel(a, b.exp()), [a, b]),
        (LogNormal(a, 1.0), [a]),
        (Weibull(a.exp(), b.exp()), [a, b]),
        (Normal(torch.zeros(2), 1.0), []),
    ]
    for q, expected in cases:
        assert {id(p) for p in leaf_parameters(q)} == {id(p) for p in expected}, q
    for q, expected in cases[:4]:
        assert [id(p) for p in leaf_parameters(q)] == [id(p) for p in expected], q


def test_values_may_be_an_array_or_a_list_for_the_score_alone():
    """The score function needs numbers only; a path must not be cut, and None is no number."""
    mu = torch.tensor([0.3], requires_grad=True)
    q = Normal(mu, 1.0)
    seen = []
    for F in (lambda z: z.square(), lambda z: np.square(z.numpy()), lambda z: z.square().tolist()):
        torch.manual_seed(0)
        seen.append(score_function_gradient(F, q, 3)[0])
    torch.testing.assert_close(seen, [seen[0]] * 3)
    with pytest.raises(ValueError, match=r"F\(z\) is a ndarray, through which no gradient passes"):
        pathwise_gradient(lambda z: z.detach().numpy(), q, 3)
    with pytest.raises(ValueError, match=r"F\(z\) is a NoneType; it must be a tensor"):
        score_function_gradient(lambda z: None, q, 3)
    with pytest.raises(ValueError, match=r"F\(z\) has shape \(\) for z"):
        score_function_gradient(lambda z: 1.0, q, 3)


@pytest.mark.parametrize("baseline", [5.0, RunningMean, None])
def test_a_baseline_is_a_name_or_a_function(baseline):
    q = Normal(torch.zeros(2, requires_grad=True), 1.0)
    with pytest.raises(ValueError, match=r"baseline is .*, a RunningMean\(\) \(an object, not the class\)"):
        score_function_gradient(lambda z: z, q, 3, baseline=baseline)


def test_parameters_are_a_sequence():
    """A tensor was taken apart into its rows, which the expectation does not depend on."""
    mu = torch.zeros(2, requires_grad=True)
    for estimator in (pathwise_gradient, score_function_gradient):
        with pytest.raises(ValueError, match=r"parameters is a tensor, .* give parameters=\[it\]"):
            estimator(lambda z: z, Normal(mu, 1.0), 3, parameters=mu)


def test_what_is_refused():
    rate = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"Poisson has no pathwise sampler .* use score_function_gradient"):
        pathwise_gradient(lambda z: z, Poisson(rate), 3)
    with pytest.raises(ValueError, match="1 latent sample, and needs 2 or more; use more samples"):
        score_function_gradient(lambda z: z, Poisson(rate), 1, baseline="leave-one-out")
    with pytest.raises(ValueError, match="'mean'; give 'none', 'leave-one-out'"):
        score_function_gradient(lambda z: z, Poisson(rate), 1, baseline="mean")
    with pytest.raises(ValueError, match=r"shape \(3,\) for z of shape \(3, 2\); .* \(3, 2\)"):
        score_function_gradient(lambda z: z.sum(-1), Poisson(rate), 3)
    for estimator in (pathwise_gradient, score_function_gradient):
        with pytest.raises(ValueError, match="num_samples is 0; give a whole number of 1 or more"):
            estimator(lambda z: z, Normal(rate, 1.0), 0)
    with pytest.raises(ValueError, match="Exponential holds no tensor that requires a gradient"):
        pathwise_gradient(lambda z: z, Exponential(torch.ones(2)), 3)
    with pytest.raises(ValueError, match="Point has no log_prob; use pathwise_gradient"):
        score_function_gradient(total_square, Point(rate), 3)


@pytest.mark.parametrize("gradient", [score_function_gradient, pathwise_gradient])
def test_gradients_are_taken_where_torch_takes_none(gradient) -> None:
    w = torch.tensor([0.3], requires_grad=True)
    torch.manual_seed(0)
    expected = gradient(torch.square, Normal(w, 1.0), 1000)
    torch.manual_seed(0)
    with torch.no_grad():
        found = gradient(torch.square, Normal(w, 1.0), 1000)
    assert expected[0] != 0
    assert torch.equal(found[0], expected[0])
    q = Normal(w, 1.0)
    torch.manual_seed(0)
    with torch.inference_mode():
        found = gradient(torch.square, q, 1000)
    assert torch.equal(found[0], expected[0])


@pytest.mark.parametrize("gradient", [score_function_gradient, pathwise_gradient])
@pytest.mark.parametrize("count", [-1, 2.5, None])
def test_bad_counts_and_distributions_are_refused(gradient, count) -> None:
    q = Normal(torch.tensor([0.3], requires_grad=True), 1.0)
    with pytest.raises(ValueError, match="give a whole number of 1 or more"):
        gradient(torch.square, q, count)
    with pytest.raises(ValueError, match="q is a int; give a distribution"):
        gradient(torch.square, 3, 4)


def test_a_running_mean_is_an_object() -> None:
    q = Normal(torch.tensor([0.3], requires_grad=True), 1.0)
    with pytest.raises(ValueError, match=r"make one RunningMean\(\) and give it to every call"):
        score_function_gradient(torch.square, q, 10, baseline="running-mean")
