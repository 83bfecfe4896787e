"""How a written array is cut into chunks and shards."""

from __future__ import annotations

from collections.abc import Sequence

from dacapo_like.core import block_shape
from dacapo_like.errors import ConfigError
from dacapo_like.spec import ArraySpec


def chunk_shape(spec: ArraySpec, chunks: Sequence[int] | None) -> tuple[int, ...]:
    """Give the chunks that were asked for, else those that the array has, else cubes of about a megabyte.

    Raises
    ------
    ConfigError
        They do not fit the array.
    """
    if chunks is None:
        sizes = zip(block_shape(spec), spec.shape, strict=True)
        return tuple(max(min(wanted, n), 1) for wanted, n in sizes)
    wanted = tuple(chunks)
    if len(wanted) != spec.ndim or any(n < 1 for n in wanted):
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
