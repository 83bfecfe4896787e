"""How long one source takes beside the library that decodes it.

The same cubes of one volume of 8-bit voxels in chunks of 64³, one after the other, through this package and through TensorStore (of
HDF5, h5py), in one process. Corners are aligned to chunks, or anywhere. Without a cache everything is decoded anew; with one, which
holds the whole volume, all chunks are there already, so that what is left is copying, and what each read costs besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import race
from benchmarks.reading.asking import check, warm_up
from benchmarks.reading.serving import Box
from benchmarks.results import Row, Table, at_most
from benchmarks.running import Run
from benchmarks.volumes import CHUNK, image, random_boxes, tiles, write_hdf5, write_zarr

TITLE = "One source"
WANTED = {"Zarr": (at_most(1.10), at_most(1.25)), "HDF5": (at_most(1.10), at_most(1.25))}
"""Of their time, without a cache and with one."""

OURS = "dacapo_like"


class Store(NamedTuple):
    """One file, what opens it for us, and who reads it beside."""

    name: str
    path: Path
    other: str
    document: dict[str, str]


def stores(folder: Path, edge: int, *, few: bool) -> Iterator[Store]:
    """Write the same volume in several ways."""
    voxels = image((edge,) * 3)
    kinds = {"v2": (2, None), "v3": (3, None), "v3, sharded": (3, (2 * CHUNK,) * 3)}
    for kind, (zarr_format, shards) in kinds.items():
        for codec in ("zstd",) if few else ("zstd", "lz4"):
            path = folder / f"{kind}_{codec}.zarr"
            write_zarr(
                path, voxels.shape, voxels, zarr_format=zarr_format, codec=codec, shards=shards
            )
            document = {"type": "zarr", "file_name": str(path)}
            yield Store(f"Zarr {kind}, {codec}", path, "TensorStore", document)
    path = write_hdf5(folder / "volume.h5", voxels)
    yield Store(
        "HDF5, gzip", path, "h5py", {"type": "hdf5", "file_name": str(path), "dataset": "raw"}
    )


def compared(
    run: Run, store: Store, cache: int, turns: Sequence[Sequence[Box]], case: str, volume: int
) -> Row:
    """Race the same boxes, others in each turn; with a cache, all was read before."""
    process = run.here(cache)
    readings = {
        OURS: process.open("ours", document=store.document),
        store.other: process.open(store.other, path=str(store.path)),
    }
    check(readings, turns[0])
    if cache:
        warm_up(readings.values(), tiles(volume, CHUNK))
    ways = {name: reading.way(turns.__getitem__) for name, reading in readings.items()}
    number = len(turns[0])
    timings = {name: t.each(number) for name, t in race(ways, len(turns)).items()}
    wanted = WANTED[store.name[:4]][cache > 0]
    return Row(case, timings[OURS], store.other, timings[store.other], wanted)


def run(run: Run) -> Iterator[Table]:
    """Compare all stores, with and without a cache."""
    volume = run.full(256, 128)
    sizes = run.full({64: (12, 12), 128: (4, 9)}, {32: (2, 1)})
    for store in stores(run.folder, volume, few=run.smoke):
        rows = []
        for cache in (0, 4 * volume**3):
            for edge, (number, repeats) in sizes.items():
                for where, step in (("aligned", CHUNK), ("anywhere", 1)):
                    turns = [
                        random_boxes(turn, number, edge, volume, step=min(step, volume - edge))
                        for turn in range(repeats)
                    ]
                    case = f"{edge}³, {where}, {'cached' if cache else 'not cached'}"
                    rows.append(compared(run, store, cache, turns, case, volume))
        yield Table(store.name, rows)
