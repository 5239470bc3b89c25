"""Putting the page together and writing it."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import matplotlib
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from jensen._version import __version__
from jensen.errors import UserError
from jensen.files import atomic
from jensen.progress import Begin, unseen
from jensen.report import associations, images, latents, rows, words
from jensen.report.curves import curves
from jensen.report.look import Look, look
from jensen.report.notes import match, notes
from jensen.report.style import RC, Picture
from jensen.report.table import bounds
from jensen.run import Run


def write_report(
    run: Run,
    out: Path | None,
    *,
    num_samples: int,
    limit: int,
    data_dir: Path | None,
    device: str,
    begin: Begin = unseen,
) -> Path:
    """Write one HTML page that shows a run and needs nothing beside itself; an old one is replaced whole.

    Args:
        run: an opened run.
        out: the file; None for report.html in the run's folder.
        num_samples: K of the importance-weighted bound.
        limit: rows of the test split looked at, at most.
        data_dir: folder of the named data sets.
        device: "auto", "cpu", "cuda", ...
        begin: told of each part that is begun, for progress (see `jensen.progress.parts`).

    Returns:
        The file written.

    Raises:
        UserError: a file of the run is missing or damaged, the data are missing or others, or ``out`` cannot
            be written.
    """
    out = run.path / "report.html" if out is None else out
    if out.is_dir():
        raise UserError(f"{out} is a folder; give the name of a file, such as {out / 'report.html'}")
    with atomic(out) as temporary:
        seen = look(run, num_samples=num_samples, limit=limit, data_dir=data_dir, device=device, begin=begin)
        temporary.write_text(render(seen, begin), encoding="utf-8")
    return out


def render(seen: Look, begin: Begin = unseen) -> str:
    """The page as text."""
    room = files("jensen.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    figures = seen.figures | associations.figures(seen)
    template = environment.from_string((room / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        css=Markup((room / "report.css").read_text(encoding="utf-8")),
        version=__version__,
        run=str(seen.run.path),
        title=Path(seen.dataset.name).name,
        data=seen.dataset.name,
        figures=seen.figures,
        # JSON has no NaN and no infinity: null, as `jensen evaluate --json` has it.
        figures_json=json.dumps(json.loads(json.dumps(figures), parse_constant=lambda name: None), indent=2),
        summary=words.summary(seen),
        bounds=bounds(seen.figures),
        notes=notes(seen),
        match=match(seen.figures),
        settings=words.settings_groups(seen.run),
        recorded=words.recorded(seen),
        **pictures(seen, begin),
    )


def pictures(seen: Look, begin: Begin = unseen) -> dict[str, Picture | None]:
    """All figures, by the names that the template has for them."""
    kind = images if seen.is_image else rows
    drawings: dict[str, Callable[[Look], Picture | None]] = {
        "curves": curves,
        "reconstructions": kind.reconstructions,
        "samples": kind.samples,
        "associations": associations.associations,
        "walk": lambda seen: None if seen.walk is None else kind.walk(seen, seen.walk),
        "map": latents.posterior_map,
        "rates": latents.rates,
    }
    told, drawn = begin("pictures", len(drawings)), dict[str, Picture | None]()
    with matplotlib.rc_context(RC):
        for name, draw in drawings.items():
            drawn[name] = draw(seen)
            told(1)
    return drawn
