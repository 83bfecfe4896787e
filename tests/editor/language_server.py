"""Talks to a language server as an editor does: the messages of LSP over its standard input and output."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_PATIENCE = 60
"""Seconds that a server may be silent: far more than it needs, for tests are not to wait for ever."""
_CAPABILITIES = {
    "workspace": {"configuration": True, "workspaceFolders": True},
    "textDocument": {
        "completion": {
            "completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}
        },
        "hover": {"contentFormat": ["markdown"]},
        "publishDiagnostics": {},
    },
}


class Mark(NamedTuple):
    """What an editor underlines: line and column are counted from 1, as `verify` does."""

    line: int
    column: int
    text: str
    message: str


class LanguageServer:
    """A running server and the documents that are open in it.

    Parameters
    ----------
    command : sequence of str
        What starts it.
    language : {"yaml", "toml"}
        What its documents are in.
    root : Path
        The folder that the editor has open.
    directive : str
        The line that names the schema of a document, with ``{}`` for its kind, `array` or `experiment`.
    settings : mapping
        Those of the editor, by section.
    reports : int
        How often it publishes what is wrong with a document: taplo does so after each of its three passes, and ends with the
        first that finds something.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        language: str,
        root: Path,
        directive: str,
        settings: Mapping[str, Any],
        reports: int = 1,
    ) -> None:
        self._language, self._root, self._directive = language, root, directive
        self._settings, self._reports = settings, reports
        self._number = 0
        self._texts: dict[str, str] = {}
        self._published: dict[str, list[list[dict[str, Any]]]] = {}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        folder = {"uri": root.as_uri(), "name": root.name}
        self._ask(
            "initialize",
            processId=None,
            rootUri=root.as_uri(),
            capabilities=_CAPABILITIES,
            workspaceFolders=[folder],
            initializationOptions={"configurationSection": "evenBetterToml"},
        )
        self._tell("initialized")
        self._tell("workspace/didChangeConfiguration", settings=settings)
        self.marks(self.open("array", ""))  # what comes later finds the settings read

    def close(self) -> None:
        """End the server."""
        self._ask("shutdown")
        self._tell("exit")
        try:
            self._process.wait(timeout=_PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._listening.join()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                stream.close()

    def open(self, kind: str, text: str) -> str:
        """Open a document of a kind, under its directive, which does not count as a line; give its URI."""
        uri = (self._root / f"{len(self._texts)}.{self._language}").as_uri()
        self._texts[uri] = f"{self._directive.format(kind)}\n{text}"
        self._tell(
            "textDocument/didOpen",
            textDocument={
                "uri": uri,
                "languageId": self._language,
                "version": 1,
                "text": self._texts[uri],
            },
        )
        return uri

    def marks(self, uri: str) -> list[Mark]:
        """Wait until a document was looked through; give what is wrong with it, in the order of its lines."""
        published = self._published.setdefault(uri, [])
        while len(published) < self._reports and not any(published):
            self._next()
        return sorted(self._mark(uri, diagnostic) for diagnostic in published[-1])

    def completions(self, kind: str, marked: str) -> dict[str, str]:
        """Give what the editor offers where ``|`` stands in a document, and what it says of each."""
        answer = self._ask("textDocument/completion", **self._at(kind, marked))
        items = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: _text(item.get("documentation")) for item in items}

    def hover(self, kind: str, marked: str) -> str:
        """Give what the editor shows while the pointer rests where ``|`` stands in a document."""
        answer = self._ask("textDocument/hover", **self._at(kind, marked))
        return _text(answer["contents"]) if answer else ""

    def _at(self, kind: str, marked: str) -> dict[str, Any]:
        before, _, after = marked.partition("|")
        uri = self.open(kind, before + after)
        self.marks(uri)
        place = {"line": before.count("\n") + 1, "character": len(before) - before.rfind("\n") - 1}
        return {"textDocument": {"uri": uri}, "position": place}

    def _mark(self, uri: str, diagnostic: dict[str, Any]) -> Mark:
        start, end = diagnostic["range"]["start"], diagnostic["range"]["end"]
        line = self._texts[uri].split("\n")[start["line"]]
        stop = end["character"] if end["line"] == start["line"] else None
        marked = line[start["character"] : stop]
        return Mark(start["line"], start["character"] + 1, marked, diagnostic["message"])

    def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._number and "method" not in message:
                assert "error" not in message, message["error"]
                return message["result"]

    def _tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        """Take the next message, and do what it asks for."""
        message = self._messages.get(timeout=_PATIENCE)
        assert message is not None, "the server has ended"
        params = message.get("params")
        if message.get("method") == "textDocument/publishDiagnostics":
            self._published.setdefault(params["uri"], []).append(params["diagnostics"])
        elif message.get("method") == "workspace/configuration":
            sections = [item.get("section") for item in params["items"]]
            result = [self._settings.get(section) for section in sections]
            self._send({"id": message["id"], "result": result})
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": None})
        return message

    def _listen(self) -> None:
        for message in self._received():
            self._messages.put(message)
        self._messages.put(None)

    def _received(self) -> Iterator[dict[str, Any]]:
        stream = self._process.stdout
        assert stream is not None
        while True:
            headers = iter(
                lambda: stream.readline().strip().lower().partition(b":"), (b"", b"", b"")
            )
            length = {name: value for name, _, value in headers}.get(b"content-length")
            if length is None:
                return
            yield json.loads(stream.read(int(length)))


def _text(documentation: Any) -> str:
    return documentation["value"] if isinstance(documentation, dict) else documentation or ""
