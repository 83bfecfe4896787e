"""The laws, on instances of every type of a DVID server."""

from __future__ import annotations

import numpy as np
import pytest
from dvid_server import Volume, serving

from dacapo_like import DVIDArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels

IMAGES = {
    "uint8blk": "uint8",
    "uint16blk": "uint16",
    "uint32blk": "uint32",
    "uint64blk": "uint64",
    "float32blk": "float32",
}
BLOCK = (4, 4, 8)


def labels(shape=(10, 12, 16)):
    return sample_voxels(shape, "uint64") + np.uint64(2**60)


def volumes():
    geometry = {"first": (-5, 3, -16), "voxel_size": (40, 9.8, 0.7), "block": BLOCK}
    found = {
        name: Volume(name, [sample_voxels((7, 9, 11), dtype)], **geometry)
        for name, dtype in IMAGES.items()
    }
    found["uint8blk_1"] = Volume("uint8blk", [sample_voxels((5, 6, 7), "uint8")], block=BLOCK)
    found["uint8blk_1"].voxel_size = (80, 19.6, 1.4)
    for name in ("labelblk", "labelarray", "labelmap"):
        levels = [labels()] if name == "labelblk" else [labels(), labels((5, 6, 8))]
        found[name] = Volume(name, levels, first=(-4, 8, 2), block=BLOCK)
    merged = found["labelmap"].levels[0].ravel()[:5].tolist()
    found["labelmap"].bodies = dict.fromkeys(merged, 7)
    return found


@pytest.fixture(scope="module", autouse=True)
def server():
    with serving(volumes()) as running:
        TestLaws.server = running
        yield running


CASES = {name: (name, {}) for name in (*IMAGES, "labelblk", "labelarray", "labelmap")} | {
    "supervoxels": ("labelmap", {"supervoxels": True}),
    "coarse_labels": ("labelmap", {"scale": 1}),
    "coarse_image": ("uint8blk", {"scale": 1}),
    "tiles_of_a_block": ("uint16blk", {"tile_shape": BLOCK, "max_requests": 3}),
}


class TestLaws(ArrayContract):
    server = None

    def cases(self):
        return {case: self.builder(*what) for case, what in CASES.items()}

    def builder(self, name, fields):
        def build(_):
            array = DVIDArrayConfig(source=self.server.source(name), **fields).array()
            scale = fields.get("scale", 0)
            volume = self.server.volumes[name]
            if scale and not volume.is_labels:
                voxels = self.server.volumes[f"{name}_{scale}"].levels[0]
            else:
                voxels = volume.levels[scale]
            return Case(array, voxels if fields.get("supervoxels") else volume.merged(voxels))

        return build
