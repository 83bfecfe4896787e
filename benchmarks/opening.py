"""How long it takes to import the package and to open a tree.

Opening reads the headers of the sources, and nothing that depends on how large they are. The tree has five operators over one Zarr
that holds no chunk. What a node costs is the time of opening 32 operators over that Zarr, without the time of opening the Zarr itself.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import dacapo_like
from benchmarks.measuring import race, timed
from benchmarks.results import Figure, Row, Table, at_most
from benchmarks.running import Run
from benchmarks.volumes import VOXEL, write_zarr

TITLE = "Importing and opening"
SMALL, HUGE, DEPTH = 512, 100_000, 32
MOST_PER_NODE, MOST_IMPORT, MOST_GROWTH = at_most(100), at_most(0.3), at_most(1.1)


def stored(folder: Path, edge: int) -> dict[str, Any]:
    """Write a Zarr without chunks."""
    path = folder / f"empty_{edge}.zarr"
    if not path.exists():
        write_zarr(path, (edge,) * 3, np.zeros((0, 0, 0), "uint8"))
    return {"type": "zarr", "file_name": str(path)}


def five_operators(raw: dict[str, Any], edge: int) -> dict[str, Any]:
    """Describe a tree of five operators."""
    cropped = {
        "type": "crop",
        "source": raw,
        "roi": {"offset": [0] * 3, "shape": [VOXEL * edge] * 3},
    }
    sources = {
        "raw": {"type": "intensities", "source": cropped, "min": 0, "max": 255},
        "labels": {"type": "binarize", "source": cropped, "groupings": {"a": [1, 2], "any": []}},
        "ones": {"type": "ones", "source": cropped},
    }
    return {"type": "concat", "channels": list(sources), "sources": sources}


def chain(raw: dict[str, Any]) -> dict[str, Any]:
    """Describe a chain of operators, in turns a crop and intensities."""
    tree = raw
    for i in range(DEPTH // 2):
        roi = {"offset": [VOXEL * i] * 3, "shape": [VOXEL] * 3}
        tree = {"type": "crop", "source": tree, "roi": roi | {"shape": [VOXEL * 64] * 3}}
        tree = {"type": "intensities", "source": tree, "min": 0, "max": 2}
    return tree


def opening(run: Run) -> Iterator[Table]:
    """Open trees over volumes of different size, then a long one."""
    trees = {
        edge: dacapo_like.load(five_operators(stored(run.folder, edge), edge))
        for edge in (SMALL, HUGE)
    }
    raw = stored(run.folder, SMALL)
    source, long = dacapo_like.load(raw), dacapo_like.load(chain(raw))
    calls = {**{f"{edge}³": tree.array for edge, tree in trees.items()}, "source": source.array}
    ways = {name: timed(call) for name, call in {**calls, "chain": long.array}.items()}
    taken = race(ways, run.full(60, 3))
    small, huge = f"{SMALL}³", f"{HUGE}³"
    row = Row(f"a tree over {huge}", taken[huge], f"over {small}", taken[small], MOST_GROWTH)
    yield Table("Opening", [row])
    apart = taken["chain"].spread.median - taken["source"].spread.median
    yield Table(
        "Opening, by node",
        [
            Figure("one Zarr", "time", taken["source"].spread.median * 1e6, "µs"),
            Figure(
                f"{DEPTH} operators on it", "per node", apart / DEPTH * 1e6, "µs", MOST_PER_NODE
            ),
        ],
    )


def importing(folder: Path, repeats: int) -> Table:
    """Time the import in a fresh interpreter, without the interpreter's own start, of modules that are compiled already."""
    code = (
        "import time; t = time.perf_counter(); import dacapo_like; print(time.perf_counter() - t)"
    )
    command = [sys.executable, "-c", code]
    here = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    here["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    seconds = [
        float(subprocess.run(command, capture_output=True, text=True, check=True, env=here).stdout)
        for _ in range(repeats + 1)
    ]
    taken = statistics.median(seconds[1:])
    return Table("Importing", [Figure("import dacapo_like", "time", taken, "s", MOST_IMPORT)])


def run(run: Run) -> Iterator[Table]:
    """Open, then import."""
    yield from opening(run)
    yield importing(run.folder, run.full(9, 1))
