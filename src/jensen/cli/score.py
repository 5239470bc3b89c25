"""jensen score RUN DATA -o FILE: how likely each row is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jensen.cli.common import RowNames, RowsOptions, print_json, rows_for, say
from jensen.config.parse import parse
from jensen.errors import UserError, check_options
from jensen.progress import parts, told_of

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.data import Dataset
    from jensen.evaluation.score import Scores
    from jensen.models import VAE
    from jensen.progress import Begin
    from jensen.run import Run


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(RowsOptions):
    """Write log p(x) of each row, in nats of the data as given: rare rows score low.

    In a conditional run it is log p(x | c), of all else given those: rare for its c. Of counts whose
    total is given it is log p(x | total).
    Columns: what tells the rows apart (the file of an image, or the column of a table that does); log_px, the
    importance-weighted estimate; percentile, the per cent of training rows that score no higher (left out
    where those were moved away before they were first scored);
    effective_sample_size, of the K importance samples.
    """

    num_samples: int = 200
    """Importance samples of each row, K."""
    per_column: bool = False
    """Add what each column brings to the score, so that a rare row is explained: they, and the column of the
    latents, add up to log_px. A column that is called like one of the above becomes "NAME (column)"."""
    seed: int = 0
    """Seed of the importance samples: the same scores at every call."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        """Refuse counts below one."""
        check_options(self, "num_samples", lambda v: v >= 1, "at least 1")
        check_options(self, "seed", lambda v: v >= 0, "0 or more")


def main(arguments: Sequence[str]) -> None:
    """Parse, score, write."""
    options = parse(ScoreOptions, arguments, "jensen score")
    from jensen.data import check_suffix, row_writer
    from jensen.data.words import count
    from jensen.figures.lines import conditions
    from jensen.run import Run
    from jensen.scores import score_rows
    from jensen.training.device import choose_device

    run = Run.open(options.run)
    _check_density(run)
    device = choose_device(options.device)
    model = run.model(device)
    check_suffix(options.out, (1,))
    dataset = rows_for(run, model, options)
    spent = {"num_samples": options.num_samples, "seed": options.seed}
    blocks = run.blocks(dataset, "all", alike=True)
    names = _names(run, options)
    rows = len(dataset.x)
    seen = _Seen()
    beside = RowNames(dataset, names)
    with parts() as begin:
        reference, among = _reference(run, model, spent, begin)
        if reference is None:
            names.remove("percentile")
        blocks = told_of(blocks, begin("scoring rows", rows))
        with row_writer(options.out, names) as write:
            for scores in score_rows(run, model, blocks, **spent, per_column=options.per_column):
                write(_table(scores, reference).numpy(), beside.next(len(scores.log_px)))
                seen.add(scores)
    given = f" | {', '.join(conditions(run.settings))}" if conditions(run.settings) else ""
    say(
        f"{options.out}: {count(rows, 'row')}, log p(x{given}) by {options.num_samples:,} importance "
        f"samples, mean {seen.log_px.mean():.2f} nats of the data as given; {among}"
    )
    cautions = list(_cautions(run, dataset, seen, options))
    for caution in cautions:
        say(f"caution: {caution}")
    if options.json:
        print_json(_figures(options, seen, cautions, None if reference is None else len(reference)))


def _check_density(run: "Run") -> None:
    """Refuse a run without log p(x)."""
    if run.settings.posterior == "point":
        raise UserError(
            f"{run.path} has a point posterior, without a density, and no log p(x) can be had from it; train "
            "with another --posterior"
        )


def _names(run: "Run", options: ScoreOptions) -> list[str]:
    """The names of the columns of the file."""
    from jensen.scores import column_names

    names = ["log_px", "percentile", "effective_sample_size"]
    if options.per_column:
        names.append("latents")
        names += [f"{name} (column)" if name in names else name for name in column_names(run)]
    return names


def _figures(
    options: ScoreOptions, seen: "_Seen", cautions: list[str], reference: int | None
) -> dict[str, Any]:
    """What is said of the scores of all rows, for JSON."""
    from jensen.evaluation import estimate

    return {
        "run": str(options.run),
        "out": str(options.out),
        "unit": "nats",
        "n": len(seen.log_px),
        "log_px": estimate(seen.log_px).to_dict(),
        "num_samples": options.num_samples,
        "effective_sample_size": seen.size,
        "reference": reference,
        "cautions": cautions,
    }


class _Seen:
    """What the scores of a file call for is told of, from those of its blocks."""

    def __init__(self) -> None:
        self._log_px: list[Tensor] = []
        self._sizes: list[Tensor] = []
        self.lowest: Tensor | None = None
        """Of each column, where these were asked for, ``[C]``."""

    def add(self, scores: "Scores") -> None:
        """Take in those of a block."""
        self._log_px.append(scores.log_px)
        self._sizes.append(scores.effective_sample_size)
        if scores.columns is not None:
            lowest = scores.columns.amin(0)
            self.lowest = lowest if self.lowest is None else lowest.minimum(self.lowest)

    @property
    def log_px(self) -> "Tensor":
        """Of all rows, ``[N]``."""
        import torch

        return torch.cat(self._log_px)

    @property
    def size(self) -> float:
        """The mean of the effective sample sizes."""
        import torch

        return torch.cat(self._sizes).mean().item()


def _cautions(run: "Run", dataset: "Dataset", seen: _Seen, options: ScoreOptions) -> Iterator[str]:
    """What a reader of the scores must know before trusting them, a sentence each."""
    from jensen.data.words import count, few
    from jensen.distributions.columns import NEVER
    from jensen.figures.lines import low_sample_size
    from jensen.scores import column_names, learned_by_heart

    never = int((seen.log_px < NEVER / 2).sum()) if run.settings.likelihood == "columns" else 0
    if never:
        where = "--per-column says in which column"
        if seen.lowest is not None:
            names = zip(column_names(run), seen.lowest.tolist(), strict=True)
            where = f"in column {few([name for name, lowest in names if lowest < NEVER / 2])}"
        yield (
            f"{count(never, 'row has', 'rows have')} a value that cannot be under the model, or that is "
            f"farther out than it can tell, which counts {NEVER:g} nats; {where}"
        )
    if caution := low_sample_size(seen.size, options.num_samples):
        yield caution
    if (share := learned_by_heart(run, dataset, seen.log_px)) is not None:
        yield (
            f"training rows score higher than rows held out in {100 * share:.0f} % of pairs (50 % if none "
            "were learned by heart), so that outliers among them may look usual; score rows that were not "
            "trained on, or use VAEOutlierDetector (docs/anomalies.md)"
        )


def _reference(
    run: "Run", model: "VAE", spent: dict[str, int], begin: "Begin"
) -> "tuple[Tensor | None, str]":
    """The scores that percentiles are told among, if they can be had, and what to say of percentiles."""
    from jensen.scores import NoReferenceError, reference_scores

    try:
        found = reference_scores(run, model, **spent, begin=begin)
    except NoReferenceError as error:
        return None, f"no percentiles, which need the training data once: {error}"
    return found, f"percentiles among {len(found):,} training rows"


def _table(scores: "Scores", reference: "Tensor | None") -> "Tensor":
    """The columns of the file, ``[N, C]``; percentiles are among the scores ``reference``, if any."""
    import torch

    from jensen.evaluation.score import percentiles

    columns = [scores.log_px, scores.effective_sample_size]
    if reference is not None:
        columns.insert(1, percentiles(scores.log_px, reference))
    if scores.columns is not None and scores.latents is not None:
        columns += [scores.latents, *scores.columns.unbind(1)]
    return torch.stack(columns, 1)
