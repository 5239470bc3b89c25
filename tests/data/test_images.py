"""Images of any mode and size as rows: exact values, labels, splits, the cache, and what is refused."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jensen.data import ImageOptions, load, load_rows
from jensen.data.images import prepared
from jensen.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/jensen/images"


def folder(path: Path, arrays: list[np.ndarray], labels: str = "") -> Path:
    for number, array in enumerate(arrays):
        place = path / (labels[number] if labels else "")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(place / f"{number:02d}.png")
    return path


def noise(shape: tuple[int, ...], count: int = 6) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_values_are_those_of_the_files(tmp_path: Path, shape: tuple[int, ...]) -> None:
    arrays = noise(shape)
    dataset = load(folder(tmp_path / "images", arrays, "aabbab"))
    order = [0, 1, 4, 2, 3, 5]  # by path: a/00 a/01 a/04 b/02 b/03 b/05
    assert np.array_equal(dataset.x.numpy(), np.stack([arrays[i] for i in order]))
    assert dataset.value_range == (0, 255)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [Path(name).name for name in dataset.names] == [f"{i:02d}.png" for i in order]


@pytest.mark.parametrize("peak", [1495, 4095, 4096])
def test_twelve_bits_in_sixteen_are_said_to_lose_their_levels(tmp_path: Path, peak: int) -> None:
    images = folder(
        tmp_path / "deep", [np.array([[210, top], [0, 9]], np.uint16) for top in (300, peak, 700)]
    )
    for _ in range(2):  # decoded, and found in the cache
        dataset = load(images)
        assert dataset.x.max() == round(peak / 257)
        said = [note for note in dataset.notes if "16-bit" in note]
        assert len(said) == (peak < 4096)
        for note in said:
            assert note.startswith(f"3 images of 16-bit grey with no value above {peak:,}")
            assert f"with {int(dataset.x.max()) + 1} levels" in note
            assert ".npy" in note


def test_every_mode_becomes_eight_bits(tmp_path: Path) -> None:
    path = tmp_path / "modes"
    path.mkdir()
    deep = np.array([[0, 257], [65535, 25700]], np.uint16)
    Image.fromarray(deep).save(path / "a.png")
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1").save(path / "b.png")
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0, 3] = 255  # one black pixel, and the others transparent
    Image.fromarray(clear).save(path / "c.png")
    Image.fromarray(np.full((2, 2, 3), 90, np.uint8)).save(path / "d.png")
    x = load(path, images=ImageOptions(grey=True)).x
    assert x.tolist() == [
        [[0, 1], [255, 100]],
        [[0, 255], [255, 0]],
        [[0, 255], [255, 255]],
        [[90, 90], [90, 90]],
    ]
    assert load(path).event_shape == (2, 2, 3), "one in colour makes them all so"


def test_the_middle_is_cut_out_and_orientation_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.mkdir()
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 200
    for name in "abc":
        Image.fromarray(wide).save(path / f"{name}.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(wide.T.copy()).save(path / "d.jpg", exif=turned, quality=100)
    dataset = load(path, images=ImageOptions(size=(4, 4)))
    assert (dataset.x[:3] == 200).all()
    assert dataset.event_shape == (4, 4)
    assert load(path).event_shape == (4, 12), "the turned one is as wide as the others"


def test_orientation_after_the_pixels_cuts_nothing(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", noise((6, 4)))
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(noise((6, 4))[0]).save(path / "03.png", exif=turned)
    chunks = (path / "03.png").read_bytes()
    start, pixels, end = chunks.index(b"eXIf") - 4, chunks.index(b"IDAT") - 4, chunks.index(b"IEND") - 4
    late = chunks[:start] + chunks[pixels:end] + chunks[start:pixels] + chunks[end:]
    (path / "03.png").write_bytes(late)
    with pytest.raises(UserError, match=r"03.png is 6x4 .*, and not 4x6 .* --size 6x4$"):
        load(path)
    x = load(path, images=ImageOptions(size=(6, 4))).x
    assert np.array_equal(x[3], np.rot90(noise((6, 4))[0], -1))


def test_sub_folders_may_name_the_splits(tmp_path: Path) -> None:
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        folder(tmp_path / "images" / split, noise((3, 3), count), "xyxyx")
    dataset = load(tmp_path / "images")
    assert {name: len(rows) for name, rows in dataset.splits.items()} == {
        "train": 5,
        "validation": 2,
        "test": 3,
    }
    assert dataset.labels is not None
    assert sorted(set(dataset.labels.tolist())) == [0, 1]


def test_decoded_once_and_anew_when_a_file_or_an_option_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path / "images", noise((4, 4)))
    first = load(path)
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "decode", None)  # decoding again would fail
        assert load(path).digest == first.digest
    assert len(list(cache.glob("[!.]*"))) == 1
    load(path, images=ImageOptions(size=(2, 2)))
    Image.fromarray(noise((4, 4))[0].T.copy()).save(path / "00.png", compress_level=0)
    assert load(path).digest != first.digest
    assert len(list(cache.glob("[!.]*"))) == 3


def test_large_arrays_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path / "images", noise((4, 4)))
    small = load(path)
    monkeypatch.setattr(prepared, "IN_MEMORY", 10)
    files = [str(file) for file in sorted(path.iterdir())]
    pictures = prepared.Pictures("x", files, lambda i: Path(files[i]), "another key")
    assert isinstance(prepared.prepare(pictures, ImageOptions()).x, np.memmap)
    assert load(path).digest == small.digest


def test_an_interrupted_decoding_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path / "images", noise((4, 4)))

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepared, "decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(path)
    assert list(cache.glob("[!.]*")) == []
    assert len(load(path).x) == 6


@pytest.mark.parametrize("bad", [False, True])
def test_a_full_disk_is_said(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, bad: bool) -> None:
    path = folder(tmp_path / "images", noise((9, 9)))
    whole = (path / "02.png").read_bytes()
    (path / "02.png").write_bytes(whole[: len(whole) // 2] if bad else whole)

    def full(descriptor: int, start: int, size: int) -> None:
        if not bad or size < 128 + 6 * 81:  # else when the sound ones are copied
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"cannot keep prepared data .*No space left .* XDG_CACHE_HOME"):
        load(path, images=ImageOptions(skip_bad=True))
    assert list(cache.glob("[!.]*")) == []


def test_what_is_too_large_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path / "images", noise((9, 9)))
    with pytest.raises(UserError, match=r"--size 100000x100000 is too large .* --size 64"):
        load(path, images=ImageOptions(size=(100_000, 100_000)))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(500, 0, 500))
    assert load(path, images=ImageOptions(size=(9, 9))).event_shape == (9, 9)
    with pytest.raises(UserError, match=r": 6 images take 6\.0 MB, and 0\.0 are free; make room"):
        load(path, images=ImageOptions(size=(1000, 1000)))


@pytest.mark.parametrize(("count", "said"), [(1, "1 image"), (2, "2 images")])
def test_notes_count_in_words(tmp_path: Path, count: int, said: str) -> None:
    clear = [np.zeros((4, 4, 4), np.uint8)] * count
    notes = load_rows(folder(tmp_path / "images", clear), images=ImageOptions((5, 5), grey=True)).notes
    assert len(notes) == 4
    assert all(note.startswith(said + " ") for note in notes)


def test_images_that_cannot_be_read_are_named_or_left_out(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", noise((9, 9)))
    whole = (path / "02.png").read_bytes()
    (path / "02.png").write_bytes(whole[: len(whole) // 2])
    (path / "04.png").write_text("no image")
    with pytest.raises(UserError, match=r"04.png cannot be read .* --skip-bad"):
        load(path)
    dataset = load(path, images=ImageOptions(skip_bad=True))
    assert np.array_equal(dataset.x.numpy(), np.stack([noise((9, 9))[i] for i in (0, 1, 3, 5)]))
    assert [Path(name).name for name in dataset.names] == ["00.png", "01.png", "03.png", "05.png"]
    assert sum("left out" in note for note in dataset.notes) == 2


@pytest.mark.parametrize(
    ("link", "target"), [("back", ".."), ("a/back", ".."), ("a/again", "../b"), ("0", "b")]
)
def test_links_multiply_nothing(tmp_path: Path, link: str, target: str) -> None:
    path = folder(tmp_path / "images", noise((4, 4)), "aabbab")
    folder(tmp_path / "others", noise((4, 4)))
    (path / link).symlink_to(target)
    assert [Path(name).parent.name for name in load(path).names] == list("aaabbb")


def test_links_to_other_folders_are_followed(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", noise((4, 4)))
    (path / "more").symlink_to(folder(tmp_path / "others", noise((4, 4), 3)))
    assert len(load(path).x) == 6 + 3


def test_links_to_nothing_are_bad_images_and_pipes_are_none(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", noise((4, 4)))
    (path / "03x.png").symlink_to("gone.png")
    os.mkfifo(path / "zz.png")
    with pytest.raises(UserError, match=r"03x.png cannot be read .*: No such file .* --skip-bad"):
        load(path)
    assert len(load(path, images=ImageOptions(skip_bad=True)).x) == 6
    with pytest.raises(UserError, match=r"gone.png: No such file or directory; give files that exist"):
        load(path / "gone.png")


def test_rows_for_a_model_take_its_shape(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", noise((9, 7, 3)))
    assert load_rows(path, images=ImageOptions.like((4, 5))).event_shape == (4, 5)
    assert load_rows(path / "00.png", images=ImageOptions.like((4, 5, 3))).x.shape == (1, 4, 5, 3)
    assert ImageOptions.like((3, 4, 5)) == ImageOptions()


def test_options_without_effect_are_said(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.stack(noise((9, 7))))
    files, said = folder(tmp_path / "images", noise((9, 7))), []
    for source in (tmp_path / "x.npy", files, np.stack(noise((9, 7)))):
        load(source, images=ImageOptions((4, 4), grey=True, skip_bad=True), on_choice=said.append)
        load_rows(source, images=ImageOptions.like((9, 7)), on_choice=said.append)
    load_rows(tmp_path / "x.npy", images=ImageOptions.like((9, 7), skip_bad=True), on_choice=said.append)
    all_three = "--size and --grey and --skip-bad do nothing here: "
    assert said == [
        f"{all_three}{tmp_path / 'x.npy'} holds no image files",
        f"{all_three}the ndarray holds no image files",
        f"--skip-bad does nothing here: {tmp_path / 'x.npy'} holds no image files",
    ]


def test_different_sizes_and_empty_folders_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", [*noise((4, 4)), np.zeros((4, 5), np.uint8)])
    with pytest.raises(UserError, match=r"00.png is 4x4, .*06.png is 5x4; add --size .* --size 4$"):
        load(path)
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match=r"neither images .* nor tables"):
        load(tmp_path / "void")
