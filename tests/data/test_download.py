import gzip
import hashlib
import io
import os
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jensen.data import load
from jensen.data.download import Origin, RemoteFile, download, locate
from jensen.data.origins import ORIGINS, area_average
from jensen.errors import UserError

CONTENT = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves ``files`` from memory, and keeps the ``Range`` header of each request in ``ranges``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.honours_range = True
        self.breaks_after: int | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path.strip("/"))
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.honours_range:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.breaks_after])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JENSEN_DATA", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return tmp_path / "cache" / "jensen"


def offer(server: Server, name: str, content: bytes) -> RemoteFile:
    server.files[name] = content
    return RemoteFile(name, (server.address + name,), f"sha256:{hashlib.sha256(content).hexdigest()}")


def test_plain(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    download(offer(server, "a.bin", CONTENT), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert not target.with_name("a.bin.part").exists()


def test_resumed(server: Server, tmp_path: Path) -> None:
    target, file = tmp_path / "a.bin", offer(server, "a.bin", CONTENT)
    server.breaks_after = 100_000
    with pytest.raises(OSError, match="broke off after 100000 of 512000"):
        download(file, target)
    assert target.with_name("a.bin.part").stat().st_size == 100_000
    server.breaks_after = None
    download(file, target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_server_without_range(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.with_name("a.bin.part").write_bytes(b"something else")
    server.honours_range = False
    download(offer(server, "a.bin", CONTENT), target)
    assert target.read_bytes() == CONTENT


def test_part_that_was_whole(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.with_name("a.bin.part").write_bytes(CONTENT)
    download(offer(server, "a.bin", CONTENT), target)
    assert target.read_bytes() == CONTENT


def test_wrong_checksum(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    file = replace(offer(server, "a.bin", CONTENT), digest="md5:" + "0" * 32)
    with pytest.raises(UserError, match=r"a\.bin.*checksum.*has been deleted") as caught:
        download(file, target)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert not target.with_name("a.bin.part").exists()


def test_mirrors_are_tried_in_order(server: Server, tmp_path: Path) -> None:
    file = offer(server, "a.bin", CONTENT)
    file = replace(file, urls=(server.address + "missing", *file.urls))
    download(file, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_no_server(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    origin = ORIGINS["mnist"]
    files = tuple(replace(file, urls=(f"http://127.0.0.1:9/{file.name}",)) for file in origin.files)
    monkeypatch.setitem(ORIGINS, "mnist", replace(origin, files=files))
    with pytest.raises(UserError) as caught:
        load("mnist")
    message = str(caught.value)
    assert "\n" not in message
    assert all(file.name in message for file in files)
    assert str(cache / "mnist") in message
    assert "JENSEN_DATA" in message
    assert "refused" in message


def test_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--data-dir is .*nowhere"):
        load("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("JENSEN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"JENSEN_DATA is .*nowhere"):
        load("mnist")


def test_order_of_places(server: Server, tmp_path: Path, cache: Path) -> None:
    origin = Origin("set", (offer(server, "a.bin", CONTENT),))
    downloaded = cache / "set" / "a.bin"
    assert locate("set", origin) == [downloaded]
    assert locate("set", origin) == [downloaded]
    assert len(server.ranges) == 1
    own = tmp_path / "own" / "set" / "a.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert locate("set", origin, tmp_path / "own") == [own]


def test_two_that_ask_at_once_share_one_conversion(server: Server, cache: Path) -> None:
    calls = []

    def convert(sources: list[Path], target: Path) -> None:
        calls.append(target)
        time.sleep(0.2)
        target.write_bytes(sources[0].read_bytes()[:10])

    origin = Origin("set", (offer(server, "a.bin", CONTENT),), product="b.bin", convert=convert)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: locate("set", origin), range(2))
    assert first == second == [cache / "set" / "b.bin"]
    assert first[0].read_bytes() == CONTENT[:10]
    assert len(calls) == 1


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    own = tmp_path / "own" / "set" / "a.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    origin = Origin(
        "set", (RemoteFile("a.bin", (), ""),), product="b.bin", convert=lambda sources, target: None
    )
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        locate("set", origin, tmp_path / "own")


def idx(array: np.ndarray) -> bytes:
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes())


def test_downloaded_idx_files(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, size=(30, 28, 28)).astype(np.uint8)
    y = (np.arange(30) % 10).astype(np.uint8)
    contents = [idx(x[:20]), idx(y[:20]), idx(x[20:]), idx(y[20:])]
    origin = ORIGINS["mnist"]
    files = tuple(offer(server, file.name, c) for file, c in zip(origin.files, contents, strict=True))
    monkeypatch.setitem(ORIGINS, "mnist", replace(origin, files=files))
    dataset = load("mnist")
    assert np.array_equal(dataset.x.numpy(), x)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == y.tolist()
    assert dataset.splits["test"].tolist() == list(range(20, 30))
    assert len(dataset.splits["validation"]) == 2
    name = origin.files[0].name
    (cache / "mnist" / name).write_bytes(contents[0][:-20])
    with pytest.raises(UserError, match=name):
        load("mnist")


def test_downloaded_text_is_packed(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, size=(9, 784)).astype(np.uint8)
    texts = [
        "".join(" ".join(map(str, row)) + "\n" for row in part).encode()
        for part in (bits[:5], bits[5:7], bits[7:])
    ]
    origin = ORIGINS["binarized-mnist"]
    files = tuple(offer(server, file.name, text) for file, text in zip(origin.files, texts, strict=True))
    monkeypatch.setitem(ORIGINS, "binarized-mnist", replace(origin, files=files))
    dataset = load("binarized-mnist")
    assert np.array_equal(dataset.x.numpy().reshape(9, 784), bits)
    assert [len(rows) for rows in dataset.splits.values()] == [5, 2, 2]
    visible = [p.name for p in (cache / "binarized_mnist").iterdir() if not p.name.startswith(".")]
    assert visible == ["binarized_mnist.npz"]


def drawings(characters: int, seed: int) -> tuple[np.ndarray, bytes]:
    ink = np.random.default_rng(seed).integers(0, 2, size=(characters, 20, 105, 105)).astype(np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for character, drawer in np.ndindex(characters, 20):
            png = io.BytesIO()
            Image.fromarray((1 - ink[character, drawer]) * 255).convert("1").save(png, format="PNG")
            name = f"images/A/character{character:02}/0001_{drawer + 1:02}.png"
            archive.writestr(name, png.getvalue())
    return ink, buffer.getvalue()


def test_downloaded_drawings_are_resampled(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [drawings(2, 0), drawings(1, 1)]
    origin = ORIGINS["omniglot"]
    files = tuple(offer(server, file.name, part[1]) for file, part in zip(origin.files, parts, strict=True))
    monkeypatch.setitem(ORIGINS, "omniglot", replace(origin, files=files))
    dataset = load("omniglot")
    ink = np.concatenate([part[0] for part in parts]).reshape(-1, 105, 105)
    fine = ink.repeat(4, axis=1).repeat(4, axis=2).reshape(-1, 28, 15, 28, 15).mean(axis=(2, 4))
    assert np.array_equal(dataset.x.numpy(), np.rint(fine * 255).astype(np.uint8))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert [len(rows) for rows in dataset.splits.values()] == [40, 5, 15]


def test_full_ink_is_white() -> None:
    assert (area_average(np.ones((1, 105, 105), dtype=np.uint8)) == 255).all()


def test_shared_text_has_the_published_digest() -> None:
    shared = (
        Path(os.environ.get("JENSEN_DATA", Path(__file__).parents[2] / "../shared/data"))
        / "binarized_mnist"
        / "binarized_mnist.npz"
    )
    if not shared.is_file():
        pytest.skip("no binarized_mnist/ in $JENSEN_DATA or ../shared/data")
    with np.load(shared) as archive:
        bits = np.unpackbits(archive["test"], axis=1)
    text = np.full((len(bits), 2 * 784), ord(" "), dtype=np.uint8)
    text[:, ::2] = bits + ord("0")
    text[:, -1] = ord("\n")
    [file] = [f for f in ORIGINS["binarized-mnist"].files if f.name == "binarized_mnist_test.amat"]
    assert file.digest == "sha256:" + hashlib.sha256(text.tobytes()).hexdigest()
