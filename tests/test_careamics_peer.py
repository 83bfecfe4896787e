"""CAREamics' own image stacks, in an environment of its own: the same patches as ours, and of their faults none is ours."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from dacapo_like import open_array
from dacapo_like.careamics import CareamicsImageStack
from dacapo_like.errors import RegionError

pytestmark = pytest.mark.slow

VERSION = "0.3.5"
"""The faults are those of this one."""

SIZES = {"S": 2, "T": 3, "C": 4, "Z": 5, "Y": 6, "X": 7}
ORDERS = [
    "".join(order)
    for n in range(5)
    for others in itertools.combinations("STCZ", n)
    for order in itertools.permutations((*others, "Y", "X"))
]
CODES = {"S": 100_000, "T": 10_000, "C": 1000, "Z": 100, "Y": 10, "X": 1}
LARGE = 2**24 + 1
"""The first integer that float32 has not."""


def voxels_of(axes, dtype):
    """Make voxels that tell where they are: their index along every axis is a digit."""
    places = np.ix_(*(np.arange(SIZES[axis]) * CODES[axis] for axis in axes))
    return np.asarray(sum(places)).astype(dtype)


def patch_of(axes, **changes):
    """Give what is asked of an array: its last sample, channels in another order, and voxels inside of it."""
    spatial = [axis for axis in "ZYX" if axis in axes]
    samples = np.prod([SIZES[axis] for axis in axes if axis in "ST"], dtype=int)
    asked = {
        "sample_idx": int(samples) - 1,
        "channels": [3, 0, 1] if "C" in axes else None,
        "coords": [1, 2, 3][-len(spatial) :],
        "patch_size": [3, 2, 4][-len(spatial) :],
    }
    return asked | changes


INSIDE = [{"name": axes, "axes": axes, "patch": patch_of(axes)} for axes in ORDERS]
BEYOND = [
    {"name": axes, "axes": axes, "patch": patch_of(axes, coords=[2, 3, 4][-n:], channels=None)}
    for axes, n in (("YX", 2), ("TCYX", 2), ("STCZYX", 3), ("CXYZ", 3))
]
ODD = {
    "before": {"name": "TYX", "axes": "TYX", "patch": patch_of("TYX", coords=[-1, 2])},
    "far": {"name": "TYX", "axes": "TYX", "patch": patch_of("TYX", coords=[-4, 2])},
    "no time": {"name": "TYX", "axes": "TYX", "patch": patch_of("TYX", sample_idx=3)},
    "last time": {"name": "TYX", "axes": "TYX", "patch": patch_of("TYX", sample_idx=-1)},
    "channel": {"name": "CYX", "axes": "CYX", "patch": patch_of("CYX", channels=[-1])},
    "label": {"name": "labels", "axes": "YX", "patch": patch_of("YX")},
}
REQUESTS = [*INSIDE, *BEYOND, *ODD.values()]


def write_zarr(path, data):
    """Write an array of one chunk; by hand, for there are over a thousand."""
    path.mkdir(parents=True)
    metadata = {
        "zarr_format": 2,
        "shape": data.shape,
        "chunks": data.shape,
        "dtype": data.dtype.str,
        "compressor": None,
        "filters": None,
        "fill_value": 0,
        "order": "C",
    }
    (path / ".zarray").write_text(json.dumps(metadata))
    (path / ".".join("0" * data.ndim)).write_bytes(data.tobytes())


class Theirs:
    """What CAREamics answered."""

    def __init__(self, folder):
        self.folder = folder
        self.patches = dict(np.load(folder / "patches.npz"))
        self.said = json.loads((folder / "answers.json").read_text())

    def answer(self, request, kind):
        """Give a patch, or the text of an error."""
        key = f"{REQUESTS.index(request)}_{kind}"
        return self.patches.get(key, self.said["refused"].get(key))

    def stack(self, request, kind="zarr"):
        return self.said["stacks"][f"{REQUESTS.index(request)}_{kind}"]

    def ours(self, request):
        """Give our image stack of the same file."""
        axes = list(request["axes"].lower())
        path = str(self.folder / "all.zarr")
        config = {"type": "zarr", "file_name": path, "dataset": request["name"], "axes": axes}
        return CareamicsImageStack(
            open_array(config | {"voxel_size": [1] * sum(a in "zyx" for a in axes)})
        )


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, run_peer):
    folder = tmp_path_factory.mktemp("careamics")
    arrays = {axes: voxels_of(axes, "float32") for axes in ORDERS}
    arrays["labels"] = voxels_of("YX", "uint32") + np.uint32(LARGE - 23)
    for name, data in arrays.items():
        write_zarr(folder / "all.zarr" / name, data)
        np.save(folder / f"{name}.npy", data)
    (folder / "all.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / "requests.json").write_text(json.dumps(REQUESTS))
    run_peer("careamics", folder)
    return Theirs(folder)


def test_the_version_is_that_whose_faults_are_told(theirs):
    assert theirs.said["version"] == VERSION


def test_all_orders_of_axes_were_compared():
    assert len(ORDERS) == len(set(ORDERS)) == 720 + 4 * 120 + 6 * 24 + 4 * 6 + 2


def test_the_same_patches_in_all_orders_of_axes(theirs):
    for request in INSIDE:
        stack = theirs.ours(request)
        patch = stack.extract_patch(**request["patch"])
        for kind in ("memory", "zarr"):
            expected = theirs.answer(request, kind)
            np.testing.assert_array_equal(patch, expected, err_msg=f"{request['axes']} {kind}")
            assert (patch.dtype, patch.shape) == (expected.dtype, expected.shape)
            assert list(stack.data_shape) == theirs.stack(request, kind)["data_shape"]


def test_they_were_not_the_same_patch_all_over(theirs):
    """Were axes exchanged in theirs and ours alike, the digits would tell."""
    request = next(request for request in INSIDE if request["axes"] == "XTZSCY")
    patch = theirs.ours(request).extract_patch(**request["patch"])
    assert patch.shape == (3, 3, 2, 4)
    assert patch[0, 0, 0, 0] == 123_123


def test_what_else_an_image_stack_says_of_itself(theirs):
    request = next(request for request in INSIDE if request["axes"] == "STCZYX")
    stack, said = theirs.ours(request), theirs.stack(request)
    assert stack.original_axes == said["original_axes"]
    assert list(stack.original_data_shape) == said["original_data_shape"]
    assert str(stack.data_dtype) == said["data_dtype"]
    assert list(stack.chunks) == said["chunks"]
    assert stack.source == said["source"]


def test_what_is_outside_is_zero_in_both(theirs):
    for request in BEYOND:
        patch = theirs.ours(request).extract_patch(**request["patch"])
        assert (patch == 0).any()
        for kind in ("memory", "zarr"):
            np.testing.assert_array_equal(patch, theirs.answer(request, kind))


@pytest.mark.parametrize("name", ["before", "far"])
def test_coordinates_before_the_first_voxel(theirs, name):
    """Of theirs in memory they are right; of a Zarr they are counted from its end."""
    request = ODD[name]
    patch = theirs.ours(request).extract_patch(**request["patch"])
    np.testing.assert_array_equal(patch, theirs.answer(request, "memory"))
    wrong = theirs.answer(request, "zarr")
    assert isinstance(wrong, str) or not np.array_equal(wrong, patch)


@pytest.mark.parametrize(
    ("name", "kind", "instead"),
    [
        ("no time", "zarr", patch_of("TYX", sample_idx=0)),
        ("last time", "zarr", patch_of("TYX", sample_idx=2)),
        ("last time", "memory", patch_of("TYX", sample_idx=2)),
        ("channel", "zarr", patch_of("CYX", channels=[3])),
        ("channel", "memory", patch_of("CYX", channels=[3])),
    ],
)
def test_what_is_not_there_is_refused_and_not_replaced(theirs, name, kind, instead):
    request = ODD[name]
    stack = theirs.ours(request)
    np.testing.assert_array_equal(theirs.answer(request, kind), stack.extract_patch(**instead))
    with pytest.raises(RegionError, match="is not in the array"):
        stack.extract_patch(**request["patch"])


def test_labels_that_float32_has_not(theirs):
    request = ODD["label"]
    patch = theirs.ours(request).extract_patch(**request["patch"])
    assert patch[0, 0, 0] == LARGE
    for kind in ("memory", "zarr"):
        assert theirs.answer(request, kind)[0, 0, 0] == LARGE - 1
