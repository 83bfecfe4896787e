"""What the caches of decoded chunks did for this process, in numbers that people can read."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import attrs

from dacapo_like import settings, tensorstores
from dacapo_like.chunk_cache import CACHE, Counts
from dacapo_like.settings import format_bytes

_METRICS = "/tensorstore/cache/"


@attrs.frozen(repr=False)
class SourceStatistics:
    """What was asked of one source.

    Attributes
    ----------
    hits : int
        Chunks that were kept when they were asked for.
    misses : int
        Chunks that had to be decoded.
    bytes_decoded : int
        What these took.
    bytes_held : int
        What is kept of the source now, with what keeping takes.
    """

    hits: int = 0
    misses: int = 0
    bytes_decoded: int = 0
    bytes_held: int = 0

    def __repr__(self) -> str:
        asked = self.hits + self.misses
        share = f" ({100 * self.hits / asked:.0f} %)" if asked else ""
        return (
            f"{self.hits} of {asked} chunks were there{share}, "
            f"{format_bytes(self.bytes_decoded)} decoded, {format_bytes(self.bytes_held)} held"
        )


@attrs.frozen
class TensorStoreStatistics:
    """What TensorStore tells of its own cache: of all its arrays together, metadata and indices of shards among the chunks.

    Attributes
    ----------
    hits, misses : int
        What was there, and what was not, when it was asked for. What was there is read again if its file has changed.
    evictions : int
        What was let go to make room.
    """

    hits: int
    misses: int
    evictions: int


@attrs.frozen(repr=False)
class CacheStatistics(SourceStatistics):
    """What the caches of a process did; the numbers are those of the cache that sources share, without TensorStore's own.

    Attributes
    ----------
    cache_bytes : int
        How much may be held, and again by TensorStore in its own.
    sources : mapping of str to SourceStatistics
        By the file, or the array in it, that was read.
    tensorstore : TensorStoreStatistics or None
        Of TensorStore's own cache, if it was loaded and counts.
    """

    cache_bytes: int = 0
    sources: Mapping[str, SourceStatistics] = attrs.field(factory=dict)
    tensorstore: TensorStoreStatistics | None = None

    def __repr__(self) -> str:
        lines = [f"{super().__repr__()} of at most {format_bytes(self.cache_bytes)}"]
        lines += [f"  {name}: {counts!r}" for name, counts in self.sources.items()]
        if (ts := self.tensorstore) is not None:
            lines.append(
                f"TensorStore: {ts.hits} of {ts.hits + ts.misses} were there, {ts.evictions} let go"
            )
        return "\n".join(lines)


def cache_statistics() -> CacheStatistics:
    """Say what was found in the caches of decoded chunks of this process, and what they hold.

    Numbers count from the start of the process, in a forked one from that of its parent. Reads under ``cache_bytes=0`` do not
    count, nor do those of what is not packed: there the operating system's cache serves.

    Examples
    --------
    >>> import dacapo_like
    >>> dacapo_like.cache_statistics().cache_bytes
    268435456
    """
    sources = {name: _statistics(counts) for name, counts in sorted(CACHE.counts().items())}
    values = sources.values()
    return CacheStatistics(
        hits=sum(counts.hits for counts in values),
        misses=sum(counts.misses for counts in values),
        bytes_decoded=sum(counts.bytes_decoded for counts in values),
        bytes_held=sum(counts.bytes_held for counts in values),
        cache_bytes=settings.current().cache_bytes,
        sources=sources,
        tensorstore=_of_tensorstore(),
    )


def _statistics(counts: Counts) -> SourceStatistics:
    return SourceStatistics(**counts._asdict())


def _of_tensorstore() -> TensorStoreStatistics | None:
    if "tensorstore" not in sys.modules or not tensorstores.usable():
        return None
    import tensorstore as ts

    found = {
        metric["name"].removeprefix(_METRICS): sum(
            entry.get("value", 0) for entry in metric["values"]
        )
        for metric in ts.experimental_collect_matching_metrics(_METRICS, include_zero_metrics=True)
    }
    names = ("hit_count", "miss_count", "evict_count")
    if not found.keys() >= set(names):  # they are experimental: other versions may have others
        return None
    return TensorStoreStatistics(*(int(found[name]) for name in names))
