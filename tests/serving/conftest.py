"""Arrays that are served, and a server of them."""

from __future__ import annotations

import numpy as np
import pytest

import dacapo_like
from dacapo_like import Roi
from dacapo_like.serving import Server

SIZE, OFFSET, UNITS = (9.8, 4, 4), (4.9, -8, 40), "nm"


def volume(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """Write an image and labels, whose chunks are no cubes of the server's."""
    folder = tmp_path_factory.mktemp("served")
    raw = dacapo_like.from_numpy(
        volume((70, 150, 140), "uint8"), voxel_size=SIZE, offset=OFFSET, units=UNITS
    )
    labels = dacapo_like.from_numpy(
        volume((70, 150, 140), "uint64") // 40 + 2**60,
        voxel_size=SIZE,
        offset=OFFSET,
        units=UNITS,
        kind="labels",
    )
    raw.save(folder / "raw.zarr", chunks=(32, 50, 64))
    labels.save(folder / "labels.zarr", chunks=(32, 50, 64))
    return folder


@pytest.fixture(scope="session")
def arrays(stored):
    """Compose what is served: a crop of an image, labels, masks of groups of them, and an array of five axes."""
    raw = dacapo_like.open_array({"type": "zarr", "file_name": str(stored / "raw.zarr")})
    labels = dacapo_like.open_array({"type": "zarr", "file_name": str(stored / "labels.zarr")})
    inside = Roi(
        tuple(o + 2 * v for o, v in zip(raw.roi.offset, raw.voxel_size, strict=True)),
        tuple(n - 4 * v for n, v in zip(raw.roi.shape, raw.voxel_size, strict=True)),
    )
    movie = dacapo_like.from_numpy(
        volume((2, 3, 9, 70, 80), "uint16"),
        axes=("c", "t", "z", "y", "x"),
        voxel_size=(40, 8, 8),
        units="micrometer",
    )
    return {
        "raw": raw.crop(inside),
        "scaled": raw.crop(inside).intensities(min=0, max=255),
        "labels": labels,
        "masks": labels.binarize({"one": [2**60 + 1], "rest": [2**60 + 2, 2**60 + 3]}),
        "movie": movie,
        "flat": dacapo_like.from_numpy(
            volume((300, 700), "int16"), voxel_size=(2, 2), units="micrometer"
        ),
    }


@pytest.fixture(scope="session")
def server(arrays):
    with Server(arrays) as serving:
        yield serving
