"""Train_VAE, on models small enough to follow."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen import priors
from jensen.errors import UserError
from jensen.families import Conditional, NetworkScale, Normal, PointMass, SharedScale
from jensen.models import VAE
from jensen.networks import mlp
from jensen.objectives import Bound, beta, elbo, elbo_monte_carlo, iwae, pathwise
from jensen.tensors import load_tensors, save_tensors
from jensen.training.held_out import near
from jensen.training.loop import TrainingData, _cause_of_divergence, _too_long, train, validate
from jensen.training.plan import Plan
from jensen.training.schedules import PLATEAU_FACTOR, PLATEAU_PATIENCE, LearningRate
from jensen.training.state import TrainingState

D, M = 3, 2


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    encoder = Conditional(mlp(D, (), 2 * M), Normal([M], NetworkScale(M)), event_dim=1)
    return VAE(priors.StandardNormal(M), encoder, Conditional(mlp(M, (), D), Normal([D], SharedScale())))


def rows(n: int = 40, validation: Tensor | None = None, log_det: float = 0.0) -> TrainingData:
    x = torch.randn(n, D, generator=torch.Generator().manual_seed(1))

    def held_out() -> Iterator[Tensor]:
        yield from (x[:10] if validation is None else validation).split(4)

    return TrainingData(x, lambda stored, generator: stored, held_out, log_det)


def run(model: nn.Module, data: TrainingData, plan: Plan) -> TrainingState:
    return train(TrainingState.start(model, plan), data, elbo, pathwise, plan)


def test_each_epoch_visits_every_row_once(model: VAE) -> None:
    seen: list[Tensor] = []

    def watched(bound: object, model: VAE, x: Tensor, num_samples: int) -> Tensor:
        seen.append(x)
        return pathwise(elbo, model, x, num_samples)

    data, plan = rows(), Plan(epochs=2, batch_size=16)
    train(TrainingState.start(model, plan), data, elbo, watched, plan)
    assert [len(x) for x in seen] == [16, 16, 8] * 2
    epochs = torch.cat(seen[:3]), torch.cat(seen[3:])
    for epoch in epochs:
        assert torch.equal(epoch.sort(0).values, data.rows.sort(0).values)
    assert not torch.equal(*epochs), "the order is drawn anew"


def test_the_train_bound_is_the_mean_over_rows_not_over_batches(model: VAE) -> None:
    given = torch.arange(40.0)

    def fixed(bound: object, model: VAE, x: Tensor, num_samples: int) -> Tensor:
        return given[: len(x)] + 0 * pathwise(elbo, model, x, num_samples)

    plan = Plan(epochs=1, batch_size=32)
    state = train(TrainingState.start(model, plan), rows(), elbo, fixed, plan)
    expected = (given[:32].sum() + given[:8].sum()) / 40
    assert state.history[0]["train_bound"] == pytest.approx(expected.item())


def test_the_validation_bound_is_an_exact_mean_and_repeats(model: VAE) -> None:
    data, plan = rows(), Plan(epochs=1, num_samples=3)
    first = validate(model, data, elbo, plan)
    torch.manual_seed(123)
    assert validate(model, data, elbo, plan) == first
    parts = first["validation_distortion"] + first["validation_rate"]
    assert first["validation_bound"] == pytest.approx(-parts, rel=1e-5)
    q = model.posterior(data.rows[:10])[0]
    kl = torch.distributions.kl_divergence(q.base_dist, torch.distributions.Normal(0, 1)).sum(-1)
    assert first["validation_rate"] == pytest.approx(kl.mean().item(), rel=1e-5)
    assert validate(model, data, iwae, plan)["validation_bound"] > first["validation_bound"]


def test_log_det_is_added_to_bounds_and_taken_from_the_distortion(model: VAE) -> None:
    plan = Plan(epochs=1)
    with_it, without = (validate(model, rows(log_det=log_det), elbo, plan) for log_det in (5.0, 0.0))
    assert with_it["validation_bound"] == pytest.approx(without["validation_bound"] + 5)
    assert with_it["validation_distortion"] == pytest.approx(without["validation_distortion"] - 5)
    assert with_it["validation_rate"] == without["validation_rate"]


def test_training_improves_the_bound(model: VAE) -> None:
    history = run(model, rows(), Plan(epochs=30, batch_size=10, lr=0.02)).history
    assert history[-1]["validation_bound"] > history[0]["validation_bound"]


def test_patience_ends_training_and_keeps_the_best(model: VAE) -> None:
    state = run(model, rows(), Plan(epochs=200, batch_size=10, lr=0.3, patience=3))
    assert state.epoch < 200
    assert state.stopped == "no better validation bound for 3 epochs"
    bounds = [line["validation_bound"] for line in state.history]
    assert state.best_value == max(bounds)
    assert state.best_epoch == bounds.index(max(bounds)) + 1 == state.epoch - 3


def test_the_time_limit_ends_training_between_epochs(model: VAE) -> None:
    state = run(model, rows(), Plan(epochs=10_000, max_time=0.3, patience=0))
    assert 0 < state.epoch < 10_000
    assert state.seconds < 3
    assert state.stopped == "the time limit of 0.3 s"


@pytest.mark.parametrize("limit", [1e-6, 60.0])
def test_a_first_epoch_beyond_the_time_limit_names_the_mend(model: VAE, limit: float) -> None:
    data, said, plan = rows(), list[str](), Plan(epochs=1, max_time=limit)
    train(TrainingState.start(model, plan), data, elbo, pathwise, plan, say=said.append)
    lines = [line for line in said if "--max-time" in line]
    assert len(lines) == (limit < 1)
    if lines:
        assert lines[0].startswith("the first epoch took ")
        assert lines[0].endswith("--epoch-rows 1 would make epochs of about 1e-06 s")
    assert "--epoch-rows 90 " in _too_long(111.0, 5.0, 2000), "2,000 rows take 111 s, and 90 take 5"


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_train_takes_gradients_also_where_they_are_off(model: VAE, off: Any) -> None:
    expected = run(copy.deepcopy(model), rows(), Plan(epochs=1)).history
    with off():
        found = run(model, rows(), Plan(epochs=1)).history
    assert found[0]["validation_bound"] == expected[0]["validation_bound"]


def test_divergence_names_its_cause(model: VAE) -> None:
    with torch.no_grad():
        next(model.decoder.parameters()).fill_(math.inf)
    with pytest.raises(UserError, match=r"diverged in epoch 1: the weights \S+ .* lower --lr") as e:
        run(model, rows(), Plan(epochs=1))
    assert "are kept" not in str(e.value), "there are no best weights yet"


def test_a_vanilla_autoencoder_that_diverges_has_no_kl_to_name(model: VAE) -> None:
    point = VAE(model.prior, Conditional(mlp(D, [], M), PointMass(M)), model.decoder)
    far = torch.full((4, D), 1e30)
    assert "log p(x|z) is not finite" in _cause_of_divergence(point, far)


def test_a_validation_bound_that_is_not_finite_is_named(model: VAE) -> None:
    outlier = torch.full((4, D), 1e30)
    with pytest.raises(UserError, match=r"validation bound is .* in epoch 1.*extreme values"):
        run(model, rows(validation=outlier), Plan(epochs=2))


def test_the_learning_rates() -> None:
    cosine = LearningRate(Plan(lr=1.0, lr_schedule="cosine", epochs=4))
    assert [cosine.at(epoch) for epoch in range(4)] == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)
    plateau = LearningRate(Plan(lr=1.0))
    for improved in [True] + [False] * PLATEAU_PATIENCE:
        assert plateau.at(0) == 1.0
        plateau.observe(improved)
    for _ in range(PLATEAU_PATIENCE):  # it waits as long before the second time
        assert plateau.at(0) == pytest.approx(PLATEAU_FACTOR)
        plateau.observe(False)
    assert plateau.at(0) == pytest.approx(PLATEAU_FACTOR**2)


def test_kl_warmup_weighs_the_kl_in_training_alone(model: VAE) -> None:
    plan = Plan(epochs=3, kl_warmup=2, batch_size=40, lr=1e-9)
    lines = run(model, rows(), plan).history
    rate = lines[0]["validation_rate"]
    assert rate > 0.1
    # Weights 0, 1/2 and 1 on a model that stands still: the training objective falls by half the rate.
    assert lines[0]["train_bound"] > lines[1]["train_bound"] > lines[2]["train_bound"]
    assert lines[0]["validation_bound"] == pytest.approx(lines[2]["validation_bound"], abs=1e-4)


def test_a_state_saved_is_the_state_loaded(model: VAE, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    plan = Plan(epochs=2, batch_size=10)
    state = run(model, rows(), plan)
    state.earlier, state.changing, state.compiled_from = 3, True, 1
    state.save(path, "settings")
    torch.manual_seed(9)
    other = VAE(priors.StandardNormal(M), model.encoder, model.decoder)
    loaded = TrainingState.load(path, other, plan, config="settings")
    assert loaded.history == state.history == TrainingState.read_history(path, "settings")
    assert (loaded.best_value, loaded.best_epoch, loaded.seconds) == (
        state.best_value, state.best_epoch, state.seconds,
    )  # fmt: skip
    assert (loaded.earlier, loaded.number, loaded.changing) == (3, 5, True)
    assert loaded.compiled_from == json.loads(load_tensors(path)[1]["state"])["compiled"] == 1
    assert all(torch.equal(loaded.best[name], value) for name, value in state.best.items())
    old, new = (s.optimizer.tensors() for s in (state, loaded))
    assert old["0/step"] > 0
    assert all(torch.equal(old[name], new[name]) for name in old)
    with pytest.raises(UserError, match="altered"):
        TrainingState.load(path, other, plan, config="other settings")


def test_a_checkpoint_of_an_earlier_jensen_begins_at_epoch_0(model: VAE, tmp_path: Path) -> None:
    path, plan = tmp_path / "state.safetensors", Plan(epochs=1)
    run(model, rows(), plan).save(path)
    tensors, metadata = load_tensors(path)
    record = json.loads(metadata["state"])
    del record["earlier"], record["changing"]
    save_tensors(path, tensors, metadata | {"state": json.dumps(record)})
    loaded = TrainingState.load(path, model, plan)
    assert (loaded.earlier, loaded.changing, loaded.epoch) == (0, False, 1)


@pytest.mark.parametrize("bound", [iwae, beta(2.0)])
def test_kl_warmup_is_for_an_elbo(model: VAE, bound: Bound) -> None:
    plan = Plan(epochs=1, kl_warmup=2)
    with pytest.raises(ValueError, match=rf"kl_warmup is 2.*bound is {bound.name}; use elbo"):
        train(TrainingState.start(model, plan), rows(), bound, pathwise, plan)
    train(TrainingState.start(model, plan), rows(), elbo_monte_carlo, pathwise, plan)


@pytest.mark.parametrize(("reduced", "shape"), [(Tensor.mean, r"\(\)"), (lambda v: v[:, None], r"\(16, 1\)")])
def test_an_estimator_gives_one_number_for_each_row(model: VAE, reduced: Any, shape: str) -> None:
    plan = Plan(epochs=1, batch_size=16)
    with pytest.raises(ValueError, match=rf"shape {shape} for 16 rows; it must be \(16,\)"):
        train(TrainingState.start(model, plan), rows(), elbo, lambda *given: reduced(pathwise(*given)), plan)


def test_what_cannot_be_trained_is_named(model: VAE) -> None:
    plan, data = Plan(epochs=1), rows()
    loader = torch.utils.data.DataLoader(data.rows, batch_size=4)
    with pytest.raises(ValueError, match="rows are a DataLoader; they must be a tensor"):
        TrainingData(loader, data.prepare, data.validation)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rows are a TensorDataset; .*\(dataset.tensors\[0\]"):
        TrainingData(torch.utils.data.TensorDataset(data.rows), data.prepare, data.validation)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prepare cannot be called with rows and a generator"):
        TrainingData(data.rows, lambda rows: rows, data.validation)  # type: ignore[arg-type, misc]
    with pytest.raises(
        ValueError, match=r"validation is a list; give a function .* as lambda: iter\(\[x\]\)"
    ):
        TrainingData(data.rows, data.prepare, [data.rows])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"validation\(\) gave no rows"):
        run(model, TrainingData(data.rows, data.prepare, lambda: iter(())), plan)
    with pytest.raises(ValueError, match=r"the bound is 'elbo'; give a Bound, such as jensen.objec"):
        train(TrainingState.start(model, plan), data, "elbo", pathwise, plan)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"the estimator is 'pathwise'; give a function, as jensen.objectives"
    ):
        train(TrainingState.start(model, plan), data, elbo, "pathwise", plan)  # type: ignore[arg-type]
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="requires_grad is False for all"):
        run(model, data, plan)


def test_rows_may_be_an_array(model: VAE) -> None:
    data, plan = rows(), Plan(epochs=1)
    array: Any = np.asarray(data.rows)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    first = run(model, data, plan).best_value
    model.load_state_dict(weights)
    assert run(model, TrainingData(array, data.prepare, data.validation), plan).best_value == first


@pytest.mark.parametrize("clip", [None, 0.01])
def test_sparse_gradients_train_as_dense_ones_do(model: VAE, clip: float | None) -> None:
    class Looked(nn.Module):
        """A network of the first column alone, by a row of a table for each of its levels."""

        def __init__(self, sparse: bool) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 2 * M, sparse=sparse)

        def forward(self, x: Tensor) -> Tensor:
            levels: Tensor = self.table(x[..., 0].clamp(-4, 4).round().long() + 4)
            return levels

    def trained(sparse: bool) -> Tensor:
        torch.manual_seed(0)
        encoder = Conditional(Looked(sparse), Normal([M], NetworkScale(M)))
        own = VAE(model.prior, encoder, copy.deepcopy(model.decoder))
        run(own, rows(), Plan(epochs=2, batch_size=16, grad_clip=clip))
        return encoder.network.table.weight

    assert torch.equal(trained(sparse=True), trained(sparse=False))


def test_state_that_is_no_tensor_is_refused_before_training(model: VAE) -> None:
    class Noted(nn.Linear):
        """Keeps a dict in its state_dict, where a checkpoint has tensors alone."""

        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

        def set_extra_state(self, state: Any) -> None: ...

    own = VAE(model.prior, model.encoder, Conditional(Noted(M, D), Normal([D], SharedScale())))
    with pytest.raises(ValueError, match=r"of VAE has decoder.network._extra_state, a dict; .* as a buffer"):
        TrainingState.start(own, Plan())
    with pytest.raises(ValueError, match=r"of Noted has _extra_state, a dict"):
        TrainingState.start(model, Plan(), Noted(1, 1))


def test_a_state_shows_how_far_it_is_and_no_weights(model: VAE) -> None:
    state = TrainingState.start(model, Plan())
    state.history, state.best_value, state.best_epoch = [{}] * 6, -12.9613, 5
    assert repr(state) == "TrainingState(epoch=6, best_value=-12.96, best_epoch=5)"


def test_training_and_validation_leave_generators_and_modes_as_they_were(model: VAE) -> None:
    model.train()
    model.decoder.eval()
    before = torch.get_rng_state()
    run(model, rows(), Plan(epochs=1))
    assert (model.training, model.encoder.training, model.decoder.training) == (True, True, False)
    validate(model, rows(), elbo, Plan())
    assert torch.equal(torch.get_rng_state(), before)


def test_training_on_a_processor_leaves_the_generators_of_gpus_alone(
    model: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    run(model, rows(), Plan(epochs=2))
    assert seeded == []


def test_batch_normalization_and_a_row_left_over(model: VAE) -> None:
    network = nn.Sequential(nn.Linear(D, 4), nn.BatchNorm1d(4), nn.Linear(4, 2 * M))
    own = VAE(model.prior, Conditional(network, Normal([M], NetworkScale(M))), model.decoder)
    with pytest.raises(UserError, match=r"batch of one row.* no single row over \(now 13\), or use nn.Layer"):
        run(own, rows(), Plan(epochs=1, batch_size=13))
    run(own, rows(), Plan(epochs=1, batch_size=12))


def test_held_out_rows_are_kept_by_a_gpu_if_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows, in their order, once each; prepared once, and every time where there are too many."""
    made = []

    def blocks() -> Iterator[Tensor]:
        for start in range(0, 50, 10):
            made.append(start)
            yield torch.arange(start, start + 10.0)[:, None].expand(10, 3)

    monkeypatch.setattr(Tensor, "to", lambda tensor, device: tensor)
    gpu, rows = torch.device("cuda"), torch.arange(50.0)
    assert near(blocks, torch.device("cpu"), 1) is blocks
    monkeypatch.setattr("jensen.training.held_out.MOST_DECODED", 20 * 4)
    few = near(blocks, gpu, 4)
    for _ in range(2):
        found = list(few())
        assert [len(x) for x in found] == [20, 20, 10]
        torch.testing.assert_close(torch.cat(found)[:, 0], rows)
    assert len(made) == 5
    assert list(near(lambda: iter(()), gpu, 1)()) == []
    assert [len(x) for x in near(blocks, gpu, 1000)()] == [10] * 5, "no fewer than came"
    monkeypatch.setattr("jensen.training.held_out.KEPT", 100)
    many = near(blocks, gpu, 1)
    for _ in range(2):
        torch.testing.assert_close(torch.cat(list(many()))[:, 0], rows)
