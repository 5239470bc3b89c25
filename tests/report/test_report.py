"""The report of tiny runs: one page, nothing from elsewhere, the figures that evaluate_run gives."""

import base64
import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from jensen.cli.evaluate import table
from jensen.config import Settings
from jensen.config.evaluation import EvaluationSettings
from jensen.errors import UserError
from jensen.evaluation import sample
from jensen.figures import evaluate_run
from jensen.report import page, write_report
from jensen.report.curves import settled_range
from jensen.report.style import RC, canvas, plain, to_svg, whole_ticks
from jensen.run import Run
from jensen.session import start

K = 7
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The elements and attributes of a page; refuses tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, found in self.found for name, value in found.items() if name in names]


def train(
    folder: Path, x: np.ndarray[Any, Any], labels: np.ndarray[Any, Any] | None = None, **changes: Any
) -> Run:
    path = folder / "data.npz"
    np.savez(path, x=x, **({} if labels is None else {"y": labels}))
    base = {"data": f"{path}:x", "latent_dim": 2, "hidden": (8,), "epochs": 2, "device": "cpu"}
    return start(Settings(**{**base, **changes}), folder / "run")


def report(run: Run, out: Path | None = None, limit: int = 1000) -> Page:
    path = write_report(run, out, num_samples=K, limit=limit, data_dir=None, device="cpu")
    return Page(path.read_text(encoding="utf-8"))


def images(rows: int = 60, shape: tuple[int, ...] = (6, 5)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (rows, *shape), dtype=np.uint8)


def numbers(rows: int = 60, columns: int = 4) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(rows, columns))


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("images"), images(), np.arange(60) % 3, latent_dim=3)


@pytest.fixture(scope="module")
def image_page(image_run: Run) -> Page:
    return report(image_run)


def check_self_contained(seen: Page) -> None:
    tags = {tag for tag, _ in seen.found}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "video", "audio"}
    for address in seen.attributes("src", "href", "xlink:href", "action", "srcset", "data"):
        assert address.startswith(("data:", "#")), address
    raw = (seen.text, *seen.attributes("style"))
    assert not any("http://" in part or "https://" in part for part in raw)
    ids = seen.attributes("id")
    assert len(ids) == len(set(ids))
    targets = {address[1:] for address in seen.attributes("href", "xlink:href") if address.startswith("#")}
    assert targets <= set(ids)


def test_the_page_is_in_the_runs_folder_and_needs_nothing_else(image_run: Run, image_page: Page) -> None:
    check_self_contained(image_page)
    text = (image_run.path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"url\((?!#)[^)]*\)|@import|https?://", text) == []
    assert "default-src 'none'" in text
    assert [path.name for path in image_run.path.iterdir() if "partial" in path.name] == []


def test_the_figures_are_those_of_evaluate_run(image_run: Run, image_page: Page) -> None:
    settings = EvaluationSettings(num_samples=K, limit=1000)
    figures = evaluate_run(image_run, image_run.dataset(), settings, device="cpu")
    for name in ("elbo", "distortion", "rate", "iwae", "refined", "amortization_gap", "approximation_gap"):
        assert plain(figures[name]["value"]) in image_page.text
        assert plain(figures[name]["standard_error"]) in image_page.text
    assert plain(figures["bits_per_dimension"]["value"], 3) in image_page.text
    # K = 7 samples find less than 256 through the refined posteriors; both tables say which were taken.
    assert figures["approximation_gap"]["best"] == "IWAE of the refined posteriors"
    assert "IWAE of the refined posteriors − refined ELBO" in image_page.text
    assert "IWAE of the refined posteriors - refined ELBO" in table(image_run.path, figures)
    blob = re.search(r"\{\n.*\n\}", image_page.text, re.DOTALL)
    assert blob is not None
    assert json.loads(blob[0]) == figures


def test_unit_sign_estimator_rows_and_domain_are_stated(image_page: Page) -> None:
    for words in (
        "nats per datum of the data as given",
        "larger is better",
        "all 6 of the test split",
        f"IWAE, K = {K}",
        "effective sample size",
        "in closed form",
        "uniform dequantization",
        "no binarization",
        "variance above 0.01",
        "of the variance of the means",
    ):
        assert words in image_page.text, words


def test_every_picture_has_words_for_who_cannot_see_it(image_page: Page) -> None:
    pictures = [found for tag, found in image_page.found if tag == "img"]
    drawings = [found for tag, found in image_page.found if tag == "svg"]
    assert len(pictures) == 2 + 3 + 3  # a pair of strips, three squares, a strip per latent dimension
    assert len(drawings) == 3
    assert all(found["alt"] for found in pictures)
    assert all(found["role"] == "img" and found["aria-label"] for found in drawings)


def test_a_scale_is_as_wide_as_its_strips(image_page: Page) -> None:
    strips = [found["width"] for tag, found in image_page.found if tag == "img" and "z0" in str(found["alt"])]
    [scale] = [found["style"] for _, found in image_page.found if found.get("class") == "scale"]
    assert scale == f"max-width: {strips[0]}px"


def test_drawings_take_their_colours_from_the_page(image_run: Run, image_page: Page) -> None:
    text = (image_run.path / "report.html").read_text(encoding="utf-8")
    assert "var(--ink)" in text
    assert "#010a01" not in text
    assert "font-family: 'DejaVu" not in text


def test_the_same_run_gives_the_same_bytes(image_run: Run, image_page: Page, tmp_path: Path) -> None:
    report(image_run, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (image_run.path / "report.html").read_bytes()


def test_the_state_of_matplotlib_and_torch_is_left_alone(image_run: Run, tmp_path: Path) -> None:
    before, state = dict(matplotlib.rcParams), torch.random.get_rng_state()
    report(image_run, tmp_path / "page.html")
    assert dict(matplotlib.rcParams) == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_limit_is_stated(image_run: Run, tmp_path: Path) -> None:
    assert "the first 4 of 6 of the test split" in report(image_run, tmp_path / "page.html", limit=4).text


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
@pytest.mark.parametrize("columns", [1, 4, 60])
def test_flat_rows(tmp_path: Path, latent_dim: int, columns: int) -> None:
    x = numbers(columns=columns)
    x[:, -1] = 3.0  # a constant column has no spread to draw
    seen = report(train(tmp_path, x, latent_dim=latent_dim))
    check_self_contained(seen)
    assert "log density" in seen.text
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    _, histograms = page.split('aria-label="Histograms of data and samples')
    names = set(re.findall(r">x(\d+)<", histograms.partition("</svg>")[0]))
    assert len(names) == min(columns, 12)
    assert "59" not in names  # of many columns those that vary most are shown
    assert not any(tag == "img" for tag, _ in seen.found)


def test_flat_zeros_and_ones_show_shares(tmp_path: Path) -> None:
    seen = report(train(tmp_path, (numbers() > 0).astype(np.uint8)))
    assert "share of ones" in seen.text
    assert "zeros and ones as given" in seen.text


@pytest.mark.parametrize("binarize", ["dynamic", "static"])
def test_binarization_is_stated(tmp_path: Path, binarize: str) -> None:
    seen = report(train(tmp_path, images(), binarize=binarize))
    assert f"{binarize} binarization" in seen.text
    assert "drawn to black and white" in seen.text


@pytest.mark.parametrize("shape", [(3, 6, 5), (6, 5, 1), (6, 5, 4), (70, 90)])
def test_images_of_any_layout(tmp_path: Path, shape: tuple[int, ...]) -> None:
    check_self_contained(report(train(tmp_path, images(20, shape))))


def test_images_of_any_numbers_are_black_to_white(tmp_path: Path) -> None:
    run = train(tmp_path, images(40, (9, 9)).astype(np.uint16) * 16)
    assert run.preparation.pictured is not None
    low, high = run.preparation.pictured
    seen = report(run)
    assert f"Black is {low:g}, white {high:g}: the extremes" in seen.text
    assert f"{low:g} to {high:g}" in seen.text
    first = next(text for text in seen.attributes("src") if text.startswith("data:image/png;base64,"))
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.partition(",")[2]))).convert("L"))
    assert len(np.unique(picture)) > 100  # shades, where everything above 1 was white


@pytest.mark.filterwarnings("ignore:var\\(\\)")  # one test row has no variance, and torch says so
@pytest.mark.parametrize("rows", [3, 5, 30])
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_few_rows(tmp_path: Path, rows: int, latent_dim: int) -> None:
    run = train(tmp_path, images(rows), np.arange(rows), latent_dim=latent_dim, test_fraction=0.4, epochs=1)
    check_self_contained(report(run))


@pytest.mark.parametrize(("classes", "named"), [(2, True), (15, True), (200, False)])
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_labels(tmp_path: Path, classes: int, named: bool, latent_dim: int) -> None:
    labels = 1000 + np.arange(400) % classes
    run = train(tmp_path, numbers(400), labels, latent_dim=latent_dim, test_fraction=0.75)
    assert ("1001" in report(run).text) == named


def test_many_points_are_drawn_as_pixels(tmp_path: Path) -> None:
    run = train(tmp_path, numbers(3000), epochs=1, test_fraction=0.8)
    seen = report(run, limit=3000)
    check_self_contained(seen)
    assert any(tag == "image" for tag, _ in seen.found)
    assert len((run.path / "report.html").read_bytes()) < 400_000


def test_samples_and_means_are_of_the_same_latents(tmp_path: Path) -> None:
    model = train(tmp_path, numbers(), variance="fixed", sigma=1e-4).model()
    torch.testing.assert_close(sample(model, 64), sample(model, 64, mean=True), atol=1e-3, rtol=0)


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>&run"
    folder.mkdir()
    run = train(folder, numbers())
    text = report(run)
    assert "<b>&run" in text.text
    assert html.escape("<b>&run") in (run.path / "report.html").read_text(encoding="utf-8")


def test_an_old_page_stays_when_the_new_one_fails(
    image_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")

    def fail(seen: object, begin: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(page, "render", fail)
    with pytest.raises(RuntimeError, match="no page"):
        report(image_run, out)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert out.read_text() == "old"


def test_out_must_be_a_file_in_a_folder_that_exists(image_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        report(image_run, tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        report(image_run, tmp_path / "none" / "page.html")


@pytest.mark.parametrize("name", ["model.safetensors", "metrics.jsonl"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    run = train(tmp_path, numbers())
    content = (run.path / name).read_bytes()
    (run.path / name).write_bytes(content[: len(content) // 3])
    with pytest.raises(UserError, match=name):
        report(run)
    (run.path / name).unlink()
    with pytest.raises(UserError, match=name):
        report(run)
    assert not (run.path / "report.html").exists()


def test_first_epochs_do_not_flatten_the_rest() -> None:
    low, high, clipped = settled_range([[-1e6, *(-100 + 0.1 * i for i in range(50))]], 51)
    assert clipped
    assert -101 < low < -99
    assert -96 < high < -94
    assert settled_range([[1.0, 2.0, 3.0]], 3)[2] is False
    low, high, clipped = settled_range([[5.0] * 20], 1)
    assert low < 5 < high
    assert not clipped


def test_the_best_epoch_is_in_the_frame_though_it_is_among_the_first() -> None:
    distortion = [9.41, *(9.5 + 0.01 * i for i in range(9))]  # 200 of them may rise from a first best epoch
    low, high, clipped = settled_range([distortion], 1)
    assert low < 9.41 < 9.58 < high
    assert not clipped
    low, _, clipped = settled_range([[1.0, *range(100, 150)]], 2)
    assert clipped
    assert 90 < low < 100


def test_a_point_posterior_has_no_bound(tmp_path: Path) -> None:
    seen = report(train(tmp_path, numbers(), posterior="point"))
    check_self_contained(seen)
    assert "no bound on the log-likelihood" in seen.text
    assert "without the KL" in seen.text
    assert not re.search(r"\bnan\b|\binf\b|NaN|Infinity", seen.text)


def test_categorical_latents_have_no_traversal(tmp_path: Path) -> None:
    seen = report(train(tmp_path, images(), posterior="categorical", categories=3))
    check_self_contained(seen)
    assert "2 categorical latents" in seen.text
    assert "Latent traversal" not in seen.text


@pytest.mark.parametrize("prior", ["mixture", "flow"])
def test_other_priors_are_walked_in_their_own_units(tmp_path: Path, prior: str) -> None:
    seen = report(train(tmp_path, numbers(), prior=prior))
    assert "Latent traversal" in seen.text
    assert "dotted circles" not in seen.text


@pytest.mark.parametrize("likelihood", ["poisson", "discretized-logistic"])
def test_probabilities_are_called_so(tmp_path: Path, likelihood: str) -> None:
    seen = report(train(tmp_path, images(), likelihood=likelihood))
    assert "is a log probability" in seen.text
    assert "log density" not in seen.text


def test_letters_that_matplotlib_lacks_are_drawn_without_a_warning() -> None:
    figure, [ax] = canvas(200, 100)
    ax.set_xlabel("身長")
    assert "身長" in to_svg(figure, "letters", "alt")


def test_ticks_are_the_numbers_themselves() -> None:
    """No half epochs where there is one, and no `+4.09e3` in a corner to be added to each tick."""
    with matplotlib.rc_context(RC):
        figure, [ax] = canvas(300, 200)
        ax.plot([1], [4090.18], "o")
        ax.set_ylim(4089.68, 4090.68)
        whole_ticks(ax)
        ticks = re.findall(r">([^<>]+)</text>", to_svg(figure, "f", "one epoch"))
    assert ticks == ["1", "4089.8", "4090.0", "4090.2", "4090.4", "4090.6"]


def test_only_narrow_screens_have_the_narrow_layout(image_run: Run, image_page: Page) -> None:
    """A sheet of A4 is 720 pixels wide: pictures that stand side by side are not stacked on it."""
    text = (image_run.path / "report.html").read_text(encoding="utf-8")
    widths = re.findall(r"@media ([^{]*max-width[^{]*){", text)
    assert len(widths) == 2
    assert all(query.startswith("screen and") for query in widths)


def test_letters_stay_legible_on_a_telephone() -> None:
    """Letters of 11 pixels may shrink to 9: a drawing of the whole page is scrolled sideways there."""
    for width in (960, 376):
        figure, _ = canvas(width, 200)
        assert f"--least: {0.8 * width:g}px" in to_svg(figure, "f", "wide")
