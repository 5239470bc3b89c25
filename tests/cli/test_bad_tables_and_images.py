"""What users get wrong with tables and images: status 2, one line with the mend, nothing written."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jensen.cli
from jensen.cli.common import _check_shape
from jensen.config.settings import Settings
from jensen.errors import UserError
from jensen.run import Run
from tests.cli.helpers import TRAIN, Call, digests

HEADER = "age,height,town,born"
TOWNS = ("Graz", "Linz", "Wien")
LINES = [
    f"{20 + i % 40},{150 + i * 7 % 50}.5,{TOWNS[i % 3]},19{50 + i % 50}-03-{1 + i % 28:02d}"
    for i in range(90)
]
Patch = pytest.MonkeyPatch
NEW = "--out new --epochs 1 --hidden 4 --device cpu"


def write(path: str, lines: list[str], encoding: str = "utf-8") -> None:
    Path(path).write_text("\n".join(lines) + "\n", encoding=encoding)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a table, a run of images, and damaged data."""
    folder = tmp_path_factory.mktemp("bad")
    here, cache = Path.cwd(), os.environ.get("XDG_CACHE_HOME")
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        _write_all()
        for data, run in (("good.csv", "run"), ("faces", "images")):
            assert jensen.cli.main(["train", data, "--out", run, *TRAIN]) == 0
        Path("faces/3.png").unlink()
    finally:
        os.chdir(here)
        del os.environ["XDG_CACHE_HOME"]
        if cache is not None:
            os.environ["XDG_CACHE_HOME"] = cache
    return folder


def _write_all() -> None:
    rows = LINES[:20]
    write("good.csv", [HEADER, *LINES])
    write("ragged.csv", [HEADER, *LINES[:5], LINES[5] + ",9", *LINES[6:]])
    write("latin.csv", [HEADER, *[line.replace("Linz", "Fünf") for line in LINES]], "latin-1")
    write("twice.csv", ["age,age,town,born", *LINES])
    write("marks.csv", ["a;b", *(f"{i},5;{i}.234" for i in range(40))])
    write("undated.csv", [HEADER, *LINES[:5], "30,170.5,Graz,2001-02-31", *LINES[6:]])
    write("soon.csv", [HEADER, *rows[:5], "30,170.5,Graz,soon", *rows[6:]])
    write("header.csv", [HEADER])
    write("lacks.csv", [line.rpartition(",")[0] for line in [HEADER, *rows]])
    write("extra.csv", [line + ",x" for line in [HEADER, *rows]])
    write("tall.csv", [HEADER, "30,tall,Graz,2001-02-03", *rows])
    write("unfilled.csv", [HEADER, "30,,Bonn,2001-02-03", "30,,Bonn,", ",170.5,Graz,2001-02-03"])
    write("young.csv", [HEADER, "-3,170.5,Graz,2001-02-03", *rows])
    Path("tables").mkdir()
    write("tables/a.csv", [HEADER, *rows])
    write("unseen.csv", [HEADER, "30,170.5,Bonn,2001-02-03", *rows])
    for name in ("empty.csv", "empty.tsv.gz", "empty.parquet", "empty.arrow", "empty.png", "empty.npy"):
        Path(name).touch()
    write("unknown.yaml", ["- {name: agee, type: count}"])
    write("number.yaml", ["- {name: age, type: number}"])
    write("town.yaml", ["- {name: town, type: count}"])
    draws = np.random.default_rng(0).integers(0, 256, (30, 6, 6)).astype(np.uint8)
    for name in ("faces", "broken", "sizes"):
        Path(name).mkdir()
        for number, picture in enumerate(draws):
            Image.fromarray(picture[:5] if name == "sizes" and number == 7 else picture).save(
                f"{name}/{number}.png"
            )
    Path("broken/3.png").write_bytes(Path("faces/3.png").read_bytes()[:60])
    Path("void").mkdir()


REFUSED = [
    (f"train ragged.csv {NEW}", "line 7", "needs quotes"),
    (f"train latin.csv {NEW}", "not written in UTF-8", "iconv"),
    (f"train twice.csv {NEW}", "two columns named 'age'", "rename"),
    (f"train marks.csv {NEW}", "decimal commas (column 'a')", "write all with one mark"),
    (f"train undated.csv {NEW}", "'2001-02-31' in row 6", "--schema"),
    (f"train header.csv {NEW}", "no rows", "rows below it"),
    *(
        (f"train empty{suffix} {NEW}", f"empty{suffix}", mend)
        for suffix, mend in (
            (".csv", "header line"),
            (".tsv.gz", "header line"),
            (".parquet", "write it again"),
            (".arrow", "write it again"),
            (".png", "--skip-bad"),
            (".npy", "np.save"),
        )
    ),
    (f"train good.csv --schema unknown.yaml {NEW}", "'agee'", "did you mean age?"),
    (f"train good.csv --schema number.yaml {NEW}", "'number'", "categorical"),
    (f"train good.csv --schema town.yaml {NEW}", "'town' cannot be count", "categorical"),
    (f"train good.csv --schema nowhere.yaml {NEW}", "nowhere.yaml", "schema.yaml"),
    ("score run lacks.csv -o new.csv", "lacks the column 'born'", "age, height, town, born"),
    ("score run extra.csv -o new.csv", "the column", "remove it"),
    ("score run tall.csv -o new.csv", "line 2: 'tall' in column 'height'", "leave it empty"),
    ("score run unseen.csv -o new.csv --strict", "'town' has 1 cell", "leave --strict out"),
    ("impute run soon.csv -o new.csv", "'soon' in row 6", "leave it empty"),
    (f"train faces --schema nowhere.yaml {NEW}", "faces is none", "leave it out"),
    (f"train good.csv --condition age,age {NEW}", "names age twice", "name it once"),
    (f"train faces --condition label,label {NEW}", "names label twice", "name it once"),
    (f"train good.csv --condition '' {NEW}", "names no column", "leave the option out"),
    ("score run young.csv -o new.csv --strict", "column 'age' has 1 cell below 0", "leave --strict out"),
    ("impute run tables -o new.csv", "tables is a folder", "one file at a time, such as tables/a.csv"),
    ("sample run -o new.csv --where 'age < 0'", "age < 0 is impossible", "0 or more"),
    ("sample run -o new.csv --where 'age > 5000'", "its probability is about", "likelier"),
    (f"train broken {NEW}", "broken/3.png cannot be read", "--skip-bad"),
    ("encode images broken -o new.csv", "broken/3.png cannot be read", "--skip-bad"),
    (f"train sizes {NEW}", "7.png is 6x5", "--size 5"),
    (f"train faces --size 0 {NEW}", "--size is 0", "32x48"),
    (f"train faces --size big {NEW}", "--size is big", "32x48"),
    (f"train void {NEW}", "neither images", "another folder"),
    ("evaluate images", "it had 30 rows, and now 29", "restore it, or train again"),
    ("encode run broken -o new.csv", "broken", "broken"),
    ("encode run good.csv -o new.txt", "'.txt'", "end it in .csv"),
    ("score run good.csv -o new.arrow", "'.arrow'", "end it in .csv"),
]


@pytest.mark.parametrize(("line", "given", "mend"), REFUSED)
def test_refused(
    line: str, given: str, mend: str, place: Path, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shlex

    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = digests(place)
    status, out, err = call(*shlex.split(line))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert given in err
    assert mend in err
    assert digests(place) == before


def test_what_is_not_refused_is_counted(
    place: Path, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    status, _, err = call("score", "run", "unseen.csv", "-o", str(tmp_path / "x.csv"))
    assert status == 0
    assert "column 'town' has 1 cell of categories that the schema lacks, 'Bonn' in row 1; taken as" in err
    status, _, err = call("score", "run", "young.csv", "-o", str(tmp_path / "x.csv"))
    assert status == 0
    assert "column 'age' has 1 cell below 0, and is of type count, -3 in row 1; taken as they are" in err
    status, _, err = call("encode", "images", "broken", "--skip-bad", "-o", str(tmp_path / "z.csv"))
    assert status == 0
    assert "left out broken/3.png" in err
    lines = (tmp_path / "z.csv").read_text().splitlines()
    assert len(lines) == 1 + 29
    assert lines[0].startswith("image,z0")
    said = {line.split(",")[0] for line in lines[1:]}
    assert said == {f"broken/{number}.png" for number in range(30) if number != 3}


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_images_of_unequal_sides(tmp_path: Path, call: Call, network: str) -> None:
    """Width comes first in --size, height in arrays, and pictures lie as the images do."""
    (tmp_path / "wide").mkdir()
    for number in range(12):
        grey = np.full((20 + number, 60), 250, np.uint8)
        grey[:, 30:] = 10  # light on the left, at any height
        Image.fromarray(grey).save(tmp_path / "wide" / f"{number}.png")
    run, data = str(tmp_path / "run"), str(tmp_path / "wide")
    words = ["--size", "24x8", "--network", network, "--hidden", "8", "--epochs", "100", "--lr", "0.01"]
    status, _, said = call("train", data, "--out", run, *words)
    assert status == 0, said
    assert "12 images of 24x8" in said
    assert call("sample", run, "-n", "5", "-o", str(tmp_path / "s.npy"))[0] == 0
    assert np.load(tmp_path / "s.npy").shape == (5, 8, 24)
    assert call("reconstruct", run, data, "-o", str(tmp_path / "r.npy"))[0] == 0
    seen = np.load(tmp_path / "r.npy").mean(0)
    assert seen.shape == (8, 24)
    assert seen[:, :12].mean() > seen[:, 12:].mean() + 20
    assert call("reconstruct", run, f"{data}/3.png", "-o", str(tmp_path / "r.png"))[0] == 0
    with Image.open(tmp_path / "r.png") as picture:
        width, height = picture.size
    assert width > 2 * height


def test_a_file_of_no_known_kind(call: Call, tmp_path: Path) -> None:
    (tmp_path / "adult.data").write_text("39, State-gov\n")
    status, _, said = call("train", str(tmp_path / "adult.data"))
    assert status == 2
    assert "adult.data ends in '.data'" in said
    assert ".csv" in said


@pytest.mark.parametrize(
    "words",
    [
        "score run good.csv -o good.csv",
        "impute run good.csv -o good.csv",
        "encode run good.csv -o ./good.csv",
        "reconstruct run good.csv -o good.csv",
        "sample run -o good.csv",
        "impute run good-1.csv -o good.csv --draws 2",
        "score run parts -o parts/good.csv",
    ],
)
def test_data_are_never_written_over(
    call: Call, place: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    Path("parts").mkdir(exist_ok=True)
    copies = [Path("good.csv"), Path("good-1.csv"), Path("parts/good.csv")]
    before = copies[0].read_bytes()
    for copy in copies[1:]:
        copy.write_bytes(before)
    status, _, said = call(*words.split())
    assert status == 2
    assert "holds the data themselves" in said
    assert all(copy.read_bytes() == before for copy in copies)


def test_nothing_is_written_among_the_data_of_a_folder(
    call: Call, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fold").mkdir()
    for number in range(3):
        write(f"fold/{number}.csv", [HEADER, *LINES])
    assert call("train", "fold", "--out", "run", *TRAIN)[0] == 0
    for words in ("encode run fold -o fold/z.csv", "sample run -o fold/new.parquet"):
        status, _, said = call(*words.split())
        assert status == 2
        assert "would be read with the data, which are all such files in" in said
    assert len(list(Path("fold").iterdir())) == 3
    status, _, said = call("encode", "run", "fold", "-o", "fold/z.npy")
    assert status == 0, said
    status, _, said = call("score", "run", "fold", "-o", "s.csv", "--num-samples", "2")
    assert status == 0, said


@pytest.mark.parametrize("name", ["schema.yaml", "report.html"])
def test_a_run_takes_no_file_of_others(
    call: Call, place: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    Path("mine").mkdir(exist_ok=True)
    (Path("mine") / name).write_text("- {name: age, type: count}\n")
    status, _, said = call("train", "good.csv", "--out", "mine", "--epochs", "1")
    assert status == 2
    assert name in said
    assert (Path("mine") / name).read_text() == "- {name: age, type: count}\n"
    (Path("mine") / name).unlink()


def test_a_schema_that_makes_dates_of_numbers(
    call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    Path("dates.yaml").write_text("- {name: age, type: date}\n")
    status, _, said = call("train", "good.csv", "--schema", "dates.yaml", *NEW.split())
    assert status == 2
    assert "'age' cannot be date" in said


def test_a_condition_whose_name_holds_a_comma(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("t.csv", ['"a, b",c,d', *(f"{'xy'[i % 2]},{i % 7},{i % 5}.5" for i in range(60))])
    status, _, said = call("train", "t.csv", "--condition", '"a, b"', "--out", "run", *TRAIN)
    assert status == 0, said
    status, _, said = call("score", "run", "t.csv", "-o", "s.csv")
    assert status == 0, said


def test_the_names_of_rows_that_are_called_like_a_latent(call: Call, tmp_path: Path) -> None:
    data, run, out = tmp_path / "named.csv", str(tmp_path / "run"), tmp_path / "codes.csv"
    write(str(data), ["z0," + HEADER, *(f"{i},{line}" for i, line in enumerate(LINES))])
    assert call("train", str(data), "--out", run, *TRAIN)[0] == 0
    status, _, said = call("encode", run, str(data), "-o", str(out))
    assert status == 0, said
    assert "column 'z0', which names the rows, is left out" in said
    assert out.read_text().splitlines()[0] == "z0,z1,z0_sd,z1_sd"


def test_impute_says_which_columns_stay_empty(call: Call, tmp_path: Path) -> None:
    """One had a single value in training, and is filled with it; one numbers the rows, and stays empty."""
    data, run, out = tmp_path / "k.csv", str(tmp_path / "run"), tmp_path / "filled.csv"
    write(str(data), ["row,k,n", *(f"{i},5.0,{i % 7}" for i in range(1, 61)), ",,", "62,,3"])
    assert call("train", str(data), "--out", run, *TRAIN)[0] == 0
    status, _, said = call("impute", run, str(data), "-o", str(out))
    assert status == 0, said
    assert "1 missing cell of row, which is not modelled, left as is" in said
    assert "categories that training had not" not in said
    assert "3 missing cells in 2 rows filled" in said
    assert [line.split(",")[:2] for line in out.read_text().splitlines()[-2:]] == [["", "5"], ["62", "5"]]


def test_impute_counts_what_it_fills(place: Path, call: Call, tmp_path: Path) -> None:
    """Of four missing cells in three rows, and two of a town that training had not."""
    out = tmp_path / "filled.csv"
    status, _, said = call("impute", str(place / "run"), str(place / "unfilled.csv"), "-o", str(out))
    assert status == 0, said
    assert "2 cells of categories that training had not, left as is" in said
    assert "4 missing cells in 3 rows filled" in said
    assert out.read_text().count("Bonn") == 2


@pytest.mark.parametrize(
    ("given", "move"), [((3, 4, 5), "(x, 1, -1)"), ((4, 5, 3), "(x, -1, 1)"), ((4, 5), "")]
)
def test_channels_at_the_other_end_are_named(given: tuple[int, ...], move: str) -> None:
    run = Run(Path("run"), Settings(), {"data": {"shape": [9, *((3, 4, 5) if given[0] == 4 else (4, 5, 3))]}})
    with pytest.raises(UserError, match=r"rows of shape .* but run was trained on rows of shape") as error:
        _check_shape(run, "x.npy", given)
    assert ("np.moveaxis" + move in str(error.value)) == bool(move)
    assert ("moveaxis" in str(error.value)) == bool(move)
