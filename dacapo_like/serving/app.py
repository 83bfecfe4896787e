"""The application: which answer a path gets."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dacapo_like.errors import DacapoLikeError, SpecError, did_you_mean
from dacapo_like.geometry import format_numbers
from dacapo_like.serving.access import LOCAL_ORIGIN, Guard
from dacapo_like.serving.answers import answer, is_known, unchanged
from dacapo_like.serving.catalog import Catalog, Entry
from dacapo_like.serving.metrics import Metrics
from dacapo_like.writers.zarr_metadata import group_document

_LOG = logging.getLogger("dacapo_like.serving")
_BYTES = "application/octet-stream"
_JSON = "application/json"
Handler = Callable[[Request], Awaitable[Response]]


class Application:
    """Answers requests for the images of a catalog.

    Parameters
    ----------
    catalog : Catalog
        What is served, as ``/NAME/zarr.json``, ``/NAME/LEVEL/zarr.json`` and ``/NAME/LEVEL/c/…``.
    token : str, optional
        That clients have to show.
    origins : sequence of str
        Further pages that may read it, ``https://example.org``, or ``*`` for all; pages of this machine always may.
    readers : int
        Chunks that are read at a time.
    waiting : int
        Requests that may wait for their turn; others are asked to come back.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        token: str | None = None,
        origins: tuple[str, ...] = (),
        readers: int = 4,
        waiting: int = 1024,
    ) -> None:
        self._catalog = catalog
        self._metrics = Metrics()
        self._limiter = anyio.CapacityLimiter(readers)
        self._most_waiting = waiting
        routes = [
            Route("/", self._counted(self._index)),
            Route("/zarr.json", self._counted(self._group)),
            Route("/health", self._counted(self._health)),
            Route("/metrics", self._tell_metrics),
            Route("/{name}/{key:path}", self._counted(self._image)),
        ]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_origin_regex=LOCAL_ORIGIN,
            allow_methods=["GET", "HEAD"],
            allow_headers=["*"],
            expose_headers=["Content-Range", "Content-Length", "ETag"],
        )
        inner = Starlette(routes=routes, middleware=[cors])
        inner.router.redirect_slashes = False  # clients of Zarr take an answer, or none
        self._guarded = Guard(inner, token)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request of ASGI."""
        await self._guarded(scope, receive, send)

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._limiter.statistics().tasks_waiting

    def _counted(self, handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except DacapoLikeError as error:
                response = _refusal(request, error)
            self._metrics.requests.labels(str(response.status_code)).inc()
            self._metrics.sent.inc(len(response.body))
            return response

        return handle

    # Answers

    async def _index(self, request: Request) -> Response:
        """List the images."""
        base = str(request.base_url).rstrip("/")
        listed = {}
        for name in self._catalog:
            entry = await run_sync(self._catalog.tried, name)
            listed[name] = {"url": f"{base}/{quote(name, safe='')}"} | _described(entry)
        return JSONResponse({"arrays": listed})

    async def _group(self, request: Request) -> Response:
        """Say that the images stand in a group."""
        document = json.dumps(group_document({})).encode()
        return answer(document, _tag("", "zarr.json"), _JSON, request.headers)

    async def _health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _tell_metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _image(self, request: Request) -> Response:
        """Answer with a document, or a chunk, of an image."""
        name, key = request.path_params["name"], request.path_params["key"]
        if name not in self._catalog:
            hint = did_you_mean(name, self._catalog) or ""
            known = ", ".join(self._catalog)
            return PlainTextResponse(f"no array {name!r}; there are {known} {hint}\n", 404)
        entry = self._catalog.known(name)
        if entry is None:
            entry = await run_sync(self._catalog.__getitem__, name)
        tag = _tag(entry.state, key)
        document = entry.image.document(key)
        place = None if document is not None else _place(key)
        if document is None and (place is None or entry.image.chunk_box(*place) is None):
            return PlainTextResponse(f"nothing at {key} of {name}\n", 404)
        if is_known(request.headers.get("if-none-match", ""), tag):
            return unchanged(tag)
        if document is not None:
            return answer(document, tag, _JSON, request.headers)
        assert place is not None  # noqa: S101  # a chunk, since it is no document
        return await self._chunk(request, entry, place, tag)

    async def _chunk(
        self, request: Request, entry: Entry, place: tuple[int, tuple[int, ...]], tag: str
    ) -> Response:
        """Read a chunk when it is its turn, if the client still waits for it."""
        if self.waiting >= self._most_waiting:
            return PlainTextResponse("too many requests wait\n", 503, {"retry-after": "1"})
        async with self._limiter:
            if await request.is_disconnected():
                return Response(status_code=499)  # nobody reads it
            data = await run_sync(self._read, entry, place)
        return answer(data, tag, _BYTES, request.headers)

    def _read(self, entry: Entry, place: tuple[int, tuple[int, ...]]) -> bytes:
        metrics, start = self._metrics, time.perf_counter()
        with metrics.reading.track_inprogress():
            data = entry.image.chunk(*place)
        assert data is not None  # noqa: S101  # its box was found
        metrics.seconds.observe(time.perf_counter() - start)
        metrics.voxel_bytes.inc(len(data))
        metrics.voxels.inc(len(data) // entry.image.array.dtype.itemsize)
        return data


def _refusal(request: Request, error: DacapoLikeError) -> Response:
    """Say what is wrong: the array cannot be served at all, or could not be read."""
    _LOG.error("%s: %s", request.url.path, error)
    status = 422 if isinstance(error, SpecError) else 500
    return PlainTextResponse(f"{error}\n", status)


def _described(entry: Entry | DacapoLikeError) -> dict[str, Any]:
    if isinstance(entry, DacapoLikeError):
        return {"problem": str(entry)}
    spec = entry.image.array.spec
    return {
        "kind": spec.kind,
        "dtype": spec.dtype.name,
        "axes": dict(zip(spec.axes, spec.shape, strict=True)),
        "voxel_size": format_numbers(spec.voxel_size),
        "units": list(spec.units),
        "levels": len(entry.image.levels),
    }


def _place(key: str) -> tuple[int, tuple[int, ...]] | None:
    """Give the level and the index of a chunk by its path, ``LEVEL/c/I/J/…``; ``None``: it is none.

    Examples
    --------
    >>> _place("1/c/0/12")
    (1, (0, 12))
    """
    parts = key.split("/")
    if len(parts) < 3 or parts[1] != "c" or not all(_is_number(p) for p in (parts[0], *parts[2:])):
        return None
    return int(parts[0]), tuple(map(int, parts[2:]))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _tag(state: str, key: str) -> str:
    return f'"{hashlib.sha256(json.dumps([state, key]).encode()).hexdigest()[:32]}"'
