"""What a run will do, before it does anything: its blocks, its files, and the memory that it takes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import attrs

from dacapo_like import engine, settings
from dacapo_like.core import Array, tree_nodes
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.materialize.sweeps import Pyramid, Sweep
from dacapo_like.settings import format_bytes
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.ome_zarr import OmeZarrWriter

PROCESS_BYTES = 2**28
"""What a process takes before it reads anything: Python, numpy, TensorStore, and compiled kernels."""

CACHE_BYTES = 2**25
"""Of decoded chunks, in either cache, where these are no longer than `LONG_CHUNK`."""

LONG_CHUNK = 128
"""Voxels along an axis."""


@attrs.frozen(kw_only=True)
class Means:
    """What a run works with.

    Attributes
    ----------
    threads : int
        Of every process.
    workers : int
        Processes; 0 for this one alone.
    memory : int or None
        Bytes that each process may take.
    """

    threads: int
    workers: int = 0
    memory: int | None = None

    @classmethod
    def of(cls, threads: int | None, workers: int | None, memory: int | str | None) -> Means:
        """Check what was asked for; by default every processor has a thread, and in workers each of these has one.

        Raises
        ------
        ConfigError
            It makes no sense.
        """
        for name, value in (("threads", threads), ("workers", workers)):
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigError(
                    f"not a number of {name}", got=value, expected="1 or more", key=(name,)
                )
        bound = settings.parse_bytes(memory) if isinstance(memory, str) else memory
        return cls(
            threads=threads or (1 if workers else processors()),
            workers=workers or 0,
            memory=bound,
        )

    @property
    def at_once(self) -> int:
        """Blocks under way in all processes."""
        return self.threads * max(self.workers, 1)

    def per_block(self, array: Array) -> int | None:
        """Give the bytes that a block of an array may take; ``None`` where nothing bounds it.

        Raises
        ------
        ConfigError
            The process takes more by itself.
        """
        if self.memory is None:
            return None
        left = self.memory - resident(array)
        if left <= 0:
            raise ConfigError(
                "a process takes more memory by itself",
                got=format_bytes(self.memory),
                expected=f"more than {format_bytes(resident(array))}, {format_bytes(PROCESS_BYTES)} and the caches of decoded chunks",
                hint="DACAPO_LIKE_CACHE_BYTES makes these smaller",
                key=("memory",),
            )
        return left // self.threads


def cache_bytes(array: Array) -> int:
    """Give the bytes of decoded chunks that a run keeps.

    Pieces next to each other share a few chunks, and none is needed again later, unless chunks are longer than pieces are.
    """
    limit = settings.current().cache_bytes
    chunks = (node.spec.chunk_shape or () for node in tree_nodes(array) if not node.inputs)
    longest = max((n for shape in chunks for n in shape), default=1)
    return limit if longest > LONG_CHUNK else min(limit, CACHE_BYTES)


def processors() -> int:
    """Count those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident(array: Array) -> int:
    """Give the bytes that a process takes besides its blocks: itself, and the two caches of decoded chunks."""
    return PROCESS_BYTES + 2 * cache_bytes(array)


def pyramid_of(array: Array, writer: OmeZarrWriter) -> Pyramid:
    """Give what is to be cut into blocks."""
    readout = engine.Readout(array)

    def held(piece: Box) -> int:
        shape = tuple(map(min, writer.array_axes(piece.shape), array.shape))
        plan = readout.plan(Box(tuple(0 for _ in shape), shape))
        most = max(settings.current().bytes_at_once, 4 * plan.given)
        return min(plan.held, most)

    return Pyramid(writer.levels, writer.cells, writer.file_shape, held)


@attrs.frozen(kw_only=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    levels : sequence of ArraySpec
        The finest first, in the order of axes as stored.
    sweeps : sequence of Sweep
        One after the other.
    file_shape : tuple of int
        Voxels of a file.
    block_memory : int
        Bytes that a block under way takes at most.
    cache_memory : int
        Bytes of decoded chunks that a process keeps at most.
    memory : int
        Bytes that a process takes at most: itself, its caches, and a block for every thread.
    means : Means
        What it works with.
    """

    levels: Sequence[ArraySpec]
    sweeps: Sequence[Sweep]
    file_shape: tuple[int, ...]
    block_memory: int
    cache_memory: int
    memory: int
    means: Means

    @classmethod
    def of(cls, array: Array, pyramid: Pyramid, sweeps: Sequence[Sweep], means: Means) -> Plan:
        """Sum up."""
        block = max(map(pyramid.memory, sweeps))
        return cls(
            levels=pyramid.levels,
            sweeps=sweeps,
            file_shape=pyramid.file_shape,
            block_memory=block,
            cache_memory=2 * cache_bytes(array),
            memory=resident(array) + means.threads * block,
            means=means,
        )

    @property
    def blocks(self) -> int:
        """Of all sweeps."""
        return sum(sweep.total for sweep in self.sweeps)

    @property
    def files(self) -> int:
        """Of all levels, if none is left out."""
        return sum(
            math.prod(-(-n // size) for n, size in zip(spec.shape, self.file_shape, strict=True))
            for spec in self.levels
        )

    @property
    def nbytes(self) -> int:
        """Of all levels, uncompressed."""
        return sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in self.levels)

    def text(self) -> str:
        """Say it in some lines."""
        lines = []
        for number, sweep in enumerate(self.sweeps, start=1):
            does = "computes" if sweep.computes else f"reads level {sweep.level} back,"
            levels = ", ".join(map(str, sweep.writes))
            lines.append(
                f"sweep {number}: {does} {_by(sweep.shape)} voxels in {sweep.total:,} blocks of {_by(sweep.block_shape)}, "
                f"in pieces of {_by(sweep.piece_shape)}; writes level{'s' * (len(sweep.writes) > 1)} {levels}"
            )
        finest = self.levels[0]
        itself, cached, block = map(
            format_bytes, (PROCESS_BYTES, self.cache_memory, self.block_memory)
        )
        size = format_bytes(math.prod(finest.shape) * finest.dtype.itemsize)
        lines += [
            f"files: at most {self.files:,} of {_by(self.file_shape)} voxels",
            f"bytes: {size} in the finest level, {format_bytes(self.nbytes)} in all {len(self.levels)}, uncompressed",
            f"memory: at most {format_bytes(self.memory)} per process: {itself} for itself, {cached} of caches, {self.means.threads} x {block} for blocks",
        ]
        return "\n".join(lines)


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
