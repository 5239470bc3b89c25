"""jensen score RUN DATA -o FILE: how likely each row is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jensen.cli.common import Beside, RowsOptions, rows_for, say
from jensen.config.parse import parse
from jensen.errors import UserError, check_options
from jensen.progress import parts, told_of

if TYPE_CHECKING:
    from torch import Tensor

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
    from jensen.scores import column_names, score_rows
    from jensen.training.device import choose_device

    run = Run.open(options.run)
    if run.settings.posterior == "point":
        raise UserError(
            f"{run.path} has a point posterior, without a density, and no log p(x) can be had from it; train "
            "with another --posterior"
        )
    device = choose_device(options.device)
    model = run.model(device)
    check_suffix(options.out, (1,))
    dataset = rows_for(run, model, options)
    spent = {"num_samples": options.num_samples, "seed": options.seed}
    blocks = run.blocks(dataset, "all", alike=True)
    names = ["log_px", "percentile", "effective_sample_size"]
    if options.per_column:
        names.append("latents")
        names += [f"{name} (column)" if name in names else name for name in column_names(run)]
    total, rows = 0.0, len(dataset.x)
    beside = Beside(dataset, names)
    with parts() as begin:
        reference, among = _reference(run, model, spent, begin)
        if reference is None:
            names.remove("percentile")
        blocks = told_of(blocks, begin("scoring rows", rows))
        with row_writer(options.out, names) as write:
            for scores in score_rows(run, model, blocks, **spent, per_column=options.per_column):
                write(_table(scores, reference).numpy(), beside.next(len(scores.log_px)))
                total += scores.log_px.sum().item()
    given = f" | {', '.join(conditions(run.settings))}" if conditions(run.settings) else ""
    say(
        f"{options.out}: {count(rows, 'row')}, log p(x{given}) by {options.num_samples:,} importance "
        f"samples, mean {total / rows:.2f} nats of the data as given; {among}"
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
