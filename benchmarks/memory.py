"""How much memory a read takes besides what the process has already.

One box of the [composed tree](#a-composed-tree), anywhere, without a cache, in processes that have read another one before. What is
counted is first what Python and numpy allocate at most (tracemalloc knows of it; TensorStore allocates on its own), beside the result
and the blocks of both sources; then how much larger the process gets at most, decoded chunks and all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.composed import DACAPO, DASK, FLOOR, MARGIN, OURS, ZARR, tree
from benchmarks.reading.asking import Reading
from benchmarks.results import Figure, Table, at_most
from benchmarks.running import Run
from benchmarks.volumes import random_boxes

TITLE = "Memory"
MOST = at_most(1.10)
MIB = 2**20
CHANNELS, RESULT, BLOCKS = 9, 4, 1 + 8
"""Bytes of a voxel: of a channel of the result, and of both sources."""


def run(run: Run) -> Iterator[Table]:
    """Read one box in several ways."""
    volume, size = run.full(320, 128), run.full(128, 64)
    described = tree(run, volume)
    first, box = random_boxes(0, 2, size, volume, margin=MARGIN)
    needed = math.prod(box.shape) * (CHANNELS * RESULT + BLOCKS)
    opened: dict[str, Reading | None] = {
        name: run.here(0).open(name, **described) for name in (OURS, FLOOR, ZARR, DASK)
    }
    opened[DACAPO] = run.read_by("dacapo_ml", DACAPO, **described)
    readings = {name: reading for name, reading in opened.items() if reading is not None}
    for reading in readings.values():
        reading.growth([first])
    traced = readings[OURS].growth([box], traced=True)
    what = f"allocated, of result and blocks ({needed / MIB:.0f} MiB)"
    yield Table(
        f"One box of {size}³",
        [
            Figure(OURS, what, traced / needed, "times", MOST, exact=True),
            *(
                Figure(name, "larger process", reading.growth([box]) / MIB, "MiB")
                for name, reading in readings.items()
            ),
        ],
    )
