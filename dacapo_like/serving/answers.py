"""Answers to requests for bytes: what a client has already, a part of them, packed as it accepts."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from typing import Any, Literal

from starlette.responses import Response

Encoding = Literal["zstd", "gzip", "identity"]

_SMALLEST_PACKED = 512  # bytes; less is not worth it
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_QUALITY = re.compile(r"q=([0-9.]+)$")


def accepted(header: str) -> Encoding:
    """Choose how an answer is packed, by the header ``Accept-Encoding``.

    Examples
    --------
    >>> accepted("gzip, deflate, br, zstd"), accepted("gzip;q=1, zstd;q=0"), accepted("")
    ('zstd', 'gzip', 'identity')
    """
    known = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((m[1] for p in parameters if (m := _QUALITY.match(p))), "1")
        known[name] = quality.strip("0.") != ""
    if known.get("zstd"):
        return "zstd"
    return "gzip" if known.get("gzip", known.get("*", False)) else "identity"


def packed(data: bytes, encoding: Encoding) -> bytes:
    """Pack an answer, fast rather than small."""
    if encoding == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if encoding == "zstd":
        import numcodecs

        return bytes(numcodecs.Zstd(level=1).encode(data))
    return data


def part_of(header: str, size: int) -> slice | None:
    """Give the part of so many bytes that the header ``Range`` asks for; ``None`` where it is to be ignored.

    Raises
    ------
    ValueError
        No byte of it is there.

    Examples
    --------
    >>> part_of("bytes=2-4", 10), part_of("bytes=-3", 10), part_of("bytes=8-99", 10)
    (slice(2, 5, None), slice(7, 10, None), slice(8, 10, None))
    """
    found = _RANGE.match(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        start, stop = max(size - int(found[2]), 0), size
    else:
        start, stop = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < int(found[1]):
            return None
    if start >= stop:
        raise ValueError(f"bytes {start} to {stop} of {size}")
    return slice(start, stop)


def is_known(header: str, tag: str) -> bool:
    """Whether the header ``If-None-Match`` names an ETag, weakly: packed or not."""
    listed = (each.strip().removeprefix("W/") for each in header.split(","))
    return any(each in (tag, "*") for each in listed)


def answer(data: bytes, tag: str, kind: str, headers: Mapping[str, str]) -> Response:
    """Answer with bytes.

    Parameters
    ----------
    data : bytes
        All of them.
    tag : str
        The ETag, quoted.
    kind : str
        The media type.
    headers : mapping
        Of the request, by names in lower case.
    """
    common = described(tag)
    try:
        part = part_of(headers.get("range", ""), len(data))
    except ValueError:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    if headers.get("if-range", tag) != tag:
        part = None
    if part is not None:
        common["content-range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
        return Response(data[part], 206, common, kind)
    encoding = accepted(headers.get("accept-encoding", ""))
    if encoding == "identity" or len(data) < _SMALLEST_PACKED:
        return Response(data, 200, common, kind)
    common |= {"content-encoding": encoding, "etag": f"W/{tag}"}
    return Response(packed(data, encoding), 200, common, kind)


def unchanged(tag: str) -> Response:
    """Answer that the client has it already."""
    return Response(status_code=304, headers=described(tag))


def described(tag: str) -> dict[str, Any]:
    """Give what all answers of bytes say: they are to be asked for again, with their ETag."""
    return {
        "etag": tag,
        "cache-control": "no-cache",
        "accept-ranges": "bytes",
        "vary": "Accept-Encoding, Origin",
    }
