"""Filling and scoring rows with missing cells, against integrals over a one-dimensional latent."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen.config.tables import column_family, column_inputs
from jensen.data.tables.marginals import fit_marginals
from jensen.data.tables.schema import Column, Schema
from jensen.evaluation.impute import draw_missing, impute, impute_draws
from jensen.evaluation.score import percentiles, score
from jensen.families import Conditional, NetworkScale, Normal
from jensen.models import VAE
from jensen.networks import mlp
from jensen.objectives import elbo, pathwise
from jensen.priors import StandardNormal
from jensen.training.incomplete import reads_incomplete
from tests.chance import within_chance

SCHEMA = Schema(
    (
        Column("letter", "categorical", "string", levels=("a", "b", "c")),
        Column("size", "continuous", "double"),
        Column("count", "count", "int64", step=1.0),
    )
)


@pytest.fixture(scope="module")
def model() -> VAE:
    """Random weights, a latent that matters, and an encoder that knows nothing of missing cells."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    data = np.stack([draw.integers(0, 3, 500), draw.normal(size=500), draw.poisson(5, 500)], 1).astype(float)
    marginals = fit_marginals(SCHEMA, data)
    family, (inputs, (width,)) = column_family(marginals), column_inputs(marginals)
    posterior = Normal([1], NetworkScale(1))
    encoder = Conditional(nn.Sequential(inputs, mlp(width, (8,), 2)), posterior)
    decoder = Conditional(mlp(1, (8,), family.num_outputs), family)
    encoder.network[1][-1].weight.data.mul_(0.1)  # near the prior: its weights have no heavy tail
    for parameter in decoder.parameters():
        parameter.data.mul_(1.5)
    return VAE(StandardNormal(1), encoder, decoder).eval()


ROWS = torch.tensor(
    [[0, torch.nan, 4], [torch.nan, 0.5, torch.nan], [2, -1.0, 7], [torch.nan] * 3], dtype=torch.float64
)
GRID = torch.linspace(-8, 8, 4001)


@torch.no_grad()
def exact(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x) ``[B]``, and the posterior's weights on the grid ``[G, B]``, by the trapezoidal rule."""
    z = GRID[:, None, None].expand(-1, len(x), 1)
    log_joint = model.log_joint(x, (z,)).double() + math.log(GRID[1] - GRID[0])
    return log_joint.logsumexp(0), log_joint.softmax(0)


def test_scores_are_log_p_of_what_is_there(model: VAE) -> None:
    log_px, weights = exact(model, ROWS)
    found = score(model, [ROWS], 50_000, per_column=True)
    assert torch.allclose(found.log_px, log_px, atol=0.02)
    z = GRID[:, None, None].expand(-1, len(ROWS), 1)
    cells = model.likelihood((z,)).log_prob_of_columns(ROWS).double()
    assert torch.allclose(found.columns, (weights[..., None] * cells).sum(0), atol=0.03)
    assert torch.allclose(found.columns.sum(1) + found.latents, found.log_px)
    assert found.log_px[3] == pytest.approx(0, abs=0.02), "nothing observed: probability 1"
    again = score(model, [ROWS], 50_000)
    assert torch.equal(again.log_px, found.log_px)
    assert again.columns is None


def test_scores_count_the_scaling(model: VAE) -> None:
    found = score(model, [ROWS], 10, per_column=True, log_det=3.0)
    plain = score(model, [ROWS], 10, per_column=True)
    assert torch.allclose(found.log_px, plain.log_px + 3)
    assert torch.allclose(found.columns.sum(1), plain.columns.sum(1) + 3)


def test_draws_of_missing_cells_follow_the_posterior(model: VAE) -> None:
    _, weights = exact(model, ROWS)
    draws = draw_missing(model, ROWS, 400, 4000, seeds=range(4))
    there = ~ROWS.isnan()
    assert torch.equal(draws[:, there], ROWS[there].expand(400, -1)), "observed cells stay bit for bit"
    assert not draws.isnan().any()
    z = GRID[:, None, None].expand(-1, len(ROWS), 1)
    likelihood = model.likelihood((z,))
    # Independent runs: draws of one run share their importance samples.
    seeds = torch.arange(4 * 60).reshape(60, 4).tolist()
    runs = torch.stack([draw_missing(model, ROWS, 40, 2000, seeds=some) for some in seeds])  # [60, 40, 4, 3]
    mean = (weights * likelihood.mean[..., 1]).sum(0)
    assert within_chance(runs[:, :, 0, 1].mean(1), mean[0].item(), tests=10)
    codes = torch.tensor([[level, torch.nan, torch.nan] for level in range(3)], dtype=torch.float64)
    for level in range(3):
        x = codes[level].expand(len(ROWS), 3)
        share = (weights * likelihood.log_prob(x).double().exp()).sum(0)
        drawn = (runs[..., 0] == level).double().mean(1)
        for row in (1, 3):
            assert within_chance(drawn[:, row], share[row].item(), tests=10)


def test_filled_cells_are_means_and_likeliest_levels(model: VAE) -> None:
    discrete = torch.tensor([True, False, False])
    filled = impute([model], [ROWS], discrete, num_samples=2000)
    there = ~ROWS.isnan()
    assert torch.equal(filled[there], ROWS[there])
    _, weights = exact(model, ROWS)
    z = GRID[:, None, None].expand(-1, len(ROWS), 1)
    likelihood = model.likelihood((z,))
    mean = (weights[..., None] * likelihood.mean).sum(0)
    spread = likelihood.sample().std((0, 1))
    assert abs(filled[0, 1] - mean[0, 1]) < 0.3 * spread[1]
    assert abs(filled[1, 2] - mean[1, 2]) < 0.3 * spread[2]
    assert filled[1, 0] in (0, 1, 2)
    tables = impute_draws([model], [ROWS[:2], ROWS[2:]], 5)
    assert tables.shape == (5, 4, 3)
    assert torch.equal(tables[:, there], ROWS[there].expand(5, -1))
    assert torch.equal(tables, impute_draws([model], [ROWS[:2], ROWS[2:]], 5)), "the same at every call"
    assert len(set(tables[:, 1, 2].tolist())) > 1


def test_what_is_filled_in_a_row_depends_on_that_row_alone(model: VAE) -> None:
    other = copy.deepcopy(model)
    other.decoder.network[-1].bias.data.add_(1.5)
    models, discrete = (
        [each.double() for each in copy.deepcopy((model, other))],
        torch.tensor([True, False, False]),
    )
    draw = np.random.default_rng(0)
    x = torch.from_numpy(np.stack([draw.integers(0, 3, 40), draw.normal(size=40), draw.poisson(5, 40)], 1))
    x[torch.from_numpy(draw.random(x.shape) < 0.4)] = torch.nan
    together = impute(models, [x], discrete)
    order = torch.from_numpy(draw.permutation(40))
    for part in (order, order[:5], order[7:8]):
        assert torch.allclose(impute(models, [x[part]], discrete), together[part], rtol=1e-9)
    assert torch.allclose(impute(models, x.split(3), discrete), together, rtol=1e-9)
    same = x[:1].expand(2, 3)
    assert not torch.equal(*impute_draws(models, [same], 20).unbind(1)), "draws of rows alike are their own"


def test_several_models_take_turns_and_their_mixture_fills(
    model: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(model)
    other.decoder.network[-1].bias.data.add_(1.5)  # all locations: its numbers are larger
    row, tables = ROWS[3:], 400  # nothing is observed: draws of the model, whose means are known
    draws = impute_draws([model, other], [row], tables, num_samples=tables)[:, 0]
    z = GRID[:, None, None].expand(-1, 1, 1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(GRID).softmax(0).double()
    means = [(prior * each.likelihood((z,)).mean[:, 0, 1]).sum().item() for each in (model, other)]
    for turn in (0, 1):
        assert within_chance(draws[turn::2, 1], means[turn], tests=2)
    alone = impute_draws([model], [row], tables // 2, num_samples=tables)[:, 0]
    assert torch.equal(draws[::2], alone), "the first model's draws are those it makes alone"
    monkeypatch.setattr("jensen.evaluation.impute.DRAWS", 2000)
    filled = impute([model, other], [row], torch.tensor([True, False, False]), num_samples=2000)
    error = draws[:, 1].std().item() / 2000**0.5
    assert abs(means[0] - means[1]) > 10 * error, "else this could not tell a mixture from one model"
    assert abs(filled[0, 1] - sum(means) / 2) < 4 * error
    assert len(impute_draws([model, other], [row], 1)) == 1, "fewer tables than models"


def test_percentiles() -> None:
    reference = torch.tensor([3.0, 1.0, 2.0, 4.0])
    found = percentiles(torch.tensor([0.0, 1.0, 2.5, 9.0]), reference)
    assert found.tolist() == [0.0, 25.0, 50.0, 100.0]


def test_reading_incomplete_rows_is_taught_to_the_encoder_alone(model: VAE) -> None:
    x = torch.tensor([[0, 0.1, 4], [1, 0.5, 6], [2, -1.0, 7], [1, 0.0, 3]], dtype=torch.float64)
    gradients, values = [], []
    for estimator in (pathwise, reads_incomplete(pathwise, 0.5)):
        model.zero_grad()
        torch.manual_seed(3)
        value = estimator(elbo, model, x, 2)
        value.mean().backward()
        values.append(value.detach())
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert torch.equal(values[0], values[1]), "the value is the bound of the rows as given"
    for name in gradients[0]:
        same = torch.equal(gradients[0][name], gradients[1][name])
        assert same == name.startswith("decoder"), name
    model.zero_grad()
