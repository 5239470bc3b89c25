"""What a reader must know before comparing a run's figures with others, or trusting them."""

from collections import Counter
from typing import Any

from markupsafe import Markup, escape

from jensen.config.tables import modelled_of
from jensen.data.tables.schema import TYPES, Schema
from jensen.data.words import count
from jensen.figures.lines import cautions
from jensen.report.look import Look
from jensen.report.style import plain
from jensen.report.table import numbers

BINARY = {
    "none": "zeros and ones as given, no binarization: log <i>p</i>(<i>x</i>) is a log probability.",
    "dynamic": "dynamic binarization: each grey value is drawn to 0 or 1 with the probability that it stands "
    "for, anew at every use in training and once, by the run’s seed, for evaluation. Figures under another "
    "binarization, or none, are not comparable.",
    "static": "static binarization: each grey value was drawn once to 0 or 1. Figures under another "
    "binarization, or none, are not comparable.",
}
COUNTS = "whole numbers as given, no binarization: log <i>p</i>(<i>x</i>) is a log probability"
GIVEN_TOTAL = (
    "whole numbers as given, no binarization, each at a mean that is a share of its row’s total: log "
    "<i>p</i>(<i>x</i> | {}) is the log of a product of probabilities, which over all rows of one total "
    "need not add up to one; it compares with such figures only"
)
DEQUANTIZED = (
    "uniform dequantization: noise from [0, 1) is added to whole numbers, so that the density bounds the "
    "probability of the stored values; no binarization"
)
WHOLE = (
    "whole numbers taken as they are, without binarization or dequantization: log <i>p</i>(<i>x</i>) is a "
    "log density, no log probability, and may be above zero"
)
REAL = (
    "real numbers, without binarization or dequantization: log <i>p</i>(<i>x</i>) is a log density, which "
    "depends on the units of the data and may be above zero"
)

PROBABILITY = "a log probability"
DENSITY = "a log density, which depends on the units of the data and may be above zero"
MIXED = (
    "of mixed kind: a log probability for levels, whole numbers and values that are frequent, a log density, "
    "which depends on the units and may be above zero, for all other numbers"
)


def notes(look: Look) -> list[Markup]:
    """Unit, rows and data of the figures, then cautions that these figures call for."""
    settings, figures = look.run.settings, look.figures
    rows = look.run.recorded["data"]["splits"]["test"]
    which = f"all {rows:,}" if figures["n"] == rows else f"the first {figures['n']:,} of {rows:,}"
    said = [
        Markup(
            "<b>Unit:</b> nats per datum of the data as given; bounds are on log <i>p</i>(<i>x</i>), so "
            "larger is better. ± is one standard error over the rows. <b>Rows:</b> {} of the test split."
        ).format(which),
        Markup("<b>Data:</b> ") + _domain(look),
    ]
    said += [Markup("<b>Caution:</b> {}.").format(caution) for caution in cautions(figures)]
    if look.best_epoch == len(look.history) == settings.epochs and len(look.history) > 1:
        said.append(
            Markup(
                "<b>Unfinished:</b> the last epoch was the best one, so training had not levelled off; more "
                "--epochs may give better figures."
            )
        )
    if settings.bound == "reconstruction":
        said.append(
            Markup(
                "<b>Objective:</b> training maximised E log <i>p</i>(<i>x</i>|<i>z</i>) without the KL, as "
                "a plain autoencoder does; nothing kept the posterior near the prior, so samples need not "
                "look like the data."
            )
        )
    said += [
        Markup("<b>Not measured:</b> {}, because {}.").format(name.replace("_", " "), reason)
        for name, reason in figures.get("not_measured", {}).items()
    ]
    return said


def match(figures: dict[str, Any]) -> Markup | None:
    """Whether the aggregate posterior matches the prior, as every draw assumes; None if unknown."""
    found = figures.get("aggregate")
    if found is None:
        return None
    return Markup(
        "<b>Aggregate posterior against prior: {}.</b> In words: {}. KL({}‖{}) is {} ± {} nats or less, "
        "I(<i>x</i>; <i>z</i>) {} ± {} nats or more, of the {} that {:,} rows can show; "
        "two-sample test (MMD): p = {}."
    ).format(
        found["verdict"],
        found["advice"],
        Markup("<i>q</i>(<i>z</i>)"),
        Markup("<i>p</i>(<i>z</i>)"),
        *numbers(found["marginal_kl"]),
        *numbers(found["mutual_information"]),
        plain(found["log_n"]),
        found["n"],
        plain(found["mmd_p_value"], 3),
    )


def _domain(look: Look) -> Markup:
    """Of what log p(x) is the density: without that, the figures compare with nothing."""
    preparation = look.preparation
    if look.run.schema is not None:
        return _table_domain(look, look.run.schema)
    if preparation.binary:
        return Markup(BINARY[preparation.binarize])
    if preparation.discrete:
        given_total = look.run.settings.exposure == "total"
        words = GIVEN_TOTAL.format(escape(", ".join(look.figures["condition"]))) if given_total else COUNTS
    elif preparation.dequantize:
        words = DEQUANTIZED
    else:
        words = REAL if preparation.stored_dtype.is_floating_point else WHOLE
    log_det = look.figures["log_det"]
    if log_det == 0:
        return Markup(words + ".")
    return Markup(
        words + "; the model sees scaled values, and log |d scaled / d given| = {} nats is included."
    ).format(plain(log_det))


def _table_domain(look: Look, schema: Schema) -> Markup:
    """What a table's columns are, and of what log p(x) is the density by that.

    Levels have probabilities, and whole numbers; other numbers have densities, but for their atoms.
    """
    given = look.run.settings.condition
    kinds = Counter(column.type for column in schema.modelled if column.name not in given)
    counted = ", ".join(f"{kinds[kind]:,} {kind}" for kind in TYPES if kinds[kind])
    marginals = modelled_of(given, look.preparation)
    dense = [marginal for marginal in marginals if not marginal.levels and marginal.step != 1]
    if not dense:
        kind = PROBABILITY
    elif len(dense) == len(marginals) and not any(len(marginal.atoms) for marginal in dense):
        kind = DENSITY
    else:
        kind = MIXED
    return Markup("{}: {}; log <i>p</i>(<i>x</i>) is {}.").format(
        count(kinds.total(), "column"), counted, Markup(kind)
    )
