"""Names in any script: letters of the page's own fonts in every picture, with the room that they take."""

import re
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jensen.config import Settings
from jensen.data.tables.schema import Column
from jensen.report import write_report
from jensen.report.histograms import histogram
from jensen.report.style import canvas, length, shortened
from jensen.session import start

LEVELS = {
    "居住地": ["東京都", "大阪府", "北海道札幌市中央区"],
    "언어": ["한국어", "영어"],
    "مدينة": ["القاهرة", "دمشق"],
    "भाषा": ["हिन्दी", "தமிழ்"],
}


def test_wide_letters_count_twice() -> None:
    assert [length(name) for name in ("abc", "年齢", "언어", "دمشق", "ｱ", "Ａ")] == [3, 4, 4, 4, 1, 2]
    assert shortened("北海道札幌市中央区", 14) == "北海道札幌市中…"
    assert shortened("年" * 7, 14) == "年" * 7
    assert shortened("a" + "年" * 8, 14) == "a" + "年" * 6 + "…", "no half of a letter"


def test_wide_levels_are_turned_where_they_would_touch() -> None:
    turned = []
    for names in (("abc", "abd", "abe", "abf"), ("東京都", "大阪府", "名古屋", "札幌市")):
        _, [ax] = canvas(200, 120)
        codes = np.arange(4.0)
        histogram(ax, codes, codes, Column("c", "categorical", "string", names))
        turned.append(ax.get_xticklabels()[0].get_rotation())
    assert turned == [0, 40]


def test_a_report_writes_every_script_as_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({name: draw.choice(levels, 200) for name, levels in LEVELS.items()})
    frame["年齢"] = draw.normal(40, 10, 200).round(1)
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = Settings(data=str(tmp_path / "t.csv"), latent_dim=2, hidden=(4,), epochs=1, device="cpu")
    run = start(settings, tmp_path / "run")
    capfd.readouterr()
    # A warning about a missing letter would be an error here.
    page = write_report(run, None, num_samples=2, limit=20, data_dir=None, device="cpu").read_text("utf-8")
    assert capfd.readouterr() == ("", "")
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    texts = set()
    for drawing in drawings:
        found = xml.etree.ElementTree.fromstring(re.sub(r' xlink:href="[^"]*"', "", drawing))
        texts |= {text.text for text in found.iter("text")}
    names = [*LEVELS, "年齢", *(level for levels in LEVELS.values() for level in levels)]
    assert {shortened(name, 14) for name in names} <= texts
    assert "font-family" not in "".join(drawings), "the page's fonts, and those that the browser has beside"
    assert not re.search(r"@font-face|(src|href)=\"https?:", page), "nothing beside the page"
