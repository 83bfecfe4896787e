"""A server that speaks Google's JSON API of buckets: gcp-storage-emulator, on loopback."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import requests
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

BUCKET = "data"
_OBJECTS = f"/storage/v1/b/{BUCKET}/o"


class GoogleServer:
    """What a test asks of the server: its address, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.ranges: list[str] = []
        self.tokens: set[str | None] = set()

    def put(self, folder: Path) -> None:
        """Upload a folder into the bucket, under its own name."""
        for file in folder.rglob("*"):
            if file.is_file():
                name = file.relative_to(folder.parent).as_posix()
                query = urlencode({"uploadType": "media", "name": name})
                url = f"{self.url}/upload{_OBJECTS}?{query}"
                requests.post(url, file.read_bytes(), timeout=60).raise_for_status()


class _Handler(RequestHandler):
    """The emulator's, asked in words that it knows.

    It lacks three things of Google's that TensorStore relies on: bounds of a listing, ranges that count from the end, and the
    header that says which generation was downloaded. The first two are translated, the third is told from what it knows.
    """

    def __init__(self, server: GoogleServer, *args: object) -> None:
        self.seen, self.generation = server, None
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        self._note(path, query)
        if "startOffset" in query:
            self.path = f"{parts.path}?{urlencode({**query, 'prefix': _prefix(**query)})}"
        if path.startswith(f"{_OBJECTS}/"):
            self._prepare(path.removeprefix(f"{_OBJECTS}/"))
        super().do_GET()

    def _note(self, path: str, query: dict[str, str]) -> None:
        self.seen.paths.append(path)
        self.seen.queries.append(query)
        self.seen.tokens.add(self.headers.get("Authorization"))
        if "Range" in self.headers:
            self.seen.ranges.append(self.headers["Range"])

    def _prepare(self, name: str) -> None:
        try:
            about = self.storage.get_file_obj(BUCKET, name)
        except NotFound:
            return
        self.generation = about["generation"]
        last = self.headers.get("Range", "").partition("bytes=-")[2]
        if last:
            first = max(int(about["size"]) - int(last), 0)
            self.headers.replace_header("Range", f"bytes={first}-")

    def end_headers(self) -> None:
        if self.generation is not None:
            self.send_header("x-goog-generation", self.generation)
        super().end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = (
        128  # TensorStore connects many times at once; who finds the queue full waits for a second
    )


def _prefix(*, startOffset: str, endOffset: str, **_: str) -> str:  # noqa: N803  # Google's names
    assert endOffset == startOffset[:-1] + chr(ord(startOffset[-1]) + 1), "not all of one prefix"
    return startOffset


@contextmanager
def serving():
    """Serve an empty bucket from another thread."""
    server, storage = GoogleServer(), Storage(use_memory_fs=True)
    create_bucket(BUCKET, storage)
    web = _Server(("127.0.0.1", 0), partial(_Handler, server, storage))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.url = f"http://127.0.0.1:{web.server_port}"
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
