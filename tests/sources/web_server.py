"""A web server of a folder that answers ranges, and counts what it sends."""

from __future__ import annotations

import re
import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class WebServer:
    """What a test asks of the server: its address, what to answer, and what it has sent."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.status: dict[str, int] = {}  # answers that are not found in the folder, by path
        self.faults: dict[
            str, list[str]
        ] = {}  # what befalls the next requests, by path: see `Handler`
        self.silent = threading.Event()  # set: nothing is answered until `closing`
        self.closing = threading.Event()
        self.paths: list[str] = []
        self.queries: set[str] = set()
        self.sent = 0

    def answer(self, path: str, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
        if path in self.status:
            return self.status[path], b"", {}
        file = self.root / path.lstrip("/")
        if not file.is_file():
            return 404, b"", {}
        contents = file.read_bytes()
        if wanted is None:
            return 200, contents, {}
        first, last = _RANGE.fullmatch(wanted).groups()
        start = max(len(contents) - int(last), 0) if not first else int(first)
        stop = len(contents) if not first or not last else min(int(last) + 1, len(contents))
        if start >= len(contents):
            return 416, b"", {"Content-Range": f"bytes */{len(contents)}"}
        return (
            206,
            contents[start:stop],
            {"Content-Range": f"bytes {start}-{stop - 1}/{len(contents)}"},
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = (
        128  # clients connect many times at once; who finds the queue full waits for a second
    )


@contextmanager
def serving(root: Path, kind: type[WebServer] = WebServer):
    """Serve a folder from another thread."""
    server = kind(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if server.silent.is_set():
                server.closing.wait()
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            faults = server.faults.get(unquote(parts.path), [])
            fault = faults.pop(0) if faults else ""
            if fault == "silent":
                server.closing.wait()
            if fault in ("silent", "reset"):
                server.paths.append(unquote(parts.path))
                linger = struct.pack("ii", 1, 0)  # closed at once, it is reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
                return
            status, body, headers = server.answer(unquote(parts.path), self.headers.get("Range"))
            server.paths.append(unquote(parts.path))
            server.queries.add(parts.query)
            server.sent += len(body)
            if fault.isdigit():
                status, body = int(fault), b"busy"
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if fault == "cut":
                self.close_connection = True
                body = body[: len(body) // 2]
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    web = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.url = f"http://127.0.0.1:{web.server_port}"
    try:
        yield server
    finally:
        server.closing.set()
        web.shutdown()
        thread.join()
        web.server_close()
