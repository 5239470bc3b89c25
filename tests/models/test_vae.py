"""What a VAE asks of its parts and its data, and what it says where it is not given that."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Dirichlet, Distribution, Independent, MixtureSameFamily, Normal

from jensen import families, models
from jensen.distributions import OneHot, RelaxedOneHot
from jensen.evaluation import reconstruct
from jensen.evaluation.bdmc import bidirectional
from jensen.families import Conditional, NetworkScale
from jensen.models import VAE, ConditionalVAE
from jensen.models.conditional import RowDecoder, RowEncoder
from jensen.networks import Beside, mlp
from jensen.priors import StandardNormal, VampPrior
from jensen.trace import Trace

B, D, M = 6, 4, 2


class Part(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function


def gaussian(mean: Tensor) -> Independent:
    return Independent(Normal(mean, 1.0), 1)


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    q = families.Normal([M], NetworkScale(M))
    encoder = Conditional(mlp(D, [8], q.num_outputs), q)
    return VAE(StandardNormal(M), encoder, Conditional(mlp(M, [8], D), families.Bernoulli([D])))


@pytest.fixture
def x() -> Tensor:
    return torch.ones(B, D)


def test_a_decoder_is_given_latents_of_three_dimensions(model: VAE) -> None:
    shapes: list[tuple[int, ...]] = []

    def decode(z: Tensor, context: Tensor | None) -> Independent:
        shapes.append(tuple(z.shape))
        return gaussian(z + (0 if context is None else context))

    model.decoder = Part(decode)
    context = torch.arange(10.0).reshape(5, M)
    assert model.sample(5, context=context).shape == (5, M)
    assert torch.equal(reconstruct(model.decoder, torch.zeros(5, M), context=context), context)
    assert shapes == [(1, 5, M)] * 2


def test_samples_have_no_graph(model: VAE) -> None:
    assert not model.sample(3, mean=True).requires_grad


def test_the_vamp_prior_gives_its_encoder_a_context(model: VAE, x: Tensor) -> None:
    prior = VampPrior(Part(lambda u, context: gaussian(u[:, :M])), x)
    assert prior().sample((3,)).shape == (3, M)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0] * D], "x is a list; give a tensor"),
        ([torch.ones(B, D), torch.ones(B)], r"x is a list; .* \(x for x, \*_ in loader\)"),
        (torch.tensor(1.0), r"x is a tensor of shape \(\)"),
        (torch.ones(B, D, dtype=torch.uint8), r"x is torch.uint8 .*; give x.to\(torch.float32\)$"),
        (
            torch.ones(B, D).double(),
            r"x is torch.float64 and the model torch.float32; give x.to\(torch.float32\), or a model.to",
        ),
    ],
)
def test_data_are_tensors_of_the_models_type(x: Any, message: str, model: VAE) -> None:
    with pytest.raises(ValueError, match=message):
        model.trace(x)
    with pytest.raises(ValueError, match=message):
        model.posterior(x)


def test_other_failures_of_an_encoder_are_its_own(model: VAE) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.trace(torch.ones(B, D + 1))


def test_modules_return_distributions(model: VAE, x: Tensor) -> None:
    model.decoder = Part(lambda z, context: z)
    for call in (lambda: model.trace(x), lambda: model.sample(3)):
        with pytest.raises(ValueError, match="the decoder returns a distribution"):
            call()


def test_a_pair_of_parameters_is_no_posterior(model: VAE, x: Tensor) -> None:
    model.encoder = Part(lambda x, context: (x[:, :M], x[:, M:]))
    with pytest.raises(ValueError, match="the posterior is a tuple; the encoder returns a distribution"):
        model.trace(x)


def test_a_single_datum_is_no_rows(model: VAE, x: Tensor) -> None:
    for call in (model.trace, model.posterior):
        with pytest.raises(ValueError, match=r"no batch dimension for x of shape \(\d+,\); .* x\[None\]"):
            call(x[0])


def test_a_likelihood_without_a_mean_is_named(model: VAE) -> None:
    class Meanless(Normal):
        mean = property(Distribution.mean.fget)  # type: ignore[assignment,attr-defined]

    model.decoder = Part(lambda z, context: Independent(Meanless(z, 1.0), 1))
    assert model.sample(3).shape == (3, M)
    with pytest.raises(ValueError, match="Independent of Meanless does not say its mean; give the class"):
        model.sample(3, mean=True)


def test_encoder_and_decoder_take_a_context(model: VAE, x: Tensor) -> None:
    alone = Part(lambda x: gaussian(x))
    message = r"the {}, Part, takes no context; .* as forward\(self, x, context=None\)"
    with pytest.raises(ValueError, match=message.format("encoder")):
        VAE(model.prior, alone, model.decoder).trace(x)
    broken = VAE(model.prior, model.encoder, alone)
    for call in (lambda: broken.trace(x), lambda: broken.sample(3)):
        with pytest.raises(ValueError, match=message.format("decoder")):
            call()
    model.decoder = Part(lambda z, context: gaussian(z) + "context")  # type: ignore[operator]
    with pytest.raises(TypeError, match="unsupported operand"):
        model.trace(x)


def test_a_network_that_takes_no_context_is_named(model: VAE, x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"the network, Sequential, takes no context; .*Beside\(network\)"):
        model.trace(x, context=torch.ones(B, 1))

    def failing(x: Tensor, context: Tensor) -> Tensor:
        return x + "context"  # type: ignore[operator]

    model.encoder.network = Part(failing)
    with pytest.raises(TypeError, match="unsupported operand"):
        model.trace(x, context=torch.ones(B, 1))


def test_forward_is_trace(model: VAE, x: Tensor) -> None:
    q = families.Normal([M], NetworkScale(M))
    decoder = Conditional(Beside(mlp(M + 1, [], D - 1)), families.Bernoulli([D - 1]))
    encoder = RowEncoder(Conditional(mlp(D, [], 2 * M), q), [0])
    conditional = ConditionalVAE(StandardNormal(M), encoder, RowDecoder(decoder, [0], D), [0])
    for one in (model, conditional):
        torch.manual_seed(1)
        traced = one.trace(x, 3, pathwise=False)
        torch.manual_seed(1)
        called = one(x, 3, pathwise=False)
        assert torch.equal(called.log_w, traced.log_w)
        assert called.pathwise == (False,)


def test_a_shape_is_refused_by_the_name_of_what_is_wrapped(model: VAE, x: Tensor) -> None:
    model.decoder = Part(lambda z, context: gaussian(torch.zeros(1, 1, B, D)))
    with pytest.raises(
        ValueError, match=r"likelihood, Independent of Normal, .* batch shape \(1, 6\) and event"
    ):
        model.trace(x, 1)


def test_a_batch_shape_is_named_once() -> None:
    z, q = torch.zeros(1, 1, M), gaussian(torch.zeros(1, M))
    with pytest.raises(ValueError, match=r"batch shape \(\) or \(1,\) or \(1, 1\) and event"):
        Trace(
            torch.zeros(1, D),
            (z,),
            (q,),
            (gaussian(torch.zeros(3, M)),),
            gaussian(torch.zeros(1, 1, D)),
            (True,),
        )


def test_a_trace_has_a_row_for_each_datum() -> None:
    z, q = torch.zeros(3, B, M), gaussian(torch.zeros(B, M))
    with pytest.raises(ValueError, match="x has 1 rows, and z 6"):
        Trace(
            torch.zeros(1, D),
            (z,),
            (q,),
            (gaussian(torch.zeros(M)),),
            gaussian(torch.zeros(3, B, D)),
            (True,),
        )


def test_a_prior_has_no_batch(model: VAE, x: Tensor) -> None:
    model.prior = Part(lambda: gaussian(torch.zeros(1, M)))
    with pytest.raises(ValueError, match=r"give it parameters without the dimensions \(1,\)"):
        model.trace(x)


def test_relaxed_and_one_hot_latents_do_not_mix(model: VAE, x: Tensor) -> None:
    relaxed, exact = RelaxedOneHot(torch.zeros(1, M), 0.5), OneHot(torch.zeros(1, M))
    for q, p in ((relaxed, exact), (exact, relaxed)):
        model.prior = Part(lambda p=p: p)
        with pytest.raises(
            ValueError, match="no figure would be a bound; give a relaxed posterior a relaxed prior"
        ):
            model.trace(x, posterior=(q.expand((B,)),))
    for p in (relaxed, exact):
        model.prior = Part(lambda p=p: p)
        model.trace(x, posterior=(p.expand((B,)),))


@pytest.mark.parametrize("q", [RelaxedOneHot(torch.zeros(1, M), 0.5), Dirichlet(torch.ones(M))], ids=repr)
def test_points_of_a_simplex_have_no_prior_in_space(q: Distribution, model: VAE, x: Tensor) -> None:
    """log p(z) would be of M numbers and log q(z) of M - 1: their difference has no meaning."""
    with pytest.raises(ValueError, match=r"is on a simplex and the prior, Independent of Normal, continuous"):
        model.trace(x, posterior=(q.expand((B,)),))
    model.prior = Part(lambda: Dirichlet(torch.ones(M)))
    model.trace(x, posterior=(q.expand((B,)),))
    mixture = MixtureSameFamily(Categorical(torch.ones(3)), q.expand((3,)))
    model.prior = Part(lambda: mixture)
    model.trace(x, posterior=(q.expand((B,)),))


def test_relaxed_draws_are_points_of_simplexes() -> None:
    q = RelaxedOneHot(torch.zeros(2, 3), 0.5)
    z = q.sample((5,))
    assert q.support.check(z).all()
    assert not q.support.check(z.roll(1, -1)).any(), "they add up to one over other places"


@pytest.mark.parametrize("part", ["prior", "encoder", "decoder"])
def test_a_part_is_no_class(part: str, model: VAE) -> None:
    parts = {"prior": model.prior, "encoder": model.encoder, "decoder": model.decoder, part: StandardNormal}
    with pytest.raises(ValueError, match=rf"the {part} is the class StandardNormal; give an object"):
        VAE(**parts)


def test_bidirectional_refuses_several_groups_before_it_simulates() -> None:
    class Two:
        def sample(self, n: int, **options: Any) -> Tensor:
            return torch.zeros(n, D)

        def trace(self, x: Tensor, K: int = 1, **options: Any) -> Trace:
            assert "posterior" not in options, "it simulates"
            z, q, p = torch.zeros(K, len(x), M), gaussian(torch.zeros(len(x), M)), gaussian(torch.zeros(M))
            return Trace(x, (z, z), (q, q), (p, p), gaussian(torch.zeros(K, len(x), D)), (True, True))

    with pytest.raises(ValueError, match="2 latent groups, bidirectional Monte Carlo needs one"):
        bidirectional(Two(), 3)


def test_the_parts_of_conditional_models_are_public() -> None:
    assert {"RowEncoder", "PairEncoder", "RowDecoder"} <= set(models.__all__)
