"""The page for those who come from CAREamics, row by row: each has a check of what it says there is here.

What CAREamics gives stands here as literals: the answers of its own classes, of version 0.3.5.
"""

from __future__ import annotations

import numpy as np
import pytest
from page_rows import Rows

import dacapo_like
from dacapo_like import Roi, create_array, from_numpy
from dacapo_like.careamics import CareamicsImageStack, load_image_stacks
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.patches.batches import batches
from dacapo_like.patches.cover import Cover
from dacapo_like.patches.extract import extract
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.sampler import Centers, PatchSampler, Rejection, Stratified
from dacapo_like.patches.stitch import Stitcher
from dacapo_like.patches.together import Together

PAGE = Rows("how-to", "come-from-careamics.md")
row = PAGE.row


@pytest.mark.parametrize("name", sorted(PAGE.names))
def test_row(name, tmp_path):
    PAGE.checks[name](tmp_path)


def test_every_row_has_a_check_and_every_check_a_row():
    PAGE.compare()


def noise(shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def as_tiled(n, size, overlap):
    """Give the starts of patches along an axis, as CAREamics places them."""
    return PatchGrid((n,), (size,), overlap=overlap, spacing="stride")


def starts(grid):
    return [patch.box.offset[0] for patch in grid]


SEQUENTIAL = {
    (17, 8, 4): [0, 4, 8, 9],
    (64, 64, 16): [0],
    (65, 64, 32): [0, 1],
    (100, 64, 16): [0, 36],
    (128, 64, 16): [0, 48, 64],
    (300, 64, 16): [0, 48, 96, 144, 192, 236],
}
"""Where `SequentialPatching` puts patches: of voxels, patch and overlap. `TiledPatching` says the same."""

TILES = {
    (17, 8, 4): [(0, 6), (6, 4), (10, 4), (14, 3)],
    (64, 64, 16): [(0, 64)],
    (100, 64, 16): [(0, 56), (56, 44)],
    (300, 64, 16): [(0, 56), (56, 48), (104, 48), (152, 48), (200, 48), (248, 52)],
}
"""What each tile of `TiledPatching` writes: first voxel and length."""


@row("SequentialPatching")
def _(folder):
    for asked, expected in SEQUENTIAL.items():
        assert starts(as_tiled(*asked)) == expected
    voxels = noise((60,))
    [patch] = PatchGrid((60,), (64,), edge="pad")
    found = extract(voxels, patch, pad={"constant": 0})
    np.testing.assert_array_equal(found, np.pad(voxels, (0, 4)))


@row("TiledPatching")
def _(folder):
    for asked, theirs in TILES.items():
        grid = as_tiled(*asked)
        ours = [(patch.write.offset[0], patch.write.shape[0]) for patch in grid]
        # the last border is in the middle of what the last two tiles share, and not where the one before it would end
        assert ours[:-2] == theirs[:-2]
        assert sum(n for _, n in ours) == sum(n for _, n in theirs) == asked[0]
    assert len(as_tiled(300, 64, 17)) == 7
    huge = PatchGrid((10**5,) * 3, (64,) * 3, overlap=16, spacing="stride")
    assert huge[-1].write.end == (10**5,) * 3


@row("RandomPatching")
def _(folder):
    images = from_numpy(noise((100, 130)))
    sampler = PatchSampler({"raw": images}, (64, 64), seed=1, samples=6)
    assert len(sampler) == len(PatchGrid(images, (64, 64))) == 6
    assert sampler.at(0, 3).patch == sampler.at(0, 3).patch
    workers = [[s.patch.index for s in sampler.epoch(0, start=w, step=2)] for w in range(2)]
    assert sorted(workers[0] + workers[1]) == list(range(6))
    small = from_numpy(noise((32, 32)))
    with pytest.raises(SpecError, match="fit"):
        PatchSampler({"raw": small}, (64, 64))
    padded = small.pad(after=(32, 32))
    assert PatchSampler({"raw": padded}, (64, 64)).at(0, 0).arrays["raw"].shape == (64, 64)


@row("FixedRandomPatching")
def _(folder):
    images = from_numpy(noise((100, 130)))
    first, again = (PatchSampler({"raw": images}, (64, 64), seed=1, samples=6) for _ in range(2))
    boxes = [sample.patch.box for sample in first.epoch(0)]
    assert boxes == [sample.patch.box for sample in again.epoch(0)]
    assert boxes != [sample.patch.box for sample in again.epoch(1)]


@row("StratifiedPatching")
def _(folder):
    theirs = {(100, 130): 4, (64, 64): 1, (127, 127): 4, (128, 128): 4, (100, 64): 2, (65, 65): 2}
    for shape, n in theirs.items():
        sampler = PatchSampler({"raw": from_numpy(noise(shape))}, (64, 64), Stratified())
        assert n <= len(sampler) == len(PatchGrid(shape, (64, 64)))
        found = np.array([sample.patch.box.offset for sample in sampler.epoch(0)])
        assert (found.min(axis=0) >= 0).all()
        assert (found.max(axis=0) <= np.subtract(shape, 64)).all()
    with pytest.raises(SpecError, match="fit"):
        PatchSampler({"raw": from_numpy(noise((63, 63)))}, (64, 64), Stratified())


@row("WholeSamplePatching")
def _(folder):
    array = from_numpy(noise((2, 10, 12)), axes="tyx", voxel_size=(1, 1))
    [patch] = PatchGrid(array, array.spec.spatial_shape)
    np.testing.assert_array_equal(extract(array, patch), array.read())


@row("FixedPatching")
def _(folder):
    voxels = noise((20, 20))
    raw = from_numpy(voxels, voxel_size=(4, 4), units="nm")
    points = [(3, 4), (10, 16)]
    sampler = PatchSampler({"raw": raw}, (6, 6), Centers(points, units="voxel"))
    expected = {(y - 3, x - 3) for y, x in points}
    assert {tuple(sample.patch.box.offset) for sample in sampler.epoch(0)} == expected
    np.testing.assert_array_equal(extract(raw, Box((7, 13), (6, 6))), voxels[7:13, 13:19])


@row("create_val_split")
def _(folder):
    raw = from_numpy(np.arange(100), voxel_size=(4,), units="nm")
    parts = [
        raw.crop(Roi((0,), (320,))),
        raw.crop(Roi((320,), (80,))),
    ]
    seen = [
        {
            int(v)
            for s in PatchSampler({"raw": part}, 10, samples=50).epoch(0)
            for v in s.arrays["raw"]
        }
        for part in parts
    ]
    assert not seen[0] & seen[1]


@row("ImageStack.extract_patch")
def _(folder):
    voxels = noise((3, 8, 8))
    array = from_numpy(voxels, axes="tyx", voxel_size=(1, 1))
    patch = extract(array, Box((-2, 3), (4, 4)), pad={"constant": 0})
    expected = np.pad(voxels[:, :2, 3:7], ((0, 0), (2, 0), (0, 0)))
    np.testing.assert_array_equal(patch, expected)
    assert patch.dtype == "uint8"
    stack = CareamicsImageStack(array)
    asked = {"sample_idx": 1, "channels": None, "coords": (-2, 3), "patch_size": (4, 4)}
    np.testing.assert_array_equal(stack.extract_patch(**asked), expected[1:2])


@row("PatchExtractor")
def _(folder):
    images = [from_numpy(noise(shape)) for shape in ((20, 20), (30, 10))]
    sampler = PatchSampler([{"raw": image} for image in images], (8, 8), samples=50)
    for sample in sampler.epoch(0):
        expected = images[sample.source].read()[sample.patch.box.slices]
        np.testing.assert_array_equal(sample.arrays["raw"], expected)
    assert {sample.source for sample in sampler.epoch(0)} == {0, 1}
    sources = [Together({"raw": image}, (8, 8)) for image in images]
    cover = Cover(sources, [source.grid() for source in sources])
    assert len(cover) == 3 * 3 + 4 * 2


@row("image_stack_loader")
def _(folder):
    [stack] = load_image_stacks([from_numpy(noise((4, 8, 8)), axes="zyx")], "ZYX")
    assert stack.data_shape == (1, 1, 4, 8, 8)


def covered(arrays):
    """Say whether a quarter of a patch is masked."""
    return bool(arrays["mask"].mean() >= 0.25)


@row("MaskPatchFilter")
def _(folder):
    mask = np.zeros((40, 40), "uint8")
    mask[:, :12] = 1
    arrays = {"raw": from_numpy(noise((40, 40))), "mask": from_numpy(mask)}
    rejection = Rejection(covered, of="mask")
    sampler = PatchSampler(arrays, (8, 8), rejection=rejection, samples=30)
    assert all(sample.patch.box.offset[1] <= 10 for sample in sampler.epoch(0))


@row("MaxPatchFilter")
def _(folder):
    raw = from_numpy(np.arange(100, dtype="uint8"))
    bright = Rejection(lambda arrays: bool(arrays["raw"].max() >= 60))
    sampler = PatchSampler({"raw": raw}, 10, rejection=bright, samples=30)
    assert all(sample.arrays["raw"].max() >= 60 for sample in sampler.epoch(0))
    none = Rejection(lambda arrays: False, tries=5)
    with pytest.raises(ConfigError, match="no patch was accepted"):
        PatchSampler({"raw": raw}, 10, rejection=none).at(0, 0)


@row("MeanStdPatchFilter")
def _(folder):
    voxels = np.where(np.arange(200) < 100, 9, noise((200,)))
    varied = Rejection(lambda arrays: bool(arrays["raw"].std() > 20))
    sampler = PatchSampler({"raw": from_numpy(voxels)}, 10, rejection=varied, samples=30)
    assert all(sample.patch.box.end[0] > 100 for sample in sampler.epoch(0))


@row("patch_size")
def _(folder):
    assert PatchGrid((50, 50, 50), (7, 10, 13)).counts == (8, 5, 4)


@row("overlaps")
def _(folder):
    assert starts(as_tiled(20, 8, 3)) == [0, 5, 10, 12]
    assert starts(as_tiled(20, 8, 0.5)) == [0, 4, 8, 12]


@row("batch_size")
def _(folder):
    raw = noise((10, 10))
    found = list(batches({"raw": raw}, PatchGrid(raw.shape, (4, 4)), 4))
    assert [batch["raw"].shape for batch in found] == [(4, 4, 4), (4, 4, 4), (1, 4, 4)]


@row("stitch_prediction")
def _(folder):
    labels = np.full((3, 100, 130), 2**24 + 1, "uint32")  # float32 does not have it
    grid = PatchGrid((100, 130), (64, 64), overlap=16, spacing="stride")
    out = np.zeros_like(labels)
    with Stitcher(grid, out) as stitcher:
        for patch in reversed(grid):
            stitcher.add(patch, extract(labels, patch))
    np.testing.assert_array_equal(out, labels)


@row("ZarrTileWriteStrategy")
def _(folder):
    raw = from_numpy(noise((100, 130)), voxel_size=(2, 2), units="nm")
    out = create_array(folder / "a.zarr", None, "yx", raw.roi, (2, 2), "uint8", chunks=(32, 32))
    grid = PatchGrid(raw, (64, 64), overlap=16, spacing="stride")
    with Stitcher(grid, out) as stitcher:
        for patch in grid:
            stitcher.add(patch, extract(raw, patch))
    written = dacapo_like.open_array({"type": "zarr", "file_name": str(folder / "a.zarr")})
    np.testing.assert_array_equal(written.read(), raw.read())
