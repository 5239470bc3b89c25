"""docs/results.md and docs/performance.md quote the figures that benchmarks/results holds."""

import json
import re
from pathlib import Path
from statistics import fmean, median
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
SPEED = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def stored(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def line(start: str) -> str:
    """The one line of the page that begins so."""
    (found,) = (text for text in PAGE.splitlines() if text.startswith(start))
    return found


def rounded(text: str, value: float) -> bool:
    """Whether ``text`` is ``value``, to as many digits as it has (a hair for halves)."""
    return abs(float(text) - value) <= 0.501 * 10.0 ** -len(text.partition(".")[2])


def test_the_signal_of_the_gradient_estimators() -> None:
    rows = {
        (r["bound"], r["state"], r["estimator"], r["K"]): r["snr"]
        for r in stored("gradient_variance")["rows"]
    }
    table = PAGE.split("| signal-to-noise")[1].split("\n\n")[0].splitlines()[2:]
    for text in table:
        title, *cells = (cell.strip() for cell in text.strip("|").split("|"))
        case, _, rest = title.partition(": ")
        bound, _, state = case.partition(", ")
        estimator = (
            re.split(r", K = | \(K = ", rest)[0].replace("-", " ").replace("leave one out", "leave-one-out")
        )
        state = "MNIST, " + state[len("MNIST ") :].removeprefix("with ") if state[:5] == "MNIST" else state
        ks = (2 if "K = 2" in rest else 1, 1000 if "1000" in rest else 100)
        for K, cell in zip(ks, cells, strict=True):
            value = rows[bound.lower(), state, estimator, K]
            assert rounded(cell, value), f"{title}, K = {K}: {cell} on the page, {value} stored"


def test_filled_cells() -> None:
    records = [r for r in stored("imputation")["records"] if r["mechanism"] == "at random"]
    row = line("| filled cells").replace("Adult", "adult")
    methods = ("VAEImputer", "IterativeImputer", "KNNImputer")
    quoted = re.findall(r"(\w+) ([\d.]+) / ([\d.]+) / ([\d.]+)", row)
    assert {name for name, *_ in quoted} == {r["set"] for r in records} | {"accuracy"}
    for name, *cells in quoted:
        data, key = ("adult", "accuracy") if name == "accuracy" else (name, "rmse")
        for method, cell in zip(methods, cells, strict=True):
            value = fmean(r[key] for r in records if (r["set"], r["method"]) == (data, method))
            assert rounded(cell, value), f"{name}, {method}: {cell} on the page, {value} stored"


def test_synthetic_adult() -> None:
    records = stored("tabular")["records"]
    keys = ("column_shapes", "pair_trends", "detection", "auc")
    quoted = re.findall(r"([\d.]+) \(([\d.]+); ([\d.]+)\)", line("| synthetic Adult"))
    for key, cells in zip(keys, quoted, strict=True):
        for method, cell in zip(("jensen", "TVAE", "held-out rows"), cells, strict=True):
            value = 100 * fmean(r[key] for r in records if r["method"] == method)
            assert rounded(cell, value), f"{key}, {method}: {cell} on the page, {value} stored"


def test_where_the_estimators_end() -> None:
    found = stored("estimator_bounds")["difference_to_pathwise"]
    ways = ("ELBO STL", "K=5 DReG", "K=20 DReG", "K=20 DReG, 5 followed")
    quoted = 0
    for text in PAGE.split("| data, epochs |")[1].split("\n\n")[0].splitlines()[2:]:
        case, *cells = (cell.strip() for cell in text.strip("|").split("|"))
        for way, cell in zip(ways, cells, strict=True):
            if cell:
                value, error = cell.split(" ± ")
                figure = found[f"{case} epochs, {way}"]
                assert rounded(value, figure["value"]), (case, way)
                assert rounded(error, figure["standard_error"]), (case, way)
                quoted += 1
    assert quoted == len(found)


def test_the_table_of_burda_et_al() -> None:
    stored_cells = stored("iwae_table")["results"]
    name = ""
    quoted = set()
    for text in PAGE.split("| | published (3,280")[1].split("\n\n")[0].splitlines()[2:]:
        title, published, figures, epochs, _ = (cell.strip() for cell in text.strip("|").split("|"))
        name = title.replace(", k = ", "-") or name
        assert not published or float(published) == stored("iwae_table")["published"][name]
        for value, error in re.findall(r"([\d.]+) ± ([\d.]+)", figures):
            (cell, one) = next(
                (key, r)
                for key, r in stored_cells.items()
                if key.startswith(f"{name}-seed") and key not in quoted and rounded(value, r["nll"]["value"])
            )
            assert rounded(error, one["nll"]["standard_error"])
            assert int(epochs) == one["epochs"]
            quoted.add(cell)
    assert quoted == set(stored_cells)


CONVOLUTIONS = [("conv 32x32", 1024), ("conv 32x32", 128), ("conv 64x64", 128)]


def on_gpu(network: str, batch: int) -> dict[str, list[float]]:
    """Rows per second of each contestant, by round."""
    (found,) = stored("gpu").values()
    (speeds,) = (r["rows_per_second"] for r in found["networks"][network] if r["batch_size"] == batch)
    return dict(speeds)


def test_speed_on_a_gpu() -> None:
    rows = {
        "jensen, as it comes": "jensen",
        "jensen in tf32": "jensen, tf32",
        "jensen, `--precision float32`": "jensen, float32",
        "jensen, a run too short": "jensen, graph",
        "jensen, `--compile off`": "jensen, eager",
        "JAX": "JAX",
        "compiled step, bf16": "compiled step, bf16",
        "compiled step": "compiled step",
        "plain loop": "plain loop",
        "Pythae": "Pythae",
    }
    columns = {"| MLP |": [("mlp", 128), ("mlp", 1024)], "| convolutions, batch |": CONVOLUTIONS}
    for head, cases in columns.items():
        for text in SPEED.split(head)[1].split("\n\n")[0].splitlines()[2:]:
            title, *cells = (cell.strip() for cell in text.replace("**", "").strip("|").split("|"))
            name = next(name for start, name in rows.items() if title.startswith(start))
            for case, cell in zip(cases, cells, strict=True):
                assert rounded(cell.replace(",", ""), median(on_gpu(*case)[name]) / 1000), (title, cell)


def test_speed_on_a_gpu_as_ratios() -> None:
    """Medians of the rounds' ratios, on the page and in README; of tf32 the ratio of medians."""
    small, large = on_gpu("mlp", 128), on_gpu("mlp", 1024)
    text = " ".join(
        SPEED.split("By the ratios of the rounds jensen is, at batch")[1].split("\n\n")[0].split()
    )
    quoted = re.findall(r"([\d.]+) and ([\d.]+) times", text)
    for name, cells in zip(("Pythae", "plain loop", "JAX"), quoted, strict=False):
        for cell, speeds in zip(cells, (small, large), strict=True):
            ratios = [a / b for a, b in zip(speeds["jensen"], speeds[name], strict=True)]
            assert rounded(cell, median(ratios)), (name, cell)
    for cell, speeds in zip(quoted[3], (small, large), strict=True):
        assert rounded(cell, median(speeds["jensen, tf32"]) / median(speeds["JAX"])), cell
    readme = " ".join(
        (ROOT / "README.md").read_text(encoding="utf-8").split("**Speed**")[1].split("([")[0].split()
    )
    figures = re.findall(r"([\d.]+) (?:million|times)", readme.split("GPU (H100)")[1])
    ratios = [
        median(a / b for a, b in zip(large["jensen"], large[n], strict=True))
        for n in ("plain loop", "Pythae", "JAX")
    ]
    for cell, value in zip(figures, [median(large["jensen"]) / 1e6, *ratios], strict=True):
        assert rounded(cell, value), cell


def test_convolutions_on_a_gpu_as_ratios() -> None:
    text = " ".join(SPEED.split("jensen is, in the order of the columns,")[1].split("\n\n")[0].split())
    quoted = re.findall(r"([\d.]+), ([\d.]+) and ([\d.]+) times", text)
    for name, cells in zip(("compiled step, bf16", "JAX", "plain loop", "Pythae"), quoted, strict=True):
        for case, cell in zip(CONVOLUTIONS, cells, strict=True):
            speeds = on_gpu(*case)
            ratios = [a / b for a, b in zip(speeds["jensen"], speeds[name], strict=True)]
            assert rounded(cell, median(ratios)), (name, case)


def test_bfloat16_leaves_the_bound() -> None:
    section = SPEED.split("## --precision")[1].split("##")[0]
    quoted = re.findall(r"\*\*(-?[\d.]+) ± ([\d.]+)(?:\snats)?\*\*", section)
    emulated, on_gpu = (r["difference"] for r in stored("precision").values())
    for (value, error), figure in zip(quoted, (on_gpu, emulated), strict=True):
        assert rounded(value, figure["value"])
        assert rounded(error, figure["standard_error"])


def test_where_decoders_start() -> None:
    found = stored("marginal_start")["cases"]
    table = PAGE.split("| data, likelihood, network |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) == len(found)
    for text in table:
        case, epochs, *bounds, gain = (cell.strip() for cell in text.strip("|").split("|"))
        one = found[case]
        assert int(epochs) == one["epochs"]
        for arm, cell in zip(("zero", "marginal"), bounds, strict=True):
            assert rounded(cell, fmean(one[arm])), (case, arm)
        value, error = gain.split(" ± ")
        assert rounded(value, one["gain"]["value"])
        assert rounded(error, one["gain"]["standard_error"])


def test_gradient_spikes() -> None:
    found = stored("gradient_spikes")["cases"]
    table = PAGE.split("| images, likelihood |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) == len(found)
    for text in table:
        case, epochs, *bounds, gain, most, least = (cell.strip() for cell in text.strip("|").split("|"))
        one = found[case]
        assert int(epochs) == one["epochs"]
        best = {arm: [r["best_validation"] for r in one[arm]] for arm in ("none", "clipped")}
        for arm, cell in zip(best, bounds, strict=True):
            assert rounded(cell.replace(",", ""), fmean(best[arm])), (case, arm)
        for text, value in zip(
            gain.split(" ± "), (one["gain"]["value"], one["gain"]["standard_error"]), strict=True
        ):
            assert rounded(text.replace(",", ""), value), case
        gains = [b - a for a, b in zip(*best.values(), strict=True)]
        for cell, value in ((most, max(gains)), (least, min(gains))):
            assert rounded(cell.replace(",", ""), value), (case, cell)
