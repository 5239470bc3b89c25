"""The forms in which dates are written as text: found out, read and written."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y-%m-%d", "%Y/%m/%d")
_NAMED = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%d-%B-%Y", "%B %d, %Y")
"""With the names of months in English."""
_SHORT = tuple(day.replace("%Y", "%y") for day in (*_DAYS, "%d %b %Y", "%d-%b-%Y"))
_TIMES = ("", " %H:%M:%S", "T%H:%M:%S", " %H:%M", "T%H:%M", " %I:%M:%S %p", " %I:%M %p")
FORMS = tuple(day + time for time in _TIMES for day in (*_DAYS, *_NAMED, *_SHORT))
COMPACT = "%Y%m%d"
"""Of dates that are whole numbers, such as 20200828."""
_PARTS = {"%Y": "[0-9]{4}", "%y": "[0-9]{2}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,}"}
"""What must stand for a part: Arrow takes years of fewer digits too, 18/08/21 for a day of the year 18."""
_BARE = ("%d", "%m", "%H", "%I")
"""Parts that may be written without a zero before them."""
_TOKEN = re.compile(r"(%[-:]?[A-Za-z])")
_MARK = "\x01"
"""Stands before a number that may lose its zero."""
_ZONE = re.compile(r":\d\d(Z|[+-]\d\d:?\d\d)$")
MOST = 0.5
"""A column with more than this share of dates is one of dates, and its other cells are mistakes."""


def parse_dates(cells: Any, form: str) -> Any:
    """Text as moments in seconds, null where there is none or it is no date of this form.

    Moments are as clocks show them, whatever zone the form ends in; with ``%z`` or ``%:z`` (+0100 or +01:00),
    where each text has its own, they are those of UTC.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    form = plain(form)
    moments = pc.strptime(cells, format=form, unit="s", error_is_null=True).cast(pa.timestamp("s"))
    moments = pc.if_else(pc.match_substring_regex(cells, _pattern(form, _PARTS)), moments, None)
    # Arrow takes the 31st of February for the 3rd of March: it ends among the first days of a month.
    early = pc.unique(pc.filter(cells, pc.fill_null(pc.less_equal(pc.day(moments), 3), False)))
    wrong = [text for text in early.to_pylist() if not _is_date(text, form)]
    if not wrong:
        return moments
    return pc.if_else(pc.is_in(cells, value_set=pa.array(wrong, cells.type)), None, moments)


def write_dates(moments: Any, form: str) -> Any:
    """The inverse of `parse_dates`: moments as text of a form; null stays so."""
    import pyarrow.compute as pc

    marked = as_written(re.sub("%-", f"{_MARK}%", form))
    return pc.replace_substring_regex(pc.strftime(moments, format=marked), f"{_MARK}0?", "")


def _pattern(form: str, parts: Mapping[str, str]) -> str:
    """A regular expression of the texts that have a form."""
    words = (parts.get(word, ".+") if _TOKEN.match(word) else re.escape(word) for word in _TOKEN.split(form))
    return f"^{''.join(words)}$"


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def forms_of(texts: Any, forms: Iterable[str] | None = None) -> tuple[str, ...]:
    """Which of ``forms`` all of some texts have.

    Left out: of `FORMS`, with the time zone that the first text ends in, if it does.
    """
    if forms is None:
        forms = _in_zone(_zone(texts[0].as_py()))
    for some in (texts.slice(0, 1), texts):  # most forms fail at the first text
        forms = [form for form in forms if not parse_dates(some, form).null_count]
    return tuple(forms)


def with_rival(texts: Any, forms: tuple[str, ...]) -> tuple[str, ...]:
    """The form to take of those that all of some texts have, then the first, if any, that reads other days.

    01/02/2020 may be a day of January or of February. The fewest different years are likelier, and then a day
    of the month that is always the same, as on the first of every month.
    """
    import pyarrow.compute as pc

    forms = tuple(form for form in forms if not form.endswith("z")) or forms
    if len(forms) == 1:
        return (bare(texts, forms[0]),)
    moments = {form: parse_dates(texts, form) for form in forms}

    def unlikely(form: str) -> tuple[int, bool]:
        years, days = (len(pc.unique(part(moments[form]))) for part in (pc.year, pc.day))
        return years, days > 1

    first, *others = sorted(forms, key=unlikely)
    rivals = [form for form in others if not moments[form].equals(moments[first])]
    return tuple(bare(texts, form) for form in (first, *rivals[:1]))


def bare(texts: Any, form: str) -> str:
    """A form of some texts with those parts without zeros (``%-d``) that have none in any: 1/2/2020."""
    import pyarrow.compute as pc

    for part in (part for part in _BARE if part in form):
        pattern = _pattern(plain(form), {part: "(?P<part>[0-9]+)"})
        digits = pc.struct_field(pc.extract_regex(texts, pattern), "part")
        zeros, short = pc.starts_with(digits, "0"), pc.equal(pc.utf8_length(digits), 1)
        if pc.any(short).as_py() and not pc.any(pc.and_(zeros, pc.invert(short))).as_py():
            form = form.replace(part, part.replace("%", "%-"))
    return form


def form_of_most(some: Any) -> str | None:
    """The form that most of some texts have; None where they are no dates."""
    [(zone, _)] = Counter(map(_zone, some.to_pylist())).most_common(1)
    sound = {form: len(some) - parse_dates(some, form).null_count for form in _in_zone(zone)}
    form = max(sound, key=lambda form: sound[form])
    return bare(some, form) if sound[form] > MOST * len(some) else None


def _zone(text: str) -> str:
    """The time zone that a time of day ends in: Z, +02:00, ..."""
    found = _ZONE.search(text)
    return found[1] if found else ""


def _in_zone(zone: str) -> list[str]:
    """The forms of moments written in one time zone, then in several: of all, where there is none."""
    if not zone:
        return list(FORMS)
    several = "%z" if re.search(r"\d{4}$", zone) else "%:z"
    return [form + end for end in (zone, several) for form in FORMS if "%H" in form]


def as_written(form: str) -> str:
    """The form that new dates of a column are written in: where the time zones differ, in UTC."""
    return form.replace("%:z", "+00:00").replace("%z", "+0000")


def plain(form: str) -> str:
    """A form in the parts that Arrow and Python read: for %-d it has %d, which takes 1 and 01."""
    return form.replace("%-", "%").replace("%:", "%")


def has_time(form: str) -> bool:
    """Whether moments of a form have a time of day."""
    return any(part in plain(form) for part in ("%H", "%M", "%S", "%I"))


def are_times(texts: Any) -> bool:
    """Whether most of some texts are times of day or durations, such as 01:35:00 and 0 days 01:35:00."""
    import pyarrow.compute as pc

    found = pc.match_substring_regex(
        texts, r"^-?([0-9]+ days?,? )?[0-9]{1,3}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?$"
    )
    return bool(pc.sum(found, min_count=0).as_py() > MOST * len(texts))


def are_compact(numbers: Any) -> bool:
    """Whether whole numbers are all dates of the years 1900 to 2099, such as 20200828."""
    import pyarrow as pa

    return not parse_dates(numbers.cast(pa.string()), COMPACT).null_count
