"""The figures of a run: each part of the work tells how far it is; what p(x) is conditional on is said."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from jensen import progress
from jensen.cli.evaluate import table
from jensen.config import Settings
from jensen.config.evaluation import EvaluationSettings
from jensen.errors import UserError
from jensen.figures import evaluate_run
from jensen.figures.epochs import figures as epoch_figures
from jensen.figures.lines import KINDS, lines
from jensen.report.table import bounds, typeset
from jensen.run import Run
from jensen.session import start

FEW = {"num_samples": 3, "refine_steps": 25, "temperatures": 6, "chains": 2}
EVERYTHING = ["bounds", "latents", "refined ELBO", "AIS", "BDMC", "aggregate posterior"]


def trained(folder: Path, **changes: Any) -> Run:
    """A run on counts: 400 rows of 4."""
    x = np.random.default_rng(0).poisson([1, 3, 9, 2], (400, 4)).astype(np.int64)
    np.save(folder / "x.npy", x)
    base = {"data": str(folder / "x.npy"), "latent_dim": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}
    return start(
        Settings(**{"likelihood": "poisson", "test_fraction": 0.7, **base, **changes}), folder / "run"
    )


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("counts"))


class Told:
    """What a bar is told: of each part, how much there is and how much of it is done."""

    def __init__(self) -> None:
        self.total: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.pieces: dict[str, int] = {}

    def begin(self, what: str, total: int) -> Callable[[int], None]:
        self.total[what], self.done[what], self.pieces[what] = total, 0, 0

        def advance(more: int) -> None:
            self.done[what] += more
            self.pieces[what] += 1

        return advance


def test_a_negative_rate_is_said_to_be_an_estimate(counts: Run) -> None:
    figures = evaluate_run(counts, counts.dataset(), EvaluationSettings(**FEW), aggregate_too=False)
    exact = figures | {"rate": figures["rate"] | {"exact": True}}
    rate = figures["rate"] | {"exact": False, "value": -0.41}
    said = {line.key: line.how for line in lines(figures | {"rate": rate})}["rate"]
    assert said.endswith("by Monte Carlo, K = 3: no KL is below 0, its estimate is by chance")
    assert "by chance" not in {line.key: line.how for line in lines(exact)}["rate"]
    history = [{"train_bound": -3.0, "validation_bound": -2.0, "validation_distortion": 2.4}]
    plan = SimpleNamespace(plan=counts.settings)
    for rate_of, shown in ((-0.4, "rate -0.40 by Monte Carlo)"), (0.4, "rate 0.40)")):
        line = history[0] | {"validation_rate": rate_of, "rows_per_second": 9.0}
        assert shown in epoch_figures(cast(Any, SimpleNamespace(history=[line], learning_rate=plan)))


@pytest.mark.parametrize("limit", [None, 30])
def test_every_part_tells_of_all_of_its_work(counts: Run, limit: int | None) -> None:
    """280 rows are two blocks, of which 256 are refined, 100 annealed, and all are the aggregate."""
    told, settings = Told(), EvaluationSettings(**FEW, ais=True, bdmc=True, limit=limit)
    figures = evaluate_run(counts, counts.dataset(), settings, device="cpu", begin=told.begin)
    assert list(told.total) == [f"{part} ({i} of 6)" for i, part in enumerate(EVERYTHING, 1)]
    assert told.done == told.total
    assert told.pieces["refined ELBO (3 of 6)"] > 5
    assert told.pieces["BDMC (5 of 6)"] > told.pieces["AIS (4 of 6)"] > 5
    assert figures["refined"]["n"] == min(256, figures["n"])


def test_only_what_is_measured_is_a_part(tmp_path: Path) -> None:
    told, run = Told(), trained(tmp_path, posterior="point", prior="standard")
    evaluate_run(run, run.dataset(), EvaluationSettings(**FEW), device="cpu", begin=told.begin)
    assert list(told.total) == ["bounds (1 of 2)", "latents (2 of 2)"]
    assert told.done == told.total


def test_a_bar_is_for_a_terminal_and_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(stream: io.StringIO) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "xterm")
        with progress.parts() as begin:
            for number, part in enumerate(EVERYTHING, 1):
                begin(f"{part} ({number} of 6)", 4)(3)
        return stream.getvalue()

    assert shown(io.StringIO()) == ""
    text = shown(Terminal())
    assert "aggregate posterior (6 of 6)" in text
    assert " 75%" in text
    assert "bounds" not in text.split("\r")[-1], "one bar, of the part that is at work"


def test_a_page_of_wide_rows_refines_fewer_and_says_so(counts: Run) -> None:
    settings = EvaluationSettings(**FEW)
    figures = evaluate_run(counts, counts.dataset(), settings, device="cpu", refined_rows=16)
    assert figures["refined"]["n"] == figures["amortization_gap"]["n"] == 16
    assert "(16 rows)" in table(counts.path, figures)


@pytest.mark.parametrize(("likelihood", "exact"), [("poisson", True), ("negative-binomial", False)])
def test_figures_given_the_total_say_so(tmp_path: Path, likelihood: str, exact: bool) -> None:
    run = trained(tmp_path, exposure="total", likelihood=likelihood)
    settings = EvaluationSettings(**FEW, bdmc=True, limit=20)
    figures = evaluate_run(run, run.dataset(), settings, device="cpu")
    assert figures["condition"] == ["total"]
    assert "p(x) stands for p(x | total)" in table(run.path, figures)
    assert ("bdmc" in figures) == exact
    assert exact or "no exact draws of the posterior" in figures["not_measured"]["bdmc"]


def test_the_screen_and_the_page_have_the_same_lines(counts: Run) -> None:
    settings = EvaluationSettings(**FEW, ais=True)
    figures = evaluate_run(counts, counts.dataset(), settings, device="cpu")
    found = [line.key for line in lines(figures)]
    assert found == [key for key in KINDS if key in figures]
    assert len(found) == 8
    screen, page = table(counts.path, figures), bounds(figures)
    places = [screen.index(f"\n  {'  ' * line.kind.part}{line.name} ") for line in lines(figures)]
    assert places == sorted(places)
    assert [row.name for row in page] == [line.name for line in lines(figures)]
    assert [row.value.strip("\u2007") for row in page] == [
        f"{line.value:,.{line.digits}f}".replace("-", "−") for line in lines(figures)
    ]


def test_a_formula_in_plain_letters_is_set_as_in_print() -> None:
    assert typeset("-E_q log p(x|z), K = 7") == (
        "−E<sub><i>q</i></sub> log <i>p</i>(<i>x</i>|<i>z</i>), K = 7"
    )
    assert typeset("a - b || each row's own <q>") == "a − b ‖ each row’s own &lt;<i>q</i>&gt;"


def test_classes_can_be_sandwiched(tmp_path: Path) -> None:
    run = trained(tmp_path, likelihood="categorical")
    settings = EvaluationSettings(**FEW, bdmc=True, limit=4)
    figures = evaluate_run(run, run.dataset(), settings, device="cpu", aggregate_too=False)
    assert figures["bdmc"]["n"] == 4
    assert "bdmc" not in figures["not_measured"]


@pytest.mark.parametrize("inference", ["two-tier", "semi-amortized"])
def test_posteriors_refined_already_have_an_approximation_gap(tmp_path: Path, inference: str) -> None:
    run = trained(tmp_path, inference=inference, inner_steps=3)
    settings = EvaluationSettings(**FEW, limit=10)
    figures = evaluate_run(run, run.dataset(), settings, device="cpu", aggregate_too=False)
    assert "amortization_gap" not in figures
    gap = figures["approximation_gap"]
    assert gap["value"] == pytest.approx(figures["iwae"]["value"] - figures["elbo"]["value"], abs=1e-5)
    assert "IWAE - ELBO, which inner steps maximised" in table(run.path, figures)


def test_one_latent_has_a_low_rank_posterior_of_rank_1(tmp_path: Path) -> None:
    run = trained(tmp_path, latent_dim=1, posterior="low-rank")
    assert run.model().encoder.family.rank == 1
    with pytest.raises(UserError, match="--rank 3 is more than the 1 of --latent-dim; use --rank 1"):
        trained(run.path, latent_dim=1, posterior="low-rank", rank=3)


def test_what_was_not_reached_is_said(counts: Run) -> None:
    settings = EvaluationSettings(**{**FEW, "refine_steps": 3, "chains": 16}, ais=True, limit=40)
    figures = evaluate_run(counts, counts.dataset(), settings, device="cpu", aggregate_too=False)
    assert figures["refined"]["rising"] > 4, "an encoder of one epoch is far from the maximum"
    figures["ais"]["effective_sample_size"] = 1.3
    text = table(counts.path, figures)
    assert f"caution: {figures['refined']['rising']} of 40 refined rows still gained at the last of 3" in text
    assert "caution: an effective sample size of 1.3 of 16 chains" in text
    figures["refined"]["rising"], figures["ais"]["effective_sample_size"] = 4, 8.0
    figures["iwae"]["effective_sample_size"] = float(figures["iwae"]["num_samples"])
    assert "caution" not in table(counts.path, figures)


@pytest.mark.parametrize(
    ("gap", "words"), [(0.09, "between -7.00 and -6.91"), (-0.09, "equal but for noise")]
)
def test_a_sandwich_is_not_read_backwards(counts: Run, gap: float, words: str) -> None:
    settings = EvaluationSettings(**{**FEW, "refine_steps": 0}, limit=4)
    figures = evaluate_run(counts, counts.dataset(), settings, device="cpu", aggregate_too=False)
    sides = {"lower": {"value": -6.955 - gap / 2}, "upper": {"value": -6.955 + gap / 2}}
    figures["bdmc"] = {"n": 4, **sides, "gap": {"value": gap, "standard_error": 0.05}}
    assert words in table(counts.path, figures)
