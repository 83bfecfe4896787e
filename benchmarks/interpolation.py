"""How long it takes to make voxels of half the size.

Of an array of float32 in memory, beside copying the result, and beside scipy. scipy's linear interpolation gives the same voxels; its
cubic one is a spline through all voxels, as our `spline` is, and not Keys' kernel, which is our order 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import dacapo_like
from benchmarks.measuring import race, timed
from benchmarks.results import Row, Table, at_least, at_most, beside
from benchmarks.running import Run
from dacapo_like.kernels.interpolate import Order, interpolate

TITLE = "Interpolation"
OURS, SCIPY = "dacapo_like", "scipy.ndimage.zoom"
MOST_COPIES = at_most(1.5)
LINEAR, CUBIC = at_least(40), at_least(50)


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


def zoomed(data: NDArray[Any], order: int, mode: str = "nearest") -> NDArray[Any]:
    """Do the same with scipy."""
    return ndimage.zoom(data, 2, order=order, mode=mode, grid_mode=True)


def linear(edge: int, turns: int) -> Table:
    """Time order 1: into memory that is there, and into new memory."""
    data = np.random.default_rng(0).standard_normal((edge // 2,) * 3, np.float32)
    np.testing.assert_allclose(doubled(data, 1), zoomed(data, 1), atol=1e-5)
    out, there = np.empty((edge,) * 3, np.float32), np.zeros((edge,) * 3, np.float32)
    array = dacapo_like.from_numpy(data).upsample((2, 2, 2))
    taken = race(
        {
            OURS: timed(lambda: doubled(data, 1, out)),
            "copying the result": timed(lambda: np.copyto(out, there)),
            "new": timed(lambda: doubled(data, 1)),
            "copying the result into new memory": timed(lambda: np.array(there)),
            "read": timed(array.read),
            SCIPY: timed(lambda: zoomed(data, 1)),
        },
        turns,
    )
    cases = [
        ("into memory that is there", OURS, "copying the result", MOST_COPIES),
        ("into new memory", "new", "copying the result into new memory", MOST_COPIES),
        ("read of an array", "read", "copying the result into new memory", None),
        ("into memory that is there", OURS, SCIPY, LINEAR),
    ]
    lines = [Row(case, taken[a], b, taken[b], wanted) for case, a, b, wanted in cases]
    return Table(f"Linear, to {edge}³", lines)


def cubic(edge: int, turns: int) -> Table:
    """Time order 3, and the spline, which is what scipy does."""
    data = np.random.default_rng(0).standard_normal((edge // 2,) * 3, np.float32)
    mirrored = zoomed(data.astype(float), 3, "mirror")
    np.testing.assert_allclose(doubled(data, "spline"), mirrored, atol=1e-4)
    ways = {
        "order 3": timed(lambda: doubled(data, 3)),
        "spline": timed(lambda: doubled(data, "spline")),
        SCIPY: timed(lambda: zoomed(data, 3)),
    }
    taken = race(ways, turns)
    lines = [
        *beside("order 3", {n: taken[n] for n in ("order 3", SCIPY)}, "order 3", {SCIPY: CUBIC}),
        Row("spline", taken["spline"], SCIPY, taken[SCIPY], faster=True),
    ]
    return Table(f"Cubic, to {edge}³", lines)


def run(run: Run) -> Iterator[Table]:
    """Linear, then cubic."""
    yield linear(run.full(256, 32), run.full(21, 1))
    yield cubic(run.full(256, 16), run.full(9, 1))
