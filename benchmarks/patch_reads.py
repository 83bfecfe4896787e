"""How much of a volume is read for overlapping patches.

All patches of 80³ that overlap by half are taken out of a Zarr in chunks of 64³, in the order of the grid and in the order of its
chunks, each in a process of its own, with a cache that holds three and a half layers of chunks. Counted are bytes read from files,
which do not depend on how fast the machine is. A loop over zarr-python, without a cache, is counted on a part of the patches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr

from benchmarks.results import Figure, Table, at_most
from benchmarks.running import Run
from benchmarks.volumes import CHUNK, VOXEL

TITLE = "Bytes read for overlapping patches"
PATCH, OVERLAP = 80, 0.5
MOST = at_most(1.3)
LAYERS = 3.5  # of chunks that the cache holds: patches lie in three
COUNTED = 200  # patches of the loop without a cache
ORDERS = {
    "in the order of the grid": "grid",
    "in the order of chunks": "chunks",
    "zarr-python, no cache": "naive",
}

_LOOP = """
import json, sys
from pathlib import Path
import dacapo_like, zarr
from dacapo_like.patches.extract import extract
from dacapo_like.patches.grid import PatchGrid

def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])

path, order, patch, overlap, chunk, counted = json.loads(sys.argv[1])
def opened(name):
    array = dacapo_like.open_array({"type": "zarr", "file_name": name})
    return array, PatchGrid(array, (patch,) * 3, overlap=overlap), zarr.open_array(name, mode="r")

def read(array, grid, naive):
    for patch in grid:
        naive[patch.box.slices] if order == "naive" else extract(array, patch)

read(*opened(path + "/../first.zarr"))  # what is imported in reading, numba as soon as it pays, is imported
array, grid, naive = opened(path)
if order == "chunks":
    grid = grid.ordered_by((chunk,) * 3)
if order == "naive":
    grid = grid[:: max(len(grid) // counted, 1)]
before = bytes_read()
read(array, grid, naive)
print(json.dumps([len(grid), bytes_read() - before]))
"""


def write(path: Path, edge: int) -> None:
    """Write noise, so that compression does not hide what is read."""
    array = zarr.create_array(path, shape=(edge,) * 3, dtype="uint8", chunks=(CHUNK,) * 3)
    array.attrs.update({"voxel_size": [VOXEL] * 3, "offset": [0] * 3, "axes": list("zyx")})
    rng = np.random.default_rng(0)
    for z in range(0, edge, CHUNK):
        array[z : z + CHUNK] = rng.integers(0, 255, (CHUNK, edge, edge), "uint8")


def measured(path: Path, order: str, cache: int) -> tuple[int, int]:
    """Give the number of patches, and the bytes that were read for them."""
    asked = json.dumps([str(path), order, PATCH, OVERLAP, CHUNK, COUNTED])
    done = subprocess.run(
        [sys.executable, "-c", _LOOP, asked],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DACAPO_LIKE_CACHE_BYTES": str(cache)},
    )
    patches, read = json.loads(done.stdout)
    return patches, read


def run(run: Run) -> Iterator[Table]:
    """Count what each order reads."""
    edge = run.full(512, 256)
    path = run.folder / "noise.zarr"
    write(path, edge)
    write(path.with_name("first.zarr"), 4 * CHUNK)
    cache = int(LAYERS * CHUNK * edge**2)
    lines, most = [], 0
    for name, order in run.full(tuple(ORDERS.items()), tuple(ORDERS.items())[:1]):
        patches, read = measured(path, order, cache)
        most = max(most, patches)
        ratio = read / edge**3 * most / patches
        bounds = {"wanted": MOST, "exact": True} if order != "naive" else {}
        lines.append(Figure(name, "bytes read per byte of the volume", ratio, "", **bounds))
    yield Table(f"{most} patches out of {edge}³", lines)
