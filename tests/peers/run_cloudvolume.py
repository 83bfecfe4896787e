"""Let CloudVolume write volumes, one per encoding: `run_cloudvolume.py FOLDER`.

Run by the interpreter of an environment of its own (requirements-formats.txt). Leaves in the folder the volumes, beside each
its voxels as an ``.npy`` file with axes x, y, z, channel, and ``answers.json``.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from absent import do_without

# Networks, processes, meshes and skeletons.
do_without("boto3", "botocore", "gevent", "google", "multiprocess", "networkx", "osteoid")
do_without("pathos", "requests", "simdjson", "urllib3", "zstandard")

from cloudvolume import Bbox, CloudVolume, __version__  # noqa: E402  # behind the above

SIZE, OFFSET, RESOLUTION, CHUNK = (20, 18, 10), (10, -20, 30), (4, 5.5, 40), (8, 8, 4)
SHARDED_SIZE = (32, 32, 16)
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "hash": "identity",
    "minishard_bits": 2,
    "shard_bits": 3,
    "minishard_index_encoding": "gzip",
}
IMAGES = [
    ("raw", "uint8", 1),
    ("raw", "uint16", 1),
    ("raw", "float32", 3),
    ("png", "uint8", 1),
    ("jpeg", "uint8", 1),
]
SEGMENTATIONS = [
    ("raw", "uint64"),
    ("compressed_segmentation", "uint32"),
    ("compressed_segmentation", "uint64"),
]


def image(shape: tuple[int, ...], dtype: str, channels: int, *, smooth: bool) -> np.ndarray:
    """Draw an image; a smooth one is a ramp, of which JPEG changes little."""
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, 250, (*shape, channels))
    ramp = np.arange(shape[0])[:, None, None, None] * 4 + np.zeros((*shape, channels), int)
    return (ramp if smooth else drawn).astype(dtype)


def labels(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Draw blocks of 2 x 2 x 2 voxels of the same label, the largest that there is among them."""
    small = tuple(-(-n // 2) for n in shape)
    drawn = np.random.default_rng(4).choice(
        np.array([0, 1, 7, 2**31, np.iinfo(dtype).max], dtype), small
    )
    whole = drawn.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return whole[tuple(slice(n) for n in shape)][..., None]


def make(folder: Path, voxels: np.ndarray, kind: str, encoding: str, **more: Any) -> CloudVolume:
    """Make an empty volume, and keep beside it what will be in it."""
    np.save(folder.with_suffix(".npy"), voxels)
    info = CloudVolume.create_new_info(
        num_channels=voxels.shape[3],
        layer_type=kind,
        data_type=voxels.dtype.name,
        encoding=encoding,
        resolution=RESOLUTION,
        voxel_offset=OFFSET,
        volume_size=voxels.shape[:3],
        chunk_size=CHUNK,
    )
    info["scales"][0].update(more)
    volume = CloudVolume(f"file://{folder}", info=info, compress=False, progress=False)
    volume.commit_info()
    return volume


def fill_shards(volume: CloudVolume, voxels: np.ndarray) -> None:
    """Write shard by shard, as it wants to be written."""
    step = np.array(volume.image.shard_shape(), int)
    starts = [range(0, n, s) for n, s in zip(voxels.shape, step, strict=False)]
    for corner in itertools.product(*starts):
        start = np.array(corner)
        spans = tuple(slice(a, b) for a, b in zip(corner, start + step, strict=True))
        volume[Bbox(start + OFFSET, start + OFFSET + step)] = voxels[spans]


def main(folder: Path) -> None:
    """Write them all."""
    names = {}
    for encoding, dtype, channels in IMAGES:
        name = names[f"{encoding}_{dtype}"] = "image"
        voxels = image(SIZE, dtype, channels, smooth=encoding == "jpeg")
        make(folder / f"{encoding}_{dtype}", voxels, name, encoding)[...] = voxels
    for encoding, dtype in SEGMENTATIONS:
        name = names[f"{encoding}_{dtype}_labels"] = "segmentation"
        voxels = labels(SIZE, dtype)
        make(folder / f"{encoding}_{dtype}_labels", voxels, name, encoding)[...] = voxels
        for packed in ("raw", "gzip"):
            sharding = SHARDING | {"data_encoding": packed}
            names[f"{encoding}_{dtype}_shards_{packed}"] = name
            voxels = labels(SHARDED_SIZE, dtype)
            path = folder / f"{encoding}_{dtype}_shards_{packed}"
            fill_shards(make(path, voxels, name, encoding, sharding=sharding), voxels)
    voxels = image(SIZE, "uint8", 1, smooth=False)
    volume = make(folder / "by_default", voxels, "image", "raw")
    volume.compress = None  # it packs the chunks, unless told
    volume[...] = voxels
    answers = {"version": __version__, "volumes": names, "offset": OFFSET, "resolution": RESOLUTION}
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
