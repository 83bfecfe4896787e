"""Readers of a composed tree: an image, scaled and cropped, masks of groups of labels, and where these are known, as channels.

All take the paths of the image and of the labels, the groups, and how many voxels are cropped off each face of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import zarr
from serving import Box, Maker, Reader, Voxels, in_flight, one_by_one
from stores import opened, region

import dacapo_like
from dacapo_like import Array
from dacapo_like.core import Block
from dacapo_like.geometry import Box as ArrayBox

Make = Callable[[Voxels, Voxels], Voxels]
"""Makes the channels of a block of the image and one of the labels."""


def document(
    raw: str, labels: str, groups: Mapping[str, list[int]], margin: int, *, masks: bool = True
) -> dict[str, Any]:
    """Describe the tree."""
    array = dacapo_like.open_array({"type": "zarr", "file_name": raw})
    inner = array.roi.grow(
        [-margin * n for n in array.voxel_size], [-margin * n for n in array.voxel_size]
    )
    roi = {"offset": list(inner.offset), "shape": list(inner.shape)}
    cropped = {"type": "crop", "source": {"type": "zarr", "file_name": raw}, "roi": roi}
    stored = {"type": "zarr", "file_name": labels, "kind": "labels"}
    grouped = {"source": stored, "groupings": groups}
    known = {"known": {"type": "missing_annotations_mask", **grouped}} if masks else {}
    sources = {
        "raw": {"type": "intensities", "source": cropped, "min": 0, "max": 255},
        "groups": {"type": "binarize", **grouped},
        **known,
    }
    return {"type": "concat", "channels": list(sources), "sources": sources}


def ours(*, many: bool = False, **tree: Any) -> Reader:
    array = dacapo_like.open_array(document(**tree))
    if many:
        return lambda boxes: array.read_each(region(array, box) for box in boxes)
    return one_by_one(lambda box: array[region(array, box)])


def kernels(array: Array, shape: Sequence[int]) -> Make:
    """Compute with the operators of our tree, nothing else of it: into channels of one block."""

    def make(raw: Voxels, labels: Voxels) -> Voxels:
        out, first = np.empty((array.shape[0], *shape), np.float32), 0
        for node, data in zip(array.inputs, (raw, labels, labels), strict=True):
            last = first + (node.num_channels or 1)
            target = out[first:last] if "c" in node.axes else out[first]
            below = node.inputs[0].spec
            block = Block(data, ArrayBox((0,) * data.ndim, data.shape), below)
            box = ArrayBox((0,) * target.ndim, target.shape)
            fits = node.operation.widens or node.dtype == np.float32
            made = node.operation.compute(box, block, out=target if fits else None)
            if made is not target:
                target[...] = made
            first = last
        return out

    return make


def with_kernels(**tree: Any) -> Callable[[Box], Make]:
    array = dacapo_like.open_array(document(**tree))
    return lambda box: kernels(array, box.shape)


def with_numpy(groups: Mapping[str, list[int]], **_: Any) -> Callable[[Box], Make]:
    def make(raw: Voxels, labels: Voxels) -> Voxels:
        out = np.empty((1 + 2 * len(groups), *raw.shape), np.float32)
        out[0] = raw.astype(np.float32) / np.float32(255)
        for channel, ids in enumerate(groups.values(), start=1):
            out[channel] = np.isin(labels, np.array(ids, labels.dtype))
        out[1 + len(groups) :] = labels > 0
        return out

    return lambda _: make


def copied(groups: Mapping[str, list[int]], **_: Any) -> Callable[[Box], Make]:
    """Copy an array of the size of the result into new memory, instead of computing it."""
    there: dict[tuple[int, ...], Voxels] = {}

    def of(box: Box) -> Make:
        if box.shape not in there:
            there[box.shape] = np.ones((1 + 2 * len(groups), *box.shape), np.float32)
        return lambda *_: np.array(there[box.shape])

    return of


def over_tensorstore(
    makes: Callable[..., Callable[[Box], Make]],
    raw: str,
    labels: str,
    *,
    flying: int = 1,
    **more: Any,
) -> Reader:
    """Read image and labels at the same time, of several boxes if asked to, and make channels of them."""
    stores, make = [opened(raw), opened(labels)], makes(raw=raw, labels=labels, **more)

    def start(box: Box) -> _Begun:
        return _Begun([store[box.slices].read() for store in stores], make(box))

    return in_flight(start, flying)


class _Begun:
    """Reads that are under way, and what is to be made of their voxels."""

    def __init__(self, reads: Sequence[Any], make: Make) -> None:
        self._reads, self._make = reads, make

    def result(self) -> Voxels:
        raw, labels = (np.asarray(read.result()) for read in self._reads)
        return self._make(raw, labels)


def over_zarr(raw: str, labels: str, **more: Any) -> Reader:
    stores, make = [zarr.open_array(path, mode="r") for path in (raw, labels)], with_numpy(**more)

    def read(box: Box) -> Voxels:
        raw_block, label_block = (np.asarray(store[box.slices]) for store in stores)
        return make(box)(raw_block, label_block)

    return one_by_one(read)


def over_dask(raw: str, labels: str, groups: Mapping[str, list[int]], margin: int) -> Reader:
    """Build a graph of one step per operator; the result of a box is computed by dask's threads."""
    stored = da.from_zarr(labels)
    inner = (slice(margin, -margin),) * stored.ndim
    cropped, ids = da.from_zarr(raw)[inner], stored[inner]
    scaled = cropped.map_blocks(
        lambda block: block.astype(np.float32) / np.float32(255), dtype="f4"
    )
    masks = [ids.map_blocks(np.isin, np.array(g, ids.dtype), dtype=bool) for g in groups.values()]
    known = [ids.map_blocks(lambda block: block > 0, dtype=bool) for _ in groups]
    channels = [array.astype(np.float32) for array in (scaled, *masks, *known)]
    tree = da.stack(channels)

    def read(box: Box) -> Voxels:
        inside = Box(tuple(o - margin for o in box.offset), box.shape)
        return np.asarray(tree[(slice(None), *inside.slices)].compute())

    return one_by_one(read)


TREES: dict[str, Maker] = {
    "our tree": ours,
    "decode floor": lambda **more: over_tensorstore(copied, **more),
    "TensorStore, then our kernels": lambda **more: over_tensorstore(with_kernels, **more),
    "TensorStore, then numpy": lambda **more: over_tensorstore(with_numpy, **more),
    "zarr-python, then numpy": over_zarr,
    "dask, a step per operator": over_dask,
}
