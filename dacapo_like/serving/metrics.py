"""What a server counts, for those who watch it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dacapo_like.cache_report import cache_statistics


class Metrics:
    """Counts of one server, in the text format of Prometheus."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "dacapo_like_requests", "Requests, by the status of the answer", ["status"], registry=registry
        )  # fmt: skip
        self.sent = Counter("dacapo_like_sent_bytes", "Bytes of answers, packed", registry=registry)
        self.voxels = Counter("dacapo_like_voxels", "Voxels of chunks that were read", registry=registry)  # fmt: skip
        self.voxel_bytes = Counter(
            "dacapo_like_voxel_bytes", "Bytes of chunks that were read, not packed", registry=registry
        )  # fmt: skip
        self.seconds = Histogram(
            "dacapo_like_chunk_seconds", "Seconds that a chunk took to read", registry=registry
        )
        self.reading = Gauge("dacapo_like_chunks_reading", "Chunks that are read now", registry=registry)  # fmt: skip
        self._gauge("decoded_bytes", "Bytes of chunks of sources that this process decoded", lambda: cache_statistics().bytes_decoded)  # fmt: skip
        self._gauge("held_bytes", "Bytes of chunks of sources that are kept", lambda: cache_statistics().bytes_held)  # fmt: skip

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(f"dacapo_like_{name}", text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Give all of them."""
        return generate_latest(self._registry)
