"""Writes with this package, and with dask and zarr-python, which are in its environment; none is imported for the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from telling import OFFSET, SCALE, Prepare, tell

BLOCK = 128


def ours(
    raw: str, out: str, margin: int, chunk: int, levels: int, threads: int = 2
) -> Callable[[], object]:
    import dacapo_like
    from dacapo_like.materialize import materialize

    array = dacapo_like.open_array({"type": "zarr", "file_name": raw})
    inner = array.roi.grow(
        [-margin * n for n in array.voxel_size], [-margin * n for n in array.voxel_size]
    )
    tree = array.crop(inner).intensities(min=OFFSET, max=OFFSET + SCALE)
    tree = tree.astype("uint8", round="nearest-even", clip=True)
    return lambda: materialize(tree, out, chunks=(chunk,) * 3, levels=levels, threads=threads)


def graph(raw: str, margin: int, chunk: int) -> Any:
    """Compose it as people do: one operation of dask for each."""
    import dask.array as da

    inner = da.from_zarr(raw)[(slice(margin, -margin),) * 3]
    stretched = da.rint((inner.astype("float32") - np.float32(OFFSET)) / np.float32(SCALE))
    return da.clip(stretched, 0, 255).astype("uint8").rechunk((chunk,) * 3)


def to_zarr(raw: str, out: str, margin: int, chunk: int, levels: int) -> Callable[[], object]:
    """Write all levels of one graph."""
    import dask
    import dask.array as da

    def work() -> None:
        level = graph(raw, margin, chunk)
        stored = []
        for i in range(levels):
            if i:
                mean = da.coarsen(np.mean, level, dict.fromkeys(range(3), 2), trim_excess=True)
                level = da.rint(mean).astype("uint8").rechunk((chunk,) * 3)
            stored.append(level.to_zarr(out, component=str(i), compute=False))
        dask.compute(*stored)

    return work


def to_zarr_by_levels(
    raw: str, out: str, margin: int, chunk: int, levels: int
) -> Callable[[], object]:
    """Write one level after the other, each read from the one before: less memory, and the way of most tools."""
    import dask.array as da

    def work() -> None:
        graph(raw, margin, chunk).to_zarr(out, component="0")
        for i in range(1, levels):
            finer = da.from_zarr(out, component=str(i - 1))
            mean = da.coarsen(np.mean, finer, dict.fromkeys(range(3), 2), trim_excess=True)
            da.rint(mean).astype("uint8").rechunk((chunk,) * 3).to_zarr(out, component=str(i))

    return work


def by_blocks(raw: str, out: str, margin: int, chunk: int, levels: int) -> Callable[[], object]:
    """Write by hand: one task of dask for each block, that makes its part of all levels with numpy and zarr-python."""
    import dask
    import zarr

    source = zarr.open_array(raw, mode="r")
    shape = tuple(n - 2 * margin for n in source.shape)
    size = max(BLOCK, chunk << (levels - 1)) if levels > 1 else BLOCK

    def do(offset: tuple[int, ...], arrays: list[Any]) -> None:
        place = tuple(slice(o, min(o + size, n)) for o, n in zip(offset, shape, strict=True))
        there = tuple(slice(s.start + margin, s.stop + margin) for s in place)
        data = (source[there].astype("float32") - np.float32(OFFSET)) / np.float32(SCALE)
        level = np.clip(np.rint(data), 0, 255).astype("uint8")
        for i, array in enumerate(arrays):
            if i:
                cut = level[tuple(slice(n // 2 * 2) for n in level.shape)]
                z, y, x = (n // 2 for n in cut.shape)
                cells = cut.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5), dtype="float32")
                level = np.rint(cells).astype("uint8")
            first = [o >> i for o in offset]
            array[tuple(slice(a, a + n) for a, n in zip(first, level.shape, strict=True))] = level

    def work() -> None:
        arrays = [
            zarr.create_array(
                f"{out}/{i}", shape=tuple(n >> i for n in shape), dtype="uint8", chunks=(chunk,) * 3
            )
            for i in range(levels)
        ]
        offsets = itertools.product(*(range(0, n, size) for n in shape))
        dask.compute(*(dask.delayed(do, pure=False)(offset, arrays) for offset in offsets))

    return work


WAYS: dict[str, Prepare] = {
    "dacapo_like": ours,
    "dask, to_zarr of one graph": to_zarr,
    "dask, to_zarr level by level": to_zarr_by_levels,
    "dask, blocks by hand": by_blocks,
}

if __name__ == "__main__":
    tell(WAYS)
