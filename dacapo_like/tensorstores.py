"""TensorStore for a whole process: one cache of decoded chunks, and none of it behind a fork.

TensorStore works with threads of its own, which a forked child does not have: it aborts the child that uses it. So a child
whose parent had loaded TensorStore must not touch it; `usable` says so, and readers and writers turn to zarr-python.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np

from dacapo_like import settings
from dacapo_like.errors import SourceError

ERRORS = (ValueError, IndexError, NotImplementedError, OSError, RuntimeError)
"""What TensorStore raises for the status codes that it has."""


PATIENCE = 30.0
"""Seconds that an answer about metadata may take, all repetitions together."""

_SERVERS = ("gcs", "http", "s3")
_PAUSES = {"initial_delay": "500ms", "max_delay": "4s"}
_CURL = {  # seconds until a silent host is given up; else curl waits for minutes, or for ever
    "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "10",
    "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "20",
    "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1",
}
_STATUS = re.compile(r"^[A-Z_]+: ")
_TRAILER = re.compile(r" \[[\w-]+='.*", re.DOTALL)
_DENIED = re.compile(r"PERMISSION_DENIED|UNAUTHENTICATED")
_QUERY = re.compile(r"(://[^\s\"'?]*)\?[^\s\"']*")


def describe(error: Exception) -> str:
    """Give the message of an error of TensorStore without its status code, the dump of its own state, and queries of URLs.

    Examples
    --------
    >>> describe(ValueError("NOT_FOUND: chunk {0} is missing [tensorstore_spec='{}']"))
    'chunk {0} is missing'
    """
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return _QUERY.sub(r"\1", _STATUS.sub("", _TRAILER.sub("", str(error))))


def cause(error: Exception) -> Exception | None:
    """Give an error as the cause of ours; ``None`` where its own message has a query, which may be secret: a traceback would show it."""
    return None if _QUERY.search(str(error)) else error


class _Process:
    forked_from_tensorstore = False


def _note_fork() -> None:
    _Process.forked_from_tensorstore |= "tensorstore" in sys.modules


os.register_at_fork(after_in_child=_note_fork)


def usable() -> bool:
    """Whether this process may use TensorStore: it was not forked from one that had loaded it."""
    return not _Process.forked_from_tensorstore


class Begun:
    """A read that TensorStore has begun.

    A forked child never lets go of those of its parent: TensorStore would wait there for threads that it does not have.
    """

    __slots__ = ("_future",)

    def __init__(self, future: Any) -> None:
        self._future = future

    def result(self, deadline: float | None = None) -> Any:
        """Wait for the voxels, but not beyond a time of `time.monotonic`."""
        if deadline is None:
            return self._future.result()
        return self._future.result(timeout=max(deadline - time.monotonic(), 0))

    def __del__(self) -> None:
        if not usable():
            _stranded.append(self._future)


_stranded: list[Any] = []


class _Limits(NamedTuple):
    """What a context of TensorStore has once and for all."""

    cache_bytes: int
    requests_in_flight: int
    request_retries: int

    @classmethod
    def of(cls, now: settings.Settings) -> _Limits:
        return cls(now.cache_bytes, now.requests_in_flight, now.request_retries)


_contexts: dict[_Limits, Any] = {}


def _context(*, cached: bool = True) -> Any:
    limits = _Limits.of(settings.current())
    if not cached:
        limits = limits._replace(cache_bytes=0)
    found = _contexts.get(limits)
    return _contexts.setdefault(limits, _new_context(limits)) if found is None else found


def _new_context(limits: _Limits) -> Any:
    for name, value in _CURL.items():
        os.environ.setdefault(name, value)
    import tensorstore as ts

    spec: dict[str, Any] = {"cache_pool": {"total_bytes_limit": limits.cache_bytes}}
    for server in _SERVERS:
        spec[f"{server}_request_concurrency"] = {"limit": limits.requests_in_flight}
        spec[f"{server}_request_retries"] = {"max_retries": limits.request_retries, **_PAUSES}
    return ts.Context(spec)


class Opened:
    """An array that is opened when it is first read, and again for other settings: TensorStore fixes its limits then.

    Parameters
    ----------
    open_array : callable
        Opens TensorStore's array.
    """

    def __init__(self, open_array: Callable[[], Any]) -> None:
        self._open_array = open_array
        self._arrays: dict[_Limits, Any] = {}
        _opened.add(self)

    def __call__(self) -> Any:
        """Give the array with the limits that hold here."""
        limits = _Limits.of(settings.current())
        found = self._arrays.get(limits)
        if found is None:
            found = self._arrays[limits] = self._open_array()
        return found

    def forget(self, but: _Limits | None = None) -> None:
        """Let go what is open, and what the cache holds of it; but for some limits."""
        self._arrays = {limits: found for limits, found in self._arrays.items() if limits == but}


_opened: weakref.WeakSet[Opened] = weakref.WeakSet()


def _forget_other_limits(now: settings.Settings) -> None:
    if not usable():  # to let go what a parent has opened is to use it
        return
    kept = _Limits.of(now)
    for limits in [limits for limits in _contexts if limits != kept]:
        _contexts.pop(limits, None)
    for opened in list(_opened):
        opened.forget(kept)


settings.watch(_forget_other_limits)


def open_zarr(
    folder: Path,
    zarr_format: int,
    *,
    write: bool = False,
    fill: bool = True,
    store_fill: bool = False,
    sync: bool = True,
    cached: bool = True,
) -> Any:
    """Open a Zarr array.

    Parameters
    ----------
    folder : Path
        Where its metadata are.
    zarr_format : {2, 3}
        Version of the format.
    write : bool
        Also for writing.
    fill : bool
        Chunks that are not there read as the fill value; else they are an error.
    store_fill : bool
        Chunks of nothing but the fill value are written, too; else they are left out.
    sync : bool
        What is written is on the disk when a write is over; else when the operating system comes to it.
    cached : bool
        TensorStore keeps decoded chunks.

    Returns
    -------
    tensorstore.TensorStore

    Raises
    ------
    One of `ERRORS`
        TensorStore does not know, or does not accept, what is there.
    """
    metadata = checksummed(folder) if write and zarr_format == 2 else None
    return open_array(
        "zarr" if zarr_format == 2 and metadata is None else "zarr3",
        {"driver": "file", "path": f"{folder.absolute()}/", "file_io_sync": sync},
        write=write,
        fill=fill,
        store_fill=store_fill,
        cached=cached,
        **({} if metadata is None else {"metadata": metadata, "assume_metadata": True}),
    )


def checksummed(folder: Path) -> dict[str, Any] | None:
    """Give metadata of Zarr 3 by which chunks of an array of Zarr 2 are written with checksums; ``None``: it has no place for them.

    Zarr 2 has none but inside of what a codec makes. A frame of zstd may end with one of the voxels, which all its decoders
    look at, though the metadata do not say so: TensorStore does not open an array of Zarr 2 whose metadata do.
    """
    stored = json.loads((folder / ".zarray").read_text())
    compressor, fill = stored["compressor"] or {}, stored["fill_value"]
    if compressor.get("id") != "zstd" or stored["filters"] or stored["order"] != "C":
        return None
    if not isinstance(stored["dtype"], str):
        return None
    dtype = np.dtype(stored["dtype"])
    if dtype.kind == "f":
        fits = isinstance(fill, (int, float)) or fill in {"NaN", "Infinity", "-Infinity"}
    else:
        fits = dtype.kind in "biu" and isinstance(fill, int)
    if not fits:
        return None
    endian = "big" if dtype.str[0] == ">" else "little"
    separator = stored.get("dimension_separator", ".")
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": stored["shape"],
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored["chunks"]}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": separator}},
        "codecs": [
            {"name": "bytes", "configuration": {"endian": endian}},
            {
                "name": "zstd",
                "configuration": {"level": compressor.get("level", 1), "checksum": True},
            },
        ],
        "fill_value": bool(fill) if dtype.kind == "b" else fill,
    }


def open_array(
    driver: str,
    kvstore: Mapping[str, Any],
    *,
    write: bool = False,
    fill: bool = True,
    store_fill: bool = False,
    cached: bool = True,
    **more: Any,
) -> Any:
    """Open an array of any of TensorStore's drivers; otherwise as `open_zarr`.

    Parameters
    ----------
    driver : str
        TensorStore's name of the format.
    kvstore : mapping
        TensorStore's spec of the folder.
    write, fill, store_fill
        As of `open_zarr`.
    cached : bool
        TensorStore keeps decoded chunks; else whoever reads does.
    **more
        Further members of the spec.
    """
    import tensorstore as ts

    spec = {
        "driver": driver,
        "kvstore": kvstore,
        "fill_missing_data_reads": fill,
        "store_data_equal_to_fill_value": store_fill,
        "open": True,  # as an argument it would undo an `assume_metadata` of `more`
        **more,
    }
    opening = ts.open(spec, context=_context(cached=cached), read=True, write=write)
    return opening.result(timeout=settings.current().remote_seconds)


class DeniedError(SourceError):
    """A server knows us not well enough."""


@attrs.frozen
class KeyValues:
    """Reads what is at keys: TensorStore's view of a bucket, a web server, or a zip file in them.

    Attributes
    ----------
    spec : mapping
        TensorStore's, of a folder.
    where : str
        For errors.
    """

    spec: Mapping[str, Any]
    where: str

    def read(self, key: str) -> bytes | None:
        """Give what is at a key; ``None`` where nothing is.

        Raises
        ------
        SourceError
            The server cannot be reached, or refuses.
        """
        try:
            result = self._opened().read(key).result(timeout=PATIENCE)
        except ERRORS as error:
            raise self._failure(error, f"{self.where}/{key}") from cause(error)
        return bytes(result.value) if result.state == "value" else None

    def has(self, key: str) -> bool:
        """Whether something is at a key; no more than a byte of it is asked for.

        Raises
        ------
        SourceError
            The server cannot be reached, or refuses.
        """
        try:
            asked = self._opened().read(key, byte_range=slice(0, 1))
            return bool(asked.result(timeout=PATIENCE).state == "value")
        except ERRORS as error:
            raise self._failure(error, f"{self.where}/{key}") from cause(error)

    def names(self) -> frozenset[str] | None:
        """Give all keys; ``None`` where the server does not tell, or has no end of them."""
        try:
            listed = self._opened().list().result(timeout=PATIENCE)
        except TimeoutError:
            return None
        except ERRORS as error:
            failure = self._failure(error, self.where)
            if isinstance(failure, DeniedError):
                return None
            raise failure from cause(error)
        return frozenset(key.decode(errors="replace") for key in listed)

    def _opened(self) -> Any:
        import tensorstore as ts

        return ts.KvStore.open(self.spec, context=_context()).result(timeout=PATIENCE)

    def _failure(self, error: Exception, where: str) -> SourceError:
        if isinstance(error, TimeoutError):
            return SourceError("no answer", got=f"silence for {PATIENCE:g} s", where=where)
        text = describe(error)
        hint = "`storage_options` say how to get in, for example `anon: true` or a `profile`"
        if _DENIED.match(str(error)):
            return DeniedError("access is denied", got=text, where=where, hint=hint)
        lost = "credentials" in text
        return SourceError("cannot read", got=text, where=where, hint=hint if lost else None)
