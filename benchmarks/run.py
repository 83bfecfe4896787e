"""Measure what must not grow: ``python benchmarks/run.py`` (``--smoke`` only shows that everything runs).

Figures are ratios of medians taken in one run, interleaved, so that they mean something on any machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr

import dacapo_like

HUGE, SMALL, REGION = 100_000, 512, 64


def empty_store(folder: Path, edge: int) -> str:
    """Make a Zarr of ``edge``**3 voxels that holds no chunk."""
    path = folder / f"empty_{edge}.zarr"
    array = zarr.create_array(
        path, shape=(edge,) * 3, chunks=(64,) * 3, dtype="uint8", overwrite=True
    )
    array.attrs.update(
        {"voxel_size": [4, 4, 4], "offset": [0, 0, 0], "axes": ["z", "y", "x"], "units": ["nm"] * 3}
    )
    return str(path)


def written_store(folder: Path, edge: int, region: int) -> str:
    """Make a Zarr of ``edge``**3 voxels whose first ``2 * region``**3 hold data."""
    path = folder / f"written_{edge}.zarr"
    array = zarr.create_array(
        path, shape=(edge,) * 3, chunks=(64,) * 3, dtype="uint8", overwrite=True
    )
    array.attrs.update({"voxel_size": [4, 4, 4], "offset": [0, 0, 0]})
    corner = np.random.default_rng(0).integers(0, 255, (2 * region,) * 3, dtype="uint8")
    array[: 2 * region, : 2 * region, : 2 * region] = corner
    return str(path)


def five_operators(path: str, edge: int) -> dict[str, object]:
    """Describe a tree of five operators over a store."""
    raw = {"type": "zarr", "file_name": path}
    cropped = {"type": "crop", "source": raw, "roi": {"offset": [0, 0, 0], "shape": [4 * edge] * 3}}
    scaled = {"type": "intensities", "source": cropped, "min": 0, "max": 255}
    labels = {"type": "binarize", "source": cropped, "groupings": {"a": [1, 2], "any": []}}
    ones = {"type": "ones", "source": cropped}
    return {
        "type": "concat",
        "channels": ["raw", "labels", "ones"],
        "sources": {"raw": scaled, "labels": labels, "ones": ones},
    }


def interleaved(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Give the median seconds of each call, the calls taking turns."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def opening(folder: Path, repeats: int) -> None:
    """Time the opening of a tree of five operators over 10^15 voxels, and over 512^3."""
    trees = {
        edge: dacapo_like.load(five_operators(empty_store(folder, edge), edge))
        for edge in (SMALL, HUGE)
    }
    medians = interleaved({str(edge): tree.array for edge, tree in trees.items()}, repeats)
    small, huge = medians[str(SMALL)], medians[str(HUGE)]
    print(f"open {HUGE}^3: {huge * 1e3:.2f} ms; to {SMALL}^3: {huge / small:.2f}")


def reading(folder: Path, repeats: int) -> None:
    """Time reads of 64^3 through the same tree over volumes of different size, empty and written."""
    for kind, make in (
        ("empty", empty_store),
        ("written", lambda f, e: written_store(f, e, REGION)),
    ):
        arrays = {
            edge: dacapo_like.open_array(five_operators(make(folder, edge), edge))
            for edge in (SMALL, HUGE)
        }
        region = dacapo_like.Roi((4 * 13,) * 3, (4 * REGION,) * 3)
        medians = interleaved(
            {str(edge): lambda a=array, r=region: a[r] for edge, array in arrays.items()}, repeats
        )
        small, huge = medians[str(SMALL)], medians[str(HUGE)]
        print(
            f"read {REGION}^3, {kind}, of {HUGE}^3: {huge * 1e3:.2f} ms; to the same of {SMALL}^3: {huge / small:.2f}"
        )


def importing(repeats: int) -> None:
    """Time the import in a fresh interpreter, without the interpreter's own start."""
    code = (
        "import time; t = time.perf_counter(); import dacapo_like; print(time.perf_counter() - t)"
    )
    seconds = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(repeats)
    ]
    print(f"import dacapo_like: {statistics.median(seconds):.3f} s")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="few repeats: only show that everything runs"
    )
    smoke = parser.parse_args().smoke
    with tempfile.TemporaryDirectory() as folder:
        opening(Path(folder), 3 if smoke else 50)
        reading(Path(folder), 3 if smoke else 50)
    importing(1 if smoke else 9)


if __name__ == "__main__":
    main()
