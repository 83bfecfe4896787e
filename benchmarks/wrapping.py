"""What each operator costs that is put on top of others.

Chains of 1 to 32 operators over an array in memory. First a box of 8³ voxels is read, so small that next to nothing is left but what
each node costs; then one of 128³. A chain of crops is one crop, a chain of linear intensities one multiplication and addition, channels
next to each other are a crop, too. Beside them are what people write instead: a graph of dask's, with one step per operator, and
numpy with one call per operator. Channels in another order are put together anew by each selection.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import dask.array as da
import numpy as np

import dacapo_like
from benchmarks.measuring import Timing, race, timed
from benchmarks.results import Figure, Row, Table, at_most
from benchmarks.running import Run
from dacapo_like import Array, Roi

TITLE = "Wrapping"
DEPTHS = (1, 2, 4, 8, 16, 32)
MOST_PER_NODE = at_most(5)
MOST_GROWTH = at_most(1.2)
EDGE = 192
CHANNELS = 3


def crops(array: Array, depth: int) -> Array:
    """Cut another voxel off at the start, along each axis in turn."""
    for i in range(depth):
        offset, shape = list(array.roi.offset), list(array.roi.shape)
        offset[i % 3] += 1
        shape[i % 3] -= 1
        array = array.crop(Roi(offset, shape))
    return array


def intensities(array: Array, depth: int) -> Array:
    for i in range(depth):
        array = array.intensities(min=i / 64, max=1 + i / 64)
    return array


def selections(array: Array, depth: int) -> Array:
    """Take channels that are next to each other."""
    for _ in range(depth):
        array = array.select_channels(list(range(CHANNELS)))
    return array


def turned(array: Array, depth: int) -> Array:
    """Turn the channels around, again and again."""
    for _ in range(depth):
        array = array.select_channels(list(range(CHANNELS))[::-1])
    return array


def mixed(array: Array, depth: int) -> Array:
    """Take turns with all of them."""
    for _, chain in zip(
        range(depth), itertools.cycle([crops, intensities, selections]), strict=False
    ):
        array = chain(array, 1)
    return array


CHAINS: dict[str, Callable[[Array, int], Array]] = {
    "crops": crops,
    "intensities": intensities,
    "selections of neighbours": selections,
    "selections in another order": turned,
    "all three": mixed,
}
FOLDED = ("crops", "intensities", "selections of neighbours")


def source(edge: int) -> Array:
    voxels = np.random.default_rng(0).random((CHANNELS, edge, edge, edge), np.float32)
    return dacapo_like.from_numpy(voxels, axes="czyx")


def small_reads(run: Run) -> Table:
    """Say what a node costs."""
    array, lines = source(run.full(64, 48)), []
    roi, times, turns = Roi((34,) * 3, (8,) * 3), run.full(100, 2), run.full(15, 1)
    for kind, chain in CHAINS.items():
        arrays = {depth: chain(array, depth) for depth in DEPTHS}
        ways = {str(d): timed(lambda a=a: a[roi], times) for d, a in arrays.items()}
        taken = {int(name): timing for name, timing in race(ways, turns).items()}
        first, last = DEPTHS[0], DEPTHS[-1]
        growth = taken[last].over(taken[first]).median
        apart = taken[last].spread.median - taken[first].spread.median
        own = max(apart, 0.0) / (last - first) * 1e6
        read = ", ".join(f"{timing.spread.median * 1e6:.0f}" for timing in taken.values())
        case = f"{kind}; µs per read: {read}"
        bound = MOST_GROWTH if kind in FOLDED else None
        lines += [
            Figure(case, "per node and read", own, "µs", MOST_PER_NODE),
            Figure(case, f"a read of {last} to a read of {first}", growth, "", bound),
        ]
    return Table(f"8³ voxels out of chains of {', '.join(map(str, DEPTHS))}", lines)


def unfolded(voxels: np.ndarray, depth: int) -> np.ndarray:
    """Compute a chain of intensities step by step."""
    for i in range(depth):
        voxels = (voxels - np.float32(i / 64)) / np.float32(1)
    return voxels


def large_reads(run: Run) -> Table:
    """Compare with dask and numpy."""
    edge, turns = run.full(128, 40), run.full(9, 1)
    array = source(run.full(EDGE, 64)).select_channels(0)
    voxels, box = array.read(), (slice(32 - 16, 32 - 16 + edge),) * 3
    roi = Roi((16,) * 3, (edge,) * 3)
    depths = (DEPTHS[0], DEPTHS[-1])
    graphs = {d: da.from_array(voxels, chunks=64) for d in depths}
    for depth in depths:
        for i in range(depth):
            graphs[depth] = graphs[depth].map_blocks(
                lambda block, i=i: (block - np.float32(i / 64)) / np.float32(1)
            )
    arrays = {d: intensities(array, d) for d in depths}
    ways = {}
    for depth in depths:
        ways |= {
            f"dacapo_like, {depth}": timed(lambda a=arrays[depth]: a[roi]),
            f"numpy, {depth}": timed(lambda d=depth: unfolded(voxels[box], d)),
            f"dask, {depth}": timed(lambda g=graphs[depth]: g[box].compute()),
        }
    np.testing.assert_allclose(arrays[32][roi], graphs[32][box].compute(), atol=1e-4)
    taken = race(ways, turns)
    return Table(f"{edge}³ voxels out of chains of intensities", list(rows(taken, depths)))


def rows(taken: dict[str, Timing], depths: tuple[int, int]) -> Iterator[Row]:
    """Put each chain beside those of others, and the long one beside the short one."""
    short, long = depths
    for depth in depths:
        for other in ("numpy", "dask"):
            name = f"{other}, {depth}"
            yield Row(f"{depth}", taken[f"dacapo_like, {depth}"], name, taken[name], faster=True)
    ours = [taken[f"dacapo_like, {depth}"] for depth in (long, short)]
    yield Row(f"{long}", ours[0], f"dacapo_like, {short}", ours[1], MOST_GROWTH)


def run(run: Run) -> Iterator[Table]:
    """Read little, then more."""
    yield small_reads(run)
    yield large_reads(run)
