"""jensen report RUN: one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jensen.cli.common import RunOptions, say
from jensen.config.parse import parse
from jensen.errors import UserError, check_options
from jensen.progress import parts


@dataclass(frozen=True, kw_only=True)
class ReportOptions(RunOptions):
    """Write one self-contained HTML page: bounds, curves, reconstructions, samples, latents, settings."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The file to write. Default: report.html in the run's folder."""
    num_samples: int = 100
    """Posterior samples per datum, K, of the importance-weighted bound in the report's table."""
    limit: int = 1000
    """Rows of the test split that the report looks at, at most."""
    data_dir: Path | None = None
    """Folder of the named data sets."""

    def __post_init__(self) -> None:
        """Refuse counts below one, and a page by another name."""
        if self.out is not None and self.out.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"cannot write {self.out}: a report is an HTML page; end the name in .html")
        check_options(self, "num_samples limit", lambda v: v >= 1, "at least 1")


def main(arguments: Sequence[str]) -> None:
    """Parse, look, write the page."""
    options = parse(ReportOptions, arguments, "jensen report")
    from jensen.report import write_report
    from jensen.run import Run

    run = Run.open(options.run)
    with parts() as begin:
        path = write_report(
            run,
            options.out,
            num_samples=options.num_samples,
            limit=options.limit,
            data_dir=options.data_dir,
            device=options.device,
            begin=begin,
        )
    if not run.checkpoint.exists():
        say(f"{run.checkpoint} is missing: the curves of metrics.jsonl are shown as they are, unchecked")
    print(path)
