"""How a written array is cut into chunks and shards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dacapo_like.core import block_shape
from dacapo_like.errors import ConfigError
from dacapo_like.spec import ArraySpec

_LARGEST_CHUNK = 2**25  # bytes
_SLAB = 2**25
_MOST_FOR_CHUNKS = 4  # slabs of this many times the size, so that no stored chunk is read twice


def chunk_shape(spec: ArraySpec, chunks: Sequence[int] | None) -> tuple[int, ...]:
    """Give the chunks that were asked for, else those that the array has, else cubes of about a megabyte.

    Chunks that are too large to be read one by one, such as that of a compressed stream, are not taken over.

    Raises
    ------
    ConfigError
        They do not fit the array.
    """
    if chunks is None:
        own = block_shape(spec)
        if math.prod(own) * spec.dtype.itemsize > _LARGEST_CHUNK:
            own = block_shape(spec.replace(chunk_shape=None))
        sizes = zip(own, spec.shape, strict=True)
        return tuple(max(min(wanted, n), 1) for wanted, n in sizes)
    given: Any = chunks  # of the command line, which knows no types
    wanted = tuple(given) if isinstance(given, Sequence) else (given,)
    if len(wanted) != spec.ndim or not all(isinstance(n, int) and n >= 1 for n in wanted):
        raise ConfigError(
            "chunks do not fit the array",
            got=wanted,
            expected=f"{spec.ndim} sizes of at least 1, for axes {' '.join(spec.axes)}",
        )
    return wanted


def shard_shape(chunks: tuple[int, ...], shards: Sequence[int] | None) -> tuple[int, ...]:
    """Give the shards that were asked for, else files of one chunk.

    Raises
    ------
    ConfigError
        They are no multiples of the chunks.
    """
    if shards is None:
        return chunks
    if len(shards) != len(chunks) or any(
        s < c or s % c for s, c in zip(shards, chunks, strict=True)
    ):
        raise ConfigError(
            "shards do not fit the chunks", got=tuple(shards), expected=f"multiples of {chunks}"
        )
    return tuple(shards)


def slab_shape(
    spec: ArraySpec, whole: int = 0, order: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Choose slabs of some tens of megabytes: whole fast axes, a part of one, a single index of the slow ones.

    The part is of whole stored chunks where these are not too large.

    Parameters
    ----------
    spec : ArraySpec
        Of the array.
    whole : int
        How many of the last axes are never cut.
    order : sequence of int, optional
        Of the axes, the slowest first, in which the slabs are given, too; by default the array's.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> slab_shape(from_shape((3, 900, 1000, 1000), "uint16", axes="czyx"))
    (1, 16, 1000, 1000)
    >>> slab_shape(from_shape((900, 1000, 1000), "uint16").replace(chunk_shape=(64, 64, 64)))
    (64, 1000, 1000)
    """
    order = range(spec.ndim) if order is None else order
    chunks = [(spec.chunk_shape or (1,) * spec.ndim)[i] for i in order]
    shape = [spec.shape[i] for i in order]
    slab = [1] * spec.ndim
    left = _SLAB // spec.dtype.itemsize
    for i in reversed(range(spec.ndim)):
        n, chunk = shape[i], chunks[i]
        slab[i] = n if i >= spec.ndim - whole else min(n, max(left, 1))
        if slab[i] < n:
            if chunk <= slab[i]:
                slab[i] -= slab[i] % chunk
            elif chunk <= left * _MOST_FOR_CHUNKS:
                slab[i] = min(chunk, n)
            break
        left //= n
    return tuple(slab)
