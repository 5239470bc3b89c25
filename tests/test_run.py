"""A run's folder, from Python."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import jensen.session
from jensen.config import Settings
from jensen.config.data import load_dataset
from jensen.data import Dataset
from jensen.errors import UserError
from jensen.files import atomic, sweep
from jensen.run import Run
from jensen.scores import reference_scores
from jensen.session import start
from jensen.tensors import load_tensors, save_tensors
from jensen.training.device import choose_device

SMALL = {"epochs": 2, "hidden": (8,), "latent_dim": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 4)))
    return str(path)


@pytest.fixture(scope="module")
def run(data: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(Settings(data=data, **SMALL), tmp_path_factory.mktemp("runs") / "run")


def test_open_reads_what_start_wrote(run: Run) -> None:
    opened = Run.open(run.path)
    assert opened.settings == run.settings
    assert opened.identity == run.identity
    assert opened.event_shape == (4,)
    assert opened.dataset().digest == run.dataset().digest
    weights = load_tensors(run.path / "model.safetensors")[0]
    assert all(torch.equal(weights[name], value) for name, value in opened.model().state_dict().items())
    assert not opened.model().training


@pytest.mark.filterwarnings("ignore")
def test_a_run_remembers_what_the_columns_are_called(run: Run, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="the extra h5ad is not installed")
    with pd.option_context("future.infer_string", False):  # anndata writes no strings of pandas 3
        counts = np.random.default_rng(0).poisson(2.0, (40, 3)).astype(float)
        cells = anndata.AnnData(counts, var=pd.DataFrame(index=["TP53", "MYC", "ACTB"]))
        cells.write_h5ad(tmp_path / "cells.h5ad")
    start(Settings(data=str(tmp_path / "cells.h5ad"), **SMALL), tmp_path / "run")
    assert Run.open(tmp_path / "run").features == ("TP53", "MYC", "ACTB")
    assert run.features == ()


def test_training_leaves_the_callers_generator_alone(data: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    start(Settings(data=data, **SMALL), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)


def test_opening_a_model_leaves_the_callers_generator_alone(run: Run) -> None:
    before = torch.get_rng_state()
    run.model()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_replaced_run_leaves_nothing_of_its_own(data: str, tmp_path: Path) -> None:
    for name in ("report.html", "schema.yaml", "reference.safetensors"):
        (tmp_path / name).write_text("of the run before")
    start(Settings(data=data, **SMALL), tmp_path, overwrite=True)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"checkpoint", "config.yaml", "metrics.jsonl", "model.safetensors"}


@pytest.mark.parametrize("damage", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"cut short")])
def test_reference_scores_that_cannot_be_kept_or_read_are_computed(
    data: str, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    run = start(Settings(data=data, **SMALL), tmp_path / "run")
    damage(run.path / "reference.safetensors")
    first, second = (reference_scores(run, run.model(), num_samples=3, seed=0) for _ in range(2))
    assert len(first) == 48
    assert torch.equal(first, second)


def test_the_same_seed_gives_the_same_files(data: str, run: Run, tmp_path: Path) -> None:
    again = start(Settings(data=data, **SMALL), tmp_path / "again")
    for name in ("config.yaml", "model.safetensors"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes()
    other = start(Settings(data=data, **SMALL, seed=1), tmp_path / "other")
    assert other.identity != run.identity


def test_the_best_weights_are_kept_not_the_last(data: str, tmp_path: Path) -> None:
    settings = Settings(data=data, **{**SMALL, "epochs": 20, "lr": 0.05, "patience": 0})
    after: dict[int, torch.Tensor] = {}
    name = "decoder.network.1.weight"
    run = start(
        settings,
        tmp_path / "run",
        on_epoch=lambda state: after.update({state.epoch: state.model.state_dict()[name].clone()}),
    )
    bounds = [line["validation_bound"] for line in run.history()]
    best = bounds.index(max(bounds)) + 1
    assert best < 20, "the last epoch was the best, so this test shows nothing"
    assert torch.equal(run.model().state_dict()[name], after[best])


def test_what_does_not_change_an_epoch_is_no_part_of_the_identity(run: Run) -> None:
    free = run.settings.replace(epochs=9, max_time=1.0, patience=1, device="cuda:1", data_dir=Path("x"))
    assert Run(run.path, free, run.recorded).identity == run.identity
    assert Run(run.path, run.settings.replace(lr=0.1), run.recorded).identity != run.identity


def test_a_default_that_has_changed_leaves_the_identity_of_older_runs(tmp_path: Path) -> None:
    """Its config.yaml has what were the defaults then, which were left out of the digest."""
    then = {"batch_size": 128, "lr": 1e-3, "lr_schedule": "plateau", "network": "mlp", "hidden": (200, 200)}
    then["posterior"] = "diagonal"
    older = Settings(data="x", epochs=200, **then)
    expected = hashlib.sha256(json.dumps([{"data": "x"}, {}]).encode()).hexdigest()
    assert Run(tmp_path, older, {}).identity == expected
    assert Run(tmp_path, older.replace(batch_size=64), {}).identity != expected
    assert Run(tmp_path, older.replace(hidden=(8,)), {}).identity != expected


def test_blocks_are_the_same_at_every_call_and_prepared(run: Run) -> None:
    dataset = run.dataset()
    first, second = (torch.cat(list(run.blocks(dataset, "test"))) for _ in range(2))
    assert torch.equal(first, second)
    assert len(first) == len(dataset.splits["test"])
    assert torch.allclose(run.preparation.invert(first).double(), dataset.rows("test"))
    assert len(torch.cat(list(run.blocks(dataset, "test", 2)))) == 2


@pytest.mark.parametrize("binarize", ["none", "dynamic", "static"])
def test_runs_of_different_seeds_are_measured_on_the_same_numbers(binarize: str, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "grey.npy", grey)
    settings = Settings(data=str(tmp_path / "grey.npy"), binarize=binarize, **SMALL)
    runs = [start(settings.replace(seed=seed), tmp_path / f"run{seed}") for seed in (0, 1)]
    one, other = (run.dataset() for run in runs)
    assert not torch.equal(one.splits["test"], other.splits["test"]), "which rows are held out is the seed's"
    assert torch.equal(one.x, other.x)
    given = [torch.cat([run.preparation.invert(x) for x in run.blocks(one, "test")]) for run in runs]
    assert torch.equal(*given)
    if binarize == "none":  # the noise, which the way back takes off again
        noisy = [
            next(run.blocks(one, "test")) * run.preparation.scale + run.preparation.shift for run in runs
        ]
        assert torch.allclose(*(x.float() for x in noisy), atol=1e-3)
        assert not torch.equal(noisy[0].float(), one.rows("test").float())


def test_history_is_what_metrics_says(run: Run) -> None:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert run.history() == [json.loads(line) for line in lines]
    seconds = [line["seconds"] for line in run.history()]
    assert 0 < seconds[0] < seconds[1]


@pytest.mark.parametrize("left", ["config.yaml", "model.safetensors", "metrics.jsonl"])
def test_a_folder_with_any_file_of_a_run_is_not_overwritten(left: str, data: str, tmp_path: Path) -> None:
    (tmp_path / left).write_text("of a run")
    with pytest.raises(UserError, match="already holds a run"):
        start(Settings(data=data, **SMALL), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [left]


def test_a_run_that_was_begun_while_the_data_were_read_is_not_replaced(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*args: object, **options: object) -> Dataset:
        (tmp_path / "config.yaml").write_text("of another training")
        return load_dataset(*args, **options)

    monkeypatch.setattr(jensen.session, "load_dataset", slowly)
    with pytest.raises(UserError, match="already holds a run"):
        start(Settings(data=data, **SMALL), tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "of another training"
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_choose_device() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda")
    for name in ("tpu", "", "cuda:x", "meta", "mps"):
        with pytest.raises(UserError, match="--device"):
            choose_device(name)
    with pytest.raises(UserError, match="CUDA device"):
        choose_device("cuda:99")


def test_tensors_round_trip_and_refuse_what_was_altered(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True), "c": torch.zeros(0)}
    save_tensors(path, tensors, {"x": "é", "y": "1"})
    again, metadata = load_tensors(path)
    assert metadata == {"x": "é", "y": "1"}
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
    content = path.read_bytes()
    save_tensors(path, tensors, {"x": "é", "y": "1"})
    assert path.read_bytes() == content
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), content.replace(b"1", b"2"), b""):
        path.write_bytes(damaged)
        with pytest.raises(UserError):
            load_tensors(path)


def test_atomic_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    (tmp_path / ".f.99999.partial.txt").write_text("of a killed process")
    (tmp_path / ".g.99999.partial.txt").write_text("of another file")
    sweep(path)
    assert {p.name for p in tmp_path.iterdir()} == {"f.txt", ".g.99999.partial.txt"}
    with pytest.raises(UserError, match="folder"), atomic(tmp_path) as temporary:
        pass


def test_atomic_keeps_links_and_permissions(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "f.txt", tmp_path / "link.txt"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to(file)
    with atomic(link) as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
        temporary.write_text("new")
    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o600)
    (tmp_path / "real" / ".f.99999.partial.txt").write_text("of a killed process")
    sweep(link)
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["f.txt"]


def test_a_file_that_cannot_be_read_is_not_said_to_be_one_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.csv: No such file") as caught, atomic(tmp_path / "f.txt"):
        (tmp_path / "gone.csv").read_text()
    assert "f.txt" not in str(caught.value)
