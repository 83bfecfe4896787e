"""The volumes that are read: written anew for each run, the labels from a real segmentation where there is one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray
from scipy import spatial
from zarr.codecs import BloscCodec, ZstdCodec

from benchmarks.reading.serving import Box

CHUNK, VOXEL = 64, 4


def image(shape: Sequence[int]) -> NDArray[np.uint8]:
    """Draw smooth waves and some noise: it is compressed a little, like images of microscopes."""
    axes = np.meshgrid(*[np.arange(n, dtype="float32") for n in shape], indexing="ij", sparse=True)
    waves = sum(np.sin(axis / (7 + 4 * i)) for i, axis in enumerate(axes))
    noise = np.random.default_rng(0).integers(0, 16, tuple(shape), "uint8")
    return np.asarray(waves * 30 + 100).astype("uint8") + noise


def segmentation(edge: int, file: Path | None) -> NDArray[np.uint64]:
    """Give labels: those of an HDF5 file's dataset `labels`, repeated where there are not enough, else cells."""
    if file is None:
        return cells(edge)
    with h5py.File(file) as opened:
        labels = opened["labels"][:edge, :edge, :edge].astype("uint64")
    return np.tile(labels, [-(-edge // n) for n in labels.shape])[:edge, :edge, :edge].copy()


def cells(edge: int) -> NDArray[np.uint64]:
    """Draw Voronoi cells so large that a sixth of all 2x cells are mixed, as in a real segmentation of neurons."""
    rng = np.random.default_rng(0)
    drawn = min(edge, 128)  # what is larger repeats
    centres = rng.random((max((drawn // 24) ** 3, 2), 3)) * drawn
    places = np.stack(np.meshgrid(*[np.arange(drawn)] * 3, indexing="ij"), -1)
    nearest = spatial.cKDTree(centres).query(places.reshape(-1, 3), workers=-1)[1]
    ids = rng.integers(1, 2**63, len(centres), dtype="uint64")
    voxels = ids[nearest].reshape((drawn,) * 3)
    return np.tile(voxels, (-(-edge // drawn),) * 3)[:edge, :edge, :edge].copy()


def groups_of(labels: NDArray[Any], sizes: Sequence[int]) -> dict[str, list[int]]:
    """Make groups of ids, each of so many, that are there and belong to no other; where they run out, of ids that are not."""
    ids = np.random.default_rng(2).permutation(np.unique(labels[labels > 0]))
    absent = np.arange(int(ids.max()) + 1, int(ids.max()) + 1 + sum(sizes), dtype=ids.dtype)
    known = np.concatenate([ids, absent]).tolist()
    ends = np.cumsum(sizes).tolist()
    return {
        f"group {i}": known[end - size : end]
        for i, (end, size) in enumerate(zip(ends, sizes, strict=True))
    }


def compressor(name: str, zarr_format: int) -> Any:
    """Give a codec of zarr's: ``lz4`` or ``zstd``."""
    if zarr_format == 3:
        return BloscCodec(cname="lz4", shuffle="noshuffle") if name == "lz4" else ZstdCodec(level=3)
    import numcodecs

    return numcodecs.Blosc("lz4", shuffle=0) if name == "lz4" else numcodecs.Zstd(3)


def write_zarr(
    path: Path,
    shape: Sequence[int],
    voxels: NDArray[Any],
    *,
    zarr_format: int = 2,
    codec: str = "zstd",
    shards: Sequence[int] | None = None,
) -> Path:
    """Write an array of a shape, of which a corner holds voxels, with the attributes that either DaCapo knows."""
    array = zarr.create_array(
        path,
        shape=tuple(shape),
        chunks=(CHUNK,) * len(shape),
        shards=None if shards is None else tuple(shards),
        dtype=voxels.dtype,
        zarr_format=zarr_format,
        compressors=compressor(codec, zarr_format),
        fill_value=0,
    )
    place = {"resolution": [VOXEL] * len(shape), "offset": [0] * len(shape)}
    axes, newer = list("zyx"), {"voxel_size": place["resolution"], "axis_names": list("zyx")}
    array.attrs.update({**place, **newer, "axes": axes, "units": ["nm"] * len(shape)})
    array[tuple(slice(n) for n in voxels.shape)] = voxels
    return path


def write_hdf5(path: Path, voxels: NDArray[Any]) -> Path:
    """Write the dataset ``raw``."""
    with h5py.File(path, "w") as file:
        options = {"chunks": (CHUNK,) * voxels.ndim, "compression": "gzip", "compression_opts": 1}
        data = file.create_dataset("raw", data=voxels, **options)
        data.attrs.update({"resolution": [VOXEL] * voxels.ndim, "offset": [0] * voxels.ndim})
    return path


def tiles(inside: int, edge: int, *, margin: int = 0) -> list[Box]:
    """Cover what is inside of a cube, but for a margin at its faces, with cubes."""
    starts = range(margin, inside - margin, edge)
    return [
        Box(corner, tuple(min(edge, inside - margin - start) for start in corner))
        for corner in itertools.product(starts, repeat=3)
    ]


def random_boxes(
    seed: int, number: int, edge: int, inside: int, *, margin: int = 0, step: int = 1
) -> list[Box]:
    """Draw cubes inside of a larger one, at least a margin off its faces, with corners at multiples of a step."""
    rng = np.random.default_rng(seed)
    last = (inside - margin - edge) // step
    corners = rng.integers(-(-margin // step), last + 1, (number, 3)) * step
    return [Box(tuple(corner), (edge,) * 3) for corner in corners.tolist()]
