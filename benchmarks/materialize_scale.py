"""How what a run knows grows with the volume: ``python -m benchmarks.materialize_scale``.

An empty Zarr of up to 10^15 voxels is planned and a few of its blocks are written, somewhere in it; then a tree that is bound by the processor is
written with one thread and with two, and by one process and by two.
"""

from __future__ import annotations

import argparse
import pickle
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr

import dacapo_like
from dacapo_like.materialize import materialize, plan
from dacapo_like.materialize.blocks import Blocks
from dacapo_like.materialize.cluster import do_block
from dacapo_like.materialize.journal import Entry, Journal
from dacapo_like.writers.ome_zarr import OmeZarrWriter

EDGES = (10**3, 4 * 10**3, 10**4, 4 * 10**4, 10**5)
SAMPLE = 24


def empty(folder: Path, edge: int) -> dacapo_like.Array:
    """Give a volume without a single chunk."""
    path = folder / f"{edge}.zarr"
    zarr.create_array(path, shape=(edge,) * 3, chunks=(64,) * 3, dtype="uint8")
    return dacapo_like.open_array({"type": "zarr", "file_name": str(path)})


def growth(folder: Path) -> None:
    """Say what a run takes, by the edge of its volume."""
    print("voxels      plan/ms  blocks      files          bits/kB  task/B  block/ms  noted/µs")
    for edge in EDGES:
        array = empty(folder, edge)
        start = time.perf_counter()
        planned = plan(array, folder / "out.zarr", chunks=(64,) * 3, threads=2)
        planning = time.perf_counter() - start
        writer = OmeZarrWriter(folder / f"out{edge}.zarr", array.spec, chunks=(64,) * 3)
        blocks = Blocks(array, writer, planned.sweeps)
        total = planned.sweeps[0].total
        some = [random.Random(i).randrange(total) for i in range(SAMPLE)]
        blocks.do(0, some[0])
        start = time.perf_counter()
        for index in some:
            blocks.do(0, index)
        each = (time.perf_counter() - start) / SAMPLE
        journal = Journal(
            folder / f"journal{edge}", "key", [sweep.total for sweep in planned.sweeps]
        )
        start = time.perf_counter()
        journal.add([Entry(0, index) for index in some])
        noted = (time.perf_counter() - start) / SAMPLE
        journal.close()
        writer.abort()
        task = len(pickle.dumps((do_block, (str(folder), "k" * 64, 0, total - 1))))
        bits = sum(-(-sweep.total // 8) for sweep in planned.sweeps) / 1000
        print(
            f"{edge**3:.1e}  {planning * 1e3:8.1f} {planned.blocks:8,} {planned.files:14,} {bits:9.1f} {task:7} {each * 1e3:9.1f} {noted * 1e6:9.0f}"
        )


def scaling(folder: Path, edge: int) -> None:
    """Say how much faster two are than one."""
    voxels = np.random.default_rng(0).integers(0, 255, (edge,) * 3, "uint8")
    source = dacapo_like.from_numpy(voxels).to_ome_zarr(folder / "source.zarr", levels=1)
    array = dacapo_like.open_array({"type": "zarr", "file_name": str(source)})
    tree = array.intensities(min=0, max=255)
    ways = {
        "thread": [{"threads": 1}, {"threads": 2}],
        "worker": [{"workers": 1}, {"workers": 2}],
    }
    for name, means in ways.items():
        seconds: list[list[float]] = [[], []]
        for turn in range(3):
            for taken, how in zip(seconds, means, strict=True):
                clock: list[float] = []

                def progress(done: int, _total: int, clock: list[float] = clock) -> None:
                    if (
                        done
                    ):  # from the end of the first block on: processes take their time to start
                        clock.append(time.perf_counter())

                out = folder / f"{name}{turn}{len(taken)}{len(str(how))}.zarr"
                options = {"chunks": (32,) * 3, "levels": 1, "overwrite": True, "restart": True}
                materialize(tree, out, progress=progress, **options, **how)
                # without the first blocks: processes take their time to start, and to open what they read
                taken.append(clock[-1] - clock[len(clock) // 4])
        one, two = map(min, seconds)
        print(f"1 -> 2 {name}s: {one:.2f} s -> {two:.2f} s, {one / two:.2f} times as fast")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=384, help="of the volume that is computed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        growth(Path(folder))
        scaling(Path(folder), options.edge)


if __name__ == "__main__":
    main()
