"""Conditional runs from the command line, on data whose p(x | c) is known."""

import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import jensen.cli
from jensen import VariationalAutoencoder
from jensen.data.tables.where import Allowed
from jensen.errors import UserError
from jensen.evaluation.contexts import choose_contexts, split_conditions
from tests.chance import within_chance
from tests.cli.helpers import Call, done, evaluated, refused

SD = 0.5
LEVEL = {"a": -1.0, "b": 0.0, "c": 2.0}
SHARE = {"a": 0.1, "b": 0.5, "c": 0.9}
"""P(kind = yes | group)."""


def table(n: int, seed: int) -> pd.DataFrame:
    """y ~ N(level of the group + dose, SD^2) and kind ~ its share; a site that some rows lack."""
    draw = np.random.default_rng(seed)
    group = draw.choice(list(LEVEL), n, p=[0.5, 0.3, 0.2])
    dose = draw.normal(size=n)
    y = np.array([LEVEL[g] for g in group]) + dose + SD * draw.normal(size=n)
    kind = np.where(draw.random(n) < [SHARE[g] for g in group], "yes", "no")
    site = np.where(draw.random(n) < 0.2, None, draw.choice(["n", "s"], n))
    return pd.DataFrame({"y": y, "group": group, "kind": kind, "dose": dose, "site": site})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table and a run, conditional on group, dose and site."""
    folder = tmp_path_factory.mktemp("conditional")
    table(3000, 0).to_csv(folder / "t.csv", index=False)
    words = "--epochs 12 --batch-size 64 --hidden 32 --latent-dim 1 --lr 0.005 --hide 0 --device cpu"
    condition = ["--condition", "group,dose,site"]
    data, run = str(folder / "t.csv"), str(folder / "run")
    assert jensen.cli.main(["train", data, "--out", run, *condition, *words.split()]) == 0
    return folder


def drawn(call: Call, folder: Path, *words: str) -> tuple[pd.DataFrame, str]:
    out = folder / "s.csv"
    _, said = done(call, "sample", str(folder / "run"), "-o", str(out), *words)
    return pd.read_csv(out), said


@pytest.mark.parametrize(("group", "dose"), [("a", -0.5), ("b", 0.5), ("c", 0.0)])
def test_samples_have_the_conditional_means(folder: Path, call: Call, group: str, dose: float) -> None:
    # No training row has this dose: the very values are taken.
    where = f"group = {group} and dose = {dose} and site = n"
    x, said = drawn(call, folder, "-n", "2000", "--where", where)
    assert "none of 2,400 training rows" in said
    assert list(x.columns) == ["y", "group", "kind", "dose", "site"]
    assert (x.group == group).all()
    assert (x.dose == dose).all()
    assert (x.site == "n").all()
    # Chance, and what 2,400 rows leave open; tests/oracles has the z-test of an exact model.
    assert x.y.mean() == pytest.approx(LEVEL[group] + dose, abs=0.25)
    assert (x.kind == "yes").mean() == pytest.approx(SHARE[group], abs=0.1)
    assert x.y.std() == pytest.approx(SD, rel=0.2)


def test_scores_are_log_p_of_x_given_c(folder: Path, call: Call, tmp_path: Path) -> None:
    other = table(2000, 1)
    other.to_csv(tmp_path / "o.csv", index=False)
    args = ("score", str(folder / "run"), str(tmp_path / "o.csv"), "-o", str(tmp_path / "s.csv"))
    _, said = done(call, *args, "--per-column")
    assert "log p(x | group, dose, site)" in said
    scores = pd.read_csv(tmp_path / "s.csv")
    assert list(scores.columns[4:]) == ["y", "kind"], "what is given brings nothing to the score"
    assert np.allclose(scores.y + scores.kind + scores.latents, scores.log_px, atol=1e-6)
    centre = other.group.map(LEVEL) + other.dose
    share = other.group.map(SHARE)
    exact = -0.5 * ((other.y - centre) / SD) ** 2 - math.log(SD * math.sqrt(2 * math.pi))
    exact += np.log(np.where(other.kind == "yes", share, 1 - share))
    # log p(x, c) is lower by the entropy of c: 1.0 nats of group, 1.4 of dose, 1.1 of site.
    assert abs(scores.log_px.mean() - exact.mean()) < 0.1
    assert np.corrcoef(scores.log_px, exact)[0, 1] > 0.9


def test_where_chooses_contexts_and_resamples_the_rest(folder: Path, call: Call) -> None:
    given = table(3000, 0)
    x, said = drawn(call, folder, "-n", "2000", "--where", "group in (b, c) and dose > 1")
    assert "training rows" in said
    assert set(x.group) == {"b", "c"}
    known = set(given.dose.round(12))  # pandas before 3 reads the last digit of a number otherwise
    assert set(x.dose.round(12)) <= known, "contexts are those of training rows"
    share = (given.group == "b")[given.group.isin(["b", "c"]) & (given.dose > 1)].mean()
    assert abs((x.group == "b").mean() - share) < 0.1
    x, said = drawn(call, folder, "-n", "500", "--where", "kind = yes and group = a")
    assert (x.kind == "yes").all()
    assert (x.group == "a").all()
    found = float(said.split("has probability ")[1].split()[0])
    assert abs(found - SHARE["a"]) < 0.03
    assert "given group, dose, site" in said
    assert "effective sample size" in said
    said = refused(call, "sample", str(folder / "run"), "-o", "s.csv", "--where", "dose > 40 and group = a")
    assert "none of 2,400 training rows meets it" in said


def test_without_where_contexts_are_as_in_training(folder: Path, call: Call) -> None:
    x, said = drawn(call, folder, "-n", "3000")
    assert "for the group, dose, site of training rows" in said
    share = (pd.read_csv(folder / "t.csv").group == "c").mean()
    assert within_chance(torch.tensor((x.group == "c").to_numpy(float)), share, tests=20)
    assert within_chance(torch.tensor(x.site.isna().to_numpy(float)), 0.2, tests=20)
    again, _ = drawn(call, folder, "-n", "3000")
    assert x.equals(again)


def test_rows_that_lack_what_is_given(folder: Path, call: Call, tmp_path: Path) -> None:
    run, data, out = str(folder / "run"), str(tmp_path / "d.csv"), str(tmp_path / "o.csv")
    Path(data).write_text("y,group,kind,dose,site\n0.1,a,,0.0,?\n0.50,b,no,1.0,n\n")
    # Some training rows lack the site: that is a value like any other, and impute leaves it.
    _, said = done(call, "impute", run, data, "-o", out)
    assert "1 missing cell of group, dose, site, which are given, left as is" in said
    assert "1 missing cell in 1 row filled" in said
    assert Path(out).read_text() == "y,group,kind,dose,site\n0.1,a,no,0.0,?\n0.50,b,no,1.0,n\n"
    for name in ("encode", "reconstruct", "score"):
        assert call(name, run, data, "-o", out)[0] == 0
    for group in ("", "d"):
        Path(data).write_text(f"y,group,kind,dose,site\n0.1,{group},yes,0.0,n\n")
        said = refused(call, "score", run, data, "-o", out)
        assert "column 'group' is given to" in said


def test_evaluate_and_report_say_what_is_given(folder: Path, call: Call) -> None:
    out, page = evaluated(call, folder / "run")
    assert "p(x) stands for p(x | group, dose, site)" in out
    assert "conditional on group and dose and site" in page


@pytest.mark.parametrize("inference", ["two-tier", "semi-amortized"])
def test_other_ways_of_inference(folder: Path, call: Call, tmp_path: Path, inference: str) -> None:
    words = "--epochs 1 --hidden 8 --latent-dim 1 --inner-steps 2 --device cpu"
    run = str(tmp_path / "run")
    given = ("--condition", "group", "--inference", inference, "--out", run)
    done(call, "train", str(folder / "t.csv"), *given, *words.split())
    assert call("evaluate", run, "--limit", "20", "--num-samples", "5", "--refine-steps", "0")[0] == 0
    done(call, "sample", run, "-n", "9", "-o", str(tmp_path / "s.csv"), "--where", "group = c")
    assert (pd.read_csv(tmp_path / "s.csv").group == "c").all()


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("grup", "no such column (did you mean group?)"),
        ("y,group,kind,dose,site", "leaves none to model"),
        ("same", "its type is ignore"),
    ],
)
def test_what_cannot_be_given_is_refused(
    call: Call, tmp_path: Path, folder: Path, condition: str, words: str
) -> None:
    data = tmp_path / "t.csv"
    table(60, 0).assign(same=1).to_csv(data, index=False)
    said = refused(call, "train", str(data), "--condition", condition, "--out", str(tmp_path / "r"))
    assert words in said
    assert not (tmp_path / "r").exists()
    said = refused(call, "train", "digits", "--condition", "group", "--out", str(tmp_path / "r"))
    assert "only the label can be given" in said


def test_several_completed_tables_keep_a_double_ending(folder: Path, call: Call, tmp_path: Path) -> None:
    data, out = tmp_path / "d.csv", tmp_path / "o.csv.gz"
    data.write_text("y,group,kind,dose,site\n,a,yes,0.0,n\n")
    done(call, "impute", str(folder / "run"), str(data), "-o", str(out), "--draws", "2")
    tables = [pd.read_csv(tmp_path / f"o-{number}.csv.gz") for number in (1, 2)]
    assert tables[0].y[0] != tables[1].y[0]


def test_the_estimator_takes_a_condition() -> None:
    options = {"condition": ["group"], "hide": 0}
    x = table(200, 0)
    vae = VariationalAutoencoder(1, hidden=(4,), epochs=1, random_state=0, options=options).fit(x)
    rows = vae.sample(50)
    assert set(rows.group) <= set(LEVEL)
    assert list(rows.columns) == list(x.columns)
    z = pickle.loads(pickle.dumps(vae)).transform(x)
    assert z.shape == (200, 1)
    assert np.isfinite(vae.score_samples(x)).all()
    with pytest.raises(ValueError, match="condition group, of which a latent code does not say"):
        vae.inverse_transform(z)


def test_contexts_are_chosen() -> None:
    rows = torch.tensor([[0.0, 0.3], [1.0, 0.1 * 3], [1.0, 0.7], [0.0, math.nan]], dtype=torch.float64)
    near = Allowed(1, None, ((0.3, 0.3),))
    assert choose_contexts(rows, [near]).tolist() == rows[:2].tolist()
    assert choose_contexts(rows, [near, Allowed(0, (1,))]).tolist() == rows[1:2].tolist()
    one_of = Allowed(1, None, ((0.3, 0.3), (0.9, 0.9)))
    assert choose_contexts(rows, [one_of]).tolist() == rows[:2].tolist(), "0.7 is between them"
    assert len(choose_contexts(rows, [])) == 4
    assert choose_contexts(rows, [Allowed(0, (1,)), Allowed(1, None, ((9, 9),))]).tolist() == [[1.0, 9.0]]
    with pytest.raises(UserError, match="none of 4 training rows"):
        choose_contexts(rows, [Allowed(1, None, ((9, 9),))])
    given, modelled = split_conditions([Allowed(3, (0,)), Allowed(2, (1,)), Allowed(0, (2,))], [0, 3], 4)
    assert [c.place for c in given] == [1, 0]
    assert [c.place for c in modelled] == [1]
