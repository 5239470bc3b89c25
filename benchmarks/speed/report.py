"""The tables of docs/performance.md, between its markers, from the JSON."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from .processes import ROOT
from .worker import MODULES

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- written by python -m benchmarks.speed -->\n", "<!-- end -->\n"


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def contestants(result: dict[str, Any]) -> list[str]:
    """Who took part, in the order of the tables."""
    return [name for name in MODULES if name in result and name != "floor"]


def floors(result: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of an epoch's matrix products and Adam's traffic, round by round."""
    parts = result.get("floor", {})
    optimizer = parts.get("optimizer", [])
    return {
        kind: [a + b for a, b in zip(parts[kind], optimizer, strict=True)]
        for kind in ("fp32", "bf16")
        if kind in parts
    }


def speed(seconds: Sequence[float], rows: int) -> str:
    """Median and quartiles, thousands of rows a second."""
    if len(seconds) < 2:
        return f"{rows / seconds[0] / 1000:.1f}"
    low, middle, high = statistics.quantiles([rows / s / 1000 for s in seconds], n=4, method="inclusive")
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def lines(result: dict[str, Any], rows: int) -> Iterator[str]:
    """A batch size, for the terminal."""
    for name in contestants(result):
        found = result[name]
        relative = [
            f"{ratio(result[other]['seconds'], found['seconds']):.2f} x {other}"
            for other in ("plain loop", "Pythae", "JAX")
            if other in result and other != name
        ]
        relative += [
            f"{ratio(seconds, found['seconds']):.0%} of the {kind} floor"
            for kind, seconds in floors(result).items()
        ]
        yield f"{name:<20} {speed(found['seconds'], rows):>24} k rows/s  " + ", ".join(relative)
    if not result["losses_agree"]:
        yield "the losses differ: " + ", ".join(f"{n} {result[n]['loss']:.2f}" for n in contestants(result))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (header, rule, *rows))


def sections(content: dict[str, Any]) -> Iterator[str]:
    """The tables, with their titles."""
    rows, batches = content["options"]["rows"], content["batches"]
    header = ["batch", *(str(result["batch_size"]) for result in batches)]
    names = [name for name in MODULES if name in batches[0] and name != "floor"]
    by_speed = [[name, *(speed(r[name]["seconds"], rows) for r in batches)] for name in names]
    by_speed += [
        [f"floor, {kind}", *(speed(floors(r)[kind], rows) for r in batches)] for kind in floors(batches[0])
    ]
    yield "Thousands of rows a second, median over rounds (quartiles):\n\n" + table(header, by_speed)
    if "jensen" in names:
        ratios = [
            [f"over {name}", *(f"{ratio(r[name]['seconds'], r['jensen']['seconds']):.2f}" for r in batches)]
            for name in names
            if name != "jensen"
        ]
        ratios += [
            [
                f"share of the {kind} floor",
                *(f"{ratio(floors(r)[kind], r['jensen']['seconds']):.0%}" for r in batches),
            ]
            for kind in floors(batches[0])
        ]
        yield "jensen's speed-up, median of the rounds' ratios:\n\n" + table(header, ratios)
    losses = [[name, *(f"{r[name]['loss']:.2f}" for r in batches)] for name in names]
    agreed = "agree" if all(r["losses_agree"] for r in batches) else "do not all agree"
    yield f"Losses of the last epoch (nats; they {agreed} within 2 %):\n\n" + table(header, losses)
    peaks = [[n, f"{batches[0][n]['peak_mib']:.0f}"] for n in names if "peak_mib" in batches[0][n]]
    if peaks:
        yield "Peak memory of the process after the first batch size:\n\n" + table(["", "MiB"], peaks)
    if "start_seconds" in content:
        starts = [[n, f"{statistics.median(s):.1f}"] for n, s in content["start_seconds"].items()]
        yield "From the start of the process to the end of the first epoch, 1,797 digits:\n\n" + table(
            ["", "seconds"], starts
        )
    if "likelihood" in content:
        found = content["likelihood"]
        cells = [
            [name, f"{1000 * seconds:.2f}", f"{found['log_px'][name]:.2f}"]
            for name, seconds in found["seconds_an_image"].items()
        ]
        yield f"log p(x) of {found['images']} images by {found['K']:,} importance samples:\n\n" + table(
            ["", "ms an image", "nats"], cells
        )


def write(content: dict[str, Any]) -> None:
    """Replace what stands between the markers of the page."""
    machine = content["machine"]
    about = (
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; "
        + ", ".join(f"{name} {number}" for name, number in content["versions"].items())
        + f". {content['options']['rows']:,} rows an epoch, {content['options']['rounds']} rounds, runs at "
        + f"different moments: {content.get('runs', 1)}.\n"
    )
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    text = "\n".join([about, *sections(content)])
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
