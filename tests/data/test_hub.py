"""Data sets of Hugging Face: the real client, and a server on this machine that stands in for the hub."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.cli.helpers import environment

COMMIT = "0" * 39 + "1"
PLACE = "/datasets/me/tiny/resolve/"
LOAD = """
import sys
from jensen.data import load
from jensen.errors import UserError
for source in sys.argv[1:]:
    try:
        found = load(source)
        print(source, len(found.x), found.x[:3, 0].tolist(), sorted(map(len, found.splits.values())))
    except UserError as error:
        print(error)
"""


def parquet(values: list[float]) -> bytes:
    stream = io.BytesIO()
    table = pa.table({"a": values, "b": [f"kind {i % 3}" for i in range(len(values))]})
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


FILES = {
    "README.md": b"---\nlicense: mit\n---\n",
    "data/train.parquet": parquet([1.5, 2.5, 3.5] * 10),
    "data/test.parquet": parquet([4.5, 5.5, 6.5] * 2),
}


class Hub(BaseHTTPRequestHandler):
    """What the client asks of the hub, for the one data set me/tiny; me/private is not for everyone."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "/me/private/" in path:
            self.reply(401, b"{}", {"X-Error-Message": "Invalid username or password."})
        elif path == f"/api/datasets/me/tiny/revision/{COMMIT}":
            files = [{"rfilename": name} for name in FILES]
            self.reply(200, json.dumps({"_id": "1", "id": "me/tiny", "sha": COMMIT, "siblings": files}))
        elif path.startswith(f"/api/datasets/me/tiny/tree/{COMMIT}"):
            self.reply(200, json.dumps(self.tree(path.removeprefix(f"/api/datasets/me/tiny/tree/{COMMIT}"))))
        elif path.startswith(PLACE) and path.removeprefix(PLACE).partition("/")[2] in FILES:
            self.file(FILES[path.removeprefix(PLACE).partition("/")[2]])
        else:
            code = "EntryNotFound" if path.startswith(PLACE) else "RepoNotFound"
            self.reply(404, b"{}", {"X-Error-Code": code, "X-Repo-Commit": COMMIT})

    def tree(self, folder: str) -> list[dict[str, object]]:
        if not folder:
            return [{"type": "directory", "oid": "1", "size": 0, "path": "data"}]
        names = [name for name in FILES if name.startswith(f"{folder[1:]}/")]
        return [{"type": "file", "oid": "1", "size": len(FILES[name]), "path": name} for name in names]

    def file(self, content: bytes) -> None:
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self.reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def reply(self, status: int, content: bytes | str, headers: dict[str, str] | None = None) -> None:
        content = content.encode() if isinstance(content, str) else content
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def loaded(home: Path, *sources: str, **more: str) -> list[str]:
    """What a new process, with a cache of its own in ``home``, says of each source; it logs nothing."""
    settings = {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **more}
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    kept = {name: value for name, value in environment().items() if name not in proxies}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *sources],
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_hub(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    endpoint = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}
    sources = ["hf:me/tiny", "hf:me/tiny:test", "hf:me/tiny:nosplit", "hf:me/nothing", "hf:me/private"]
    whole, split, nosplit, nothing, private = loaded(tmp_path, *sources, **endpoint)
    assert whole.startswith("hf:me/tiny 36 [1.5, 2.5, 3.5]")
    assert whole.endswith("[3, 6, 27]"), "the split test as it is, and validation drawn from train"
    assert split.startswith("hf:me/tiny:test 6 [4.5, 5.5, 6.5]")
    assert "Unknown split" in nosplit
    assert "hf:NAME:SPLIT" in nosplit
    for said, name in ((nothing, "me/nothing"), (private, "me/private")):
        assert f"the hub has no data set {name!r} that you may read" in said
        assert "hf auth login" in said
    downloads = [path for path in hub.asked if path.endswith("data/train.parquet")]  # type: ignore[attr-defined]
    assert len(downloads) == 2, "asked about, and fetched once"
    # What was fetched is found again without the hub, and what was not is said.
    offline = {"HF_HUB_OFFLINE": "1", **endpoint}
    again, other = loaded(tmp_path, "hf:me/tiny", "hf:me/other", **offline)
    assert again == whole
    assert "the hub cannot be reached" in other
    assert "connect and try again" in other
