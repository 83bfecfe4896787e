"""How long it takes to write a composed volume with a pyramid.

An image of bytes in a Zarr, cropped by half a chunk at every face, its contrast stretched in floats, rounded and clipped to bytes again, and written
as 1024 x 1024 x 512 voxels in chunks of 64³ with four levels, each the mean of the one before. Every way does so in a process of its
own, with two threads; imports, and the opening of the source, are not timed. Beside this package are dask with one operation for each
step and `to_zarr`, all levels in one graph or one level after the other; ZarrNii over the same graph of dask; and what a good programmer
writes by hand: a task of dask for each block, that makes its part of all levels with numpy and zarr-python. The finest level is
compared voxel by voxel, and the coarser ones but for ZarrNii's. All compress with zstd of strength 3.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.measuring import race
from benchmarks.reading.asking import peer_python
from benchmarks.results import Figure, Table, at_least, at_most, beside
from benchmarks.running import ENVIRONMENTS, Run
from benchmarks.volumes import CHUNK, image, write_zarr

TITLE = "Materialising"
OURS, ONE_GRAPH, BY_LEVELS, BY_HAND = (
    "dacapo_like",
    "dask, to_zarr of one graph",
    "dask, to_zarr level by level",
    "dask, blocks by hand",
)
ZARRNII = "ZarrNii, to_ome_zarr"
FASTER, NO_LARGER = at_least(3.5), at_most(1)
MIB = 2**20
FOLDER = Path(__file__).parent / "writing"


class Ways:
    """Runs each way in a process, and remembers how large it was at most."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self._folder = folder
        self._options = options
        self.peaks: dict[str, list[float]] = {}

    def out(self, name: str) -> Path:
        """Give where a way writes."""
        return self._folder / f"{name.replace(' ', '_').replace(',', '')}.zarr"

    def way(self, name: str, script: str, python: Path) -> Callable[[int], float]:
        """Give a way of a race."""

        def run(_turn: int) -> float:
            out = self.out(name)
            shutil.rmtree(out, ignore_errors=True)
            os.sync()  # what one way has left to the disk is not the next one's work
            asked = json.dumps({**self._options, "out": str(out)})
            done = subprocess.run(
                [python, FOLDER / script, name, asked],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "DASK_NUM_WORKERS": "2"},
            )
            if done.returncode:
                raise RuntimeError(done.stderr)
            said = json.loads(done.stdout.splitlines()[-1])
            if "absent" in said:
                raise ModuleNotFoundError(said["absent"])
            self.peaks.setdefault(name, []).append(said["peak"])
            return float(said["seconds"])

        return run


def run(run: Run) -> Iterator[Table]:
    """Write in all ways, by turns."""
    shape, margin = run.full((1024, 1024, 512), (128, 128, 64)), CHUNK // 2
    raw, folder = run.folder / "raw.zarr", run.folder / "written"
    voxels = image((CHUNK, *(n + 2 * margin for n in shape[1:])))
    slabs = -(-(shape[0] + 2 * margin) // CHUNK)
    write_zarr(
        raw, (slabs * CHUNK, *voxels.shape[1:]), np.tile(voxels, (slabs, 1, 1)), zarr_format=3
    )
    folder.mkdir()
    ways = Ways(
        folder, {"raw": str(raw), "margin": margin, "chunk": CHUNK, "levels": run.full(4, 2)}
    )
    here = Path(sys.executable)
    names = (OURS, ONE_GRAPH, BY_LEVELS, BY_HAND)
    calls = {name: ways.way(name, "here.py", here) for name in names}
    theirs = peer_python(ENVIRONMENTS["formats"])
    if theirs is None:
        run.absent[ZARRNII] = "its environment is not installed: run `make peers`"
    else:
        calls[ZARRNII] = ways.way(ZARRNII, "with_zarrnii.py", theirs)
    timings = race(calls, run.full(3, 1))
    compare(ways, calls, run.full(4, 2))
    peers = (ONE_GRAPH, BY_LEVELS, ZARRNII)
    wanted = dict.fromkeys(peers, FASTER)
    size = " x ".join(map(str, shape))
    yield Table(
        f"{size} voxels, four levels", beside("", timings, OURS, wanted, slower=[BY_HAND]), "s"
    )
    peaks = {name: float(np.median(peak)) for name, peak in ways.peaks.items()}
    least = min(peak for name, peak in peaks.items() if name in peers)
    what = "largest process"
    yield Table(
        "Memory",
        [
            Figure(
                OURS,
                f"{what}, of the smallest of dask's to_zarr and ZarrNii",
                peaks[OURS] / least,
                "times",
                NO_LARGER,
            ),
            *(Figure(name, what, peak / MIB, "MiB") for name, peak in peaks.items()),
        ],
    )


def level_of(group: Path, level: int) -> np.ndarray:
    """Read a level, whatever its path begins with."""
    (path,) = (
        entry for entry in group.iterdir() if entry.is_dir() and entry.name.endswith(str(level))
    )
    return np.squeeze(zarr.open_array(path, mode="r")[...])


def compare(ways: Ways, names: Iterable[str], levels: int) -> None:
    """See that all wrote the same."""
    for level in range(levels):
        ours = level_of(ways.out(OURS), level)
        for name in names:
            if name != OURS and (level == 0 or name != ZARRNII):
                theirs = level_of(ways.out(name), level)
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{name}, level {level}")
