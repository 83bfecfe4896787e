"""Count what overlapping patches cost: ``python benchmarks/patch_reads.py`` (``--smoke``: a small volume, and a cache that is smaller still).

All patches of 80^3 that overlap by half are taken out of a Zarr of 64^3 chunks, in the order of the grid and in the order of its chunks, each in a process
of its own. Shown are the bytes read from files per byte of the volume. They do not depend on how fast the machine is; more than 1.3 is a failure. The loop
without a cache, of zarr-python, is counted on every n-th patch. Where the cache holds less than three layers of chunks (``--edge 1024 --cache 64``), both orders
read what they have read before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import zarr

CHUNK, PATCH, OVERLAP = 64, 80, 0.5
MOST = 1.3
COUNTED = 200  # patches of the loop without a cache
MIB = 2**20

_LOOP = """
import json, sys
from pathlib import Path
import dacapo_like, zarr
from dacapo_like import tensorstores
from dacapo_like.patches.extract import extract
from dacapo_like.patches.grid import PatchGrid

def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])

path, order, cache, patch, overlap, chunk, counted = json.loads(sys.argv[1])
tensorstores.CACHE_BYTES = cache
for name in (path + "/../first.zarr", path):  # of the first, only to import what there is to import
    array = dacapo_like.open_array({"type": "zarr", "file_name": name})
    naive = zarr.open_array(name, mode="r")
    if name != path:
        array[...], naive[...]
grid = PatchGrid(array, (patch,) * 3, overlap=overlap)
if order == "chunks":
    grid = grid.ordered_by((chunk,) * 3)
if order == "no cache":
    grid = grid[:: max(len(grid) // counted, 1)]
before, n = bytes_read(), 0
for patch in grid:
    n += (naive[patch.box.slices] if order == "no cache" else extract(array, patch)).nbytes
print(json.dumps([len(grid), n, bytes_read() - before]))
"""


def write(path: Path, edge: int) -> None:
    """Write noise, so that compression does not hide what is read."""
    array = zarr.create_array(path, shape=(edge,) * 3, dtype="uint8", chunks=(CHUNK,) * 3)
    array.attrs.update({"voxel_size": [4, 4, 4], "offset": [0, 0, 0], "axes": ["z", "y", "x"]})
    rng = np.random.default_rng(0)
    for z in range(0, edge, CHUNK):
        array[z : z + CHUNK] = rng.integers(0, 255, (CHUNK, edge, edge), "uint8")


def measure(path: Path, order: str, cache: int) -> tuple[int, int, int]:
    """Give the number of patches, and the bytes of them and those that were read for them."""
    asked = json.dumps([str(path), order, cache, PATCH, OVERLAP, CHUNK, COUNTED])
    command = [sys.executable, "-c", _LOOP, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    patches, asked_for, read = json.loads(done.stdout)
    return patches, asked_for, read


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--edge", type=int, help="of the volume, in voxels")
    parser.add_argument("--cache", type=int, help="in MiB")
    arguments = parser.parse_args()
    edge = arguments.edge or (256 if arguments.smoke else 1024)
    cache = (arguments.cache or (12 if arguments.smoke else 256)) * MIB
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        write(path, edge)
        write(path.with_name("first.zarr"), CHUNK)
        print(f"{edge}^3 bytes, {edge**3 / MIB:.0f} MiB; a cache of {cache // MIB} MiB")
        total = 0
        for order in ("grid", "chunks", "no cache"):
            patches, asked_for, read = measure(path, order, cache)
            total = max(total, patches)
            ratio = read / edge**3 * (total / patches)
            if order != "no cache":
                worst = max(worst, ratio)
            print(
                f"  {order:9} {patches:6} patches: {ratio:6.2f} bytes read per byte of the volume, "
                f"{read / asked_for:5.2f} per byte of the patches"
            )
    print(f"most with a cache: {worst:.2f}, bound {MOST}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
