"""Time 2x finer voxels beside copying them and scipy: ``python benchmarks/interpolation.py`` (``--smoke`` only shows that everything runs).

All do the same work in one process, taking turns; shown is the least time of each, and how many times ours it is. How far scipy's
voxels are from ours is said beside, where both are the same kernel: its cubic is a spline through all voxels, ours Keys' kernel.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import dacapo_like
from dacapo_like.kernels.interpolate import Order, interpolate

EDGE = 256
MOST_COPIES = 1.5  # linear, as a multiple of copying the result
LEAST = {1: 40, 3: 50}  # times as fast as scipy.ndimage.zoom, by order

Calls = dict[str, Callable[[], Any]]


def doubled(data: NDArray[Any], order: Order, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Halve the voxels of a volume along all axes."""
    return interpolate(
        data,
        ratio=[Fraction(1, 2)] * 3,
        start=[0] * 3,
        data_start=[0] * 3,
        bounds=[(0, n) for n in data.shape],
        shape=[2 * n for n in data.shape],
        order=order,
        out=out,
    )


def zoomed(data: NDArray[Any], order: int) -> NDArray[Any]:
    """Do the same with scipy."""
    return ndimage.zoom(data, 2, order=order, mode="nearest", grid_mode=True)


def least_times(calls: Calls, repeats: int, *, slow: str) -> dict[str, float]:
    """Give the least seconds of each call, the calls taking turns; one of them is called less often."""
    for call in calls.values():
        call()
    least = dict.fromkeys(calls, float("inf"))
    for turn in range(repeats):
        for name, call in calls.items():
            if name == slow and turn % 8:
                continue
            start = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def compare(title: str, calls: Calls, repeats: int) -> dict[str, float]:
    """Print the times of several ways; the first is ours. Give them as multiples of it."""
    seconds = least_times(calls, repeats, slow="scipy.ndimage.zoom")
    ours = next(iter(seconds.values()))
    print(title)
    for name, value in seconds.items():
        print(f"  {name:<28}{value * 1e3:9.2f} ms {value / ours:8.2f}")
    return {name: value / ours for name, value in seconds.items()}


def linear(edge: int, repeats: int) -> None:
    """Time order 1: into memory that is there, and into new memory."""
    data = np.random.default_rng(0).standard_normal((edge // 2,) * 3, np.float32)
    out, there = np.empty((edge,) * 3, np.float32), np.zeros((edge,) * 3, np.float32)
    array = dacapo_like.from_numpy(data).upsample((2, 2, 2))
    apart = np.abs(doubled(data, 1) - zoomed(data, 1)).max()
    times = compare(
        f"linear to {edge}^3 float32; scipy's voxels are {apart:.0e} apart",
        {
            "ours": lambda: doubled(data, 1, out),
            "copying the result": lambda: np.copyto(out, there),
            "ours, new memory": lambda: doubled(data, 1),
            "copying, new memory": lambda: np.array(there),
            "ours, as an array's read": array.read,
            "scipy.ndimage.zoom": lambda: zoomed(data, 1),
        },
        repeats,
    )
    copies = 1 / times["copying the result"]
    new = times["ours, new memory"] / times["copying, new memory"]
    print(
        f"  {copies:.2f} of a copy, {new:.2f} where memory is new (wanted: at most {MOST_COPIES})"
    )
    print(f"  {times['scipy.ndimage.zoom']:.0f} times as fast as scipy (wanted: {LEAST[1]})")


def cubic(edge: int, repeats: int) -> None:
    """Time order 3, and the spline, which is what scipy does."""
    data = np.random.default_rng(0).standard_normal((edge // 2,) * 3, np.float32)
    apart = np.abs(doubled(data, "spline") - ndimage_spline(data)).max()
    times = compare(
        f"cubic to {edge}^3 float32; scipy's voxels are {apart:.0e} from our spline's",
        {
            "ours": lambda: doubled(data, 3),
            "our spline": lambda: doubled(data, "spline"),
            "scipy.ndimage.zoom": lambda: zoomed(data, 3),
        },
        repeats,
    )
    print(f"  {times['scipy.ndimage.zoom']:.0f} times as fast as scipy (wanted: {LEAST[3]})")


def ndimage_spline(data: NDArray[Any]) -> NDArray[Any]:
    """Give scipy's spline with the mirror image beyond the array, as ours has it."""
    return ndimage.zoom(data.astype(float), 2, order=3, mode="mirror", grid_mode=True)


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="small and few: only show that everything runs"
    )
    smoke = parser.parse_args().smoke
    linear(32 if smoke else EDGE, 2 if smoke else 40)
    for edge in (16,) if smoke else (EDGE // 2, EDGE):
        cubic(edge, 2 if smoke else 16)


if __name__ == "__main__":
    main()
