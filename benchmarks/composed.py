"""How long a composed tree takes beside the decoding of its chunks, and beside what else can compose it.

The tree has nine channels of float32: an image of 8 bits, cropped and scaled; masks of four groups of 1 to 125 labels of 64 bits; and
for each of these groups where its annotations are known. Image and labels are zstd-compressed Zarr (version 2, which all can read) in
chunks of 64³. The *decode floor* is reading the same boxes of both with TensorStore, both at the same time, and copying an array of
the size of the result into new memory, in the place of computing it. DaCapo's own concat takes sources of equal axes alone, that of
its last release, 0.3.5, none at all: its parts are read one by one and put together by numpy. Nor does that release read where
annotations are known; what it reads right has a table of its own. dask's graph is made once; each box of it is computed by its
threads. What has a cache has room for all chunks where the line says *cached*; zarr-python, dask and DaCapo have none.

The time of a read must not depend on how large a volume is. The last table has the same tree over volumes that are empty but for a
corner of 128³, in which the boxes lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import zarr

from benchmarks.measuring import Timing, race
from benchmarks.reading.asking import Reading, check, warm_up
from benchmarks.results import Bound, Figure, Row, Table, at_least, at_most, beside
from benchmarks.running import Run
from benchmarks.volumes import (
    CHUNK,
    groups_of,
    image,
    random_boxes,
    segmentation,
    tiles,
    write_zarr,
)

TITLE = "A composed tree"
OURS = "our tree"
MARGIN = 2
GROUPS = (1, 5, 25, 125)
FLOOR, DACAPO, DASK, ZARR = (
    "decode floor",
    "DaCapo 0.3.0, its parts",
    "dask, a step per operator",
    "zarr-python, then numpy",
)
NUMPY = "TensorStore, then numpy"
WITH_CACHE = (FLOOR, "TensorStore, then our kernels", NUMPY)
WANTED: dict[tuple[int, bool], dict[str, Bound]] = {
    (64, False): {FLOOR: at_most(1.15)},
    (128, False): {FLOOR: at_most(1.10)},
    (64, True): {FLOOR: at_most(1.35)},
    (128, True): {FLOOR: at_most(1.35)},
}
LAST_DACAPO = "DaCapo 0.3.5, its parts"
FASTER = {ZARR: at_least(3), DASK: at_least(10), DACAPO: at_least(10)}
EDGES = (128, 512, 4096, 100_000)
MOST_GROWTH = at_most(1.10)


def tree(run: Run, edge: int, written: int | None = None) -> dict[str, Any]:
    """Write the volumes, once, and say what the tree is made of; a corner may be all that is written."""
    folder = run.folder / f"composed_{edge}.zarr"
    shape, corner = (edge,) * 3, written or edge
    labels = segmentation(corner, run.labels)
    if not folder.exists():
        zarr.create_group(folder, zarr_format=2)
        write_zarr(folder / "raw", shape, image((corner,) * 3))
        write_zarr(folder / "labels", shape, labels)
    groups = groups_of(labels[: min(corner, 128)], GROUPS)
    paths = {name: str(folder / name) for name in ("raw", "labels")}
    return {**paths, "groups": groups, "margin": MARGIN}


def readings(run: Run, described: Mapping[str, Any], cache: int) -> dict[str, Reading]:
    """Open the tree in all ways that have a cache, or in those that have none, too."""
    names = [OURS, *WITH_CACHE, *(() if cache else (ZARR, DASK))]
    found = {name: run.here(cache).open(name, **described) for name in names}
    if not cache:
        dacapo = run.read_by("dacapo_ml", DACAPO, **described)
        found |= {DACAPO: dacapo} if dacapo is not None else {}
    return found


def raced(
    opened: Mapping[str, Reading],
    size: int,
    volume: int,
    number: int,
    repeats: int,
    *,
    cached: bool = False,
) -> dict[str, Timing]:
    """Read boxes anywhere inside, others in each turn; give the time of one. With a cache, all was read before."""
    turns = [random_boxes(turn, number, size, volume, margin=MARGIN) for turn in range(repeats)]
    check(opened, turns[0][:2], but=FLOOR)
    ways = {name: reading.way(turns.__getitem__) for name, reading in opened.items()}
    if cached:
        warm_up(opened.values(), tiles(volume, CHUNK, margin=MARGIN))
    return {name: timing.each(number) for name, timing in race(ways, repeats).items()}


def sizes(run: Run) -> dict[int, tuple[int, int]]:
    """Give the edges of boxes, with how many are read in a turn, and in how many turns."""
    return run.full({64: (6, 21), 128: (2, 15)}, {32: (1, 1)})


def run(run: Run) -> Iterator[Table]:
    """Compare all ways, then volumes of different size."""
    volume = run.full(320, 128)
    described = tree(run, volume)
    for cache in (0, 12 * volume**3):
        opened, rows, kind = readings(run, described, cache), list[Row](), "cached"
        for size, (number, repeats) in sizes(run).items():
            timings = raced(opened, size, volume, number, repeats, cached=cache > 0)
            wanted = WANTED.get((size, cache > 0), {}) | FASTER
            rows += beside(f"{size}³", timings, OURS, wanted, slower=[NUMPY])
        yield Table(f"Boxes anywhere in {volume}³, {kind if cache else 'not cached'}", rows)
        if not cache:
            yield per_voxel(rows)
            yield fewer_channels(run, described, volume)
    yield flat(run)


def fewer_channels(run: Run, described: Mapping[str, Any], volume: int) -> Table:
    """Compare with what DaCapo's last release reads: the image, and the masks of the groups."""
    opened = {OURS: run.here(0).open(OURS, masks=False, **described)}
    for script, name, more in (
        ("dacapo_ml", DACAPO, {"masks": False}),
        ("formats", LAST_DACAPO, {}),
    ):
        reading = run.read_by(script, name, **described, **more)
        opened |= {name: reading} if reading is not None else {}
    size, (_, repeats) = next(iter(sizes(run).items()))
    timings = raced(opened, size, volume, 1, min(repeats, 9))
    wanted = {DACAPO: at_least(10), LAST_DACAPO: at_least(10)}
    return Table("Image and groups alone, not cached", beside(f"{size}³", timings, OURS, wanted))


def per_voxel(rows: list[Row]) -> Table:
    """Say what a voxel of the result takes in reads of different size."""
    each = {row.case: row.ours.spread.median / int(row.case[:-1]) ** 3 * 1e9 for row in rows}
    lines = [Figure(f"boxes of {case}", "time per voxel", ns, "ns") for case, ns in each.items()]
    return Table("What a voxel takes", lines)


def flat(run: Run) -> Table:
    """Read the same box of volumes of different size."""
    edges = run.full(EDGES, EDGES[::3])
    process = run.here(0)
    opened = {f"{e}³": process.open(OURS, **tree(run, e, 128)) for e in edges}
    timings = raced(opened, run.full(64, 32), 128, run.full(4, 1), run.full(41, 1))
    smallest = f"{edges[0]}³"
    rows = [
        Row(name, timing, f"in {smallest}", timings[smallest], MOST_GROWTH)
        for name, timing in timings.items()
        if name != smallest
    ]
    return Table("The same boxes of larger volumes", rows)
