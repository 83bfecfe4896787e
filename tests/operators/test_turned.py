"""What holds for all operators that turn an array around: world points stay, and turning back gives the array back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dacapo_like import Roi, create_array, from_numpy, open_array
from dacapo_like.errors import WriteError
from dacapo_like.testing import sample_voxels

CODES = ["RAS", "LPI", "LAS", "ASR", "SPL", "IRA"]


def directions(draw, dims):
    """Choose axes: the world's own, mirrored and exchanged, rotated, or sheared."""
    kind = draw(st.sampled_from(["own", "exchanged", "rotated", "sheared"]))
    if kind == "own":
        return None
    order = draw(st.permutations(range(dims)))
    signs = draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=dims, max_size=dims))
    vectors = np.eye(dims)[order] * np.array(signs)[:, None] + 0.0
    if kind != "exchanged":
        turn = draw(st.tuples(*[st.floats(-1, 1)] * 3))
        vectors = vectors @ Rotation.from_rotvec(turn).as_matrix()[:dims, :dims]
    if kind == "sheared":
        vectors[0] += 0.3 * vectors[-1]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return None if np.array_equal(vectors, np.eye(dims)) else vectors.tolist()


@st.composite
def arrays(draw):
    """Make an array every voxel of which has a value of its own."""
    lead, dims = draw(st.sampled_from(["", "c", "tc"])), draw(st.sampled_from([2, 3]))
    shape = [2] * len(lead) + [draw(st.integers(1, 5)) for _ in range(dims)]
    return from_numpy(
        np.arange(np.prod(shape)).reshape(shape),
        axes=lead + "zyx"[3 - dims :],
        voxel_size=[draw(st.sampled_from([9.8, 25, "10/3", 4])) for _ in range(dims)],
        offset=[draw(st.integers(-30, 30)) for _ in range(dims)],
        units=[draw(st.sampled_from(["nm", None])) for _ in range(dims)],
        directions=directions(draw, dims),
    )


@st.composite
def turns(draw, array):
    """Turn an array around in some way; it is named, so that a failure shows it."""
    how = draw(st.sampled_from(["flip", "transpose", "reorient"]))
    if how == "flip":
        return array.flip(draw(st.lists(st.sampled_from(array.spec.spatial_axes), unique=True)))
    if how == "transpose":
        lead = draw(st.permutations(array.spec.leading_axes))
        return array.transpose([*lead, *draw(st.permutations(array.spec.spatial_axes))])
    if array.dims == 2:
        return array.reorient(draw(st.sampled_from(["RAS", "LPS", "LAI", "PRS"])))
    return array.reorient(draw(st.sampled_from(CODES)))


def world_of(array):
    """Give the world point, by name of its components, and the indices of time and channel, of every value."""
    spec, lead = array.spec, len(array.spec.leading_axes)
    by_name, leading = np.argsort(spec.spatial_axes), np.argsort(spec.leading_axes)
    found = {}
    for at, value in np.ndenumerate(array.read()):
        point = (array.voxel_to_world @ [*at[lead:], 1])[by_name]
        found[int(value)] = [*np.array(at[:lead], float)[leading], *point]
    return found


@given(data=st.data())
def test_every_voxel_stays_where_it_is_in_the_world(data):
    array = data.draw(arrays())
    before, turned = world_of(array), array
    for _ in range(data.draw(st.integers(1, 3))):
        turned = data.draw(turns(turned))
    after = world_of(turned)
    assert after.keys() == before.keys()
    for value, place in before.items():
        np.testing.assert_allclose(after[value], place, rtol=0, atol=1e-9)


@given(data=st.data())
def test_a_region_and_its_voxels_move_together(data):
    """A region of the turned array shows the voxels whose centres lie in it, in its own frame."""
    array = data.draw(arrays())
    turned = data.draw(turns(array))
    spec = turned.spec
    start = [data.draw(st.integers(0, n - 1)) for n in spec.spatial_shape]
    stop = [
        data.draw(st.integers(a + 1, n)) for a, n in zip(start, spec.spatial_shape, strict=True)
    ]
    roi = Roi(
        spec.offset + spec.voxel_size * start,
        spec.voxel_size * [b - a for a, b in zip(start, stop, strict=True)],
    )
    inside = (..., *(slice(a, b) for a, b in zip(start, stop, strict=True)))
    np.testing.assert_array_equal(turned[roi], turned.read()[inside])


@given(data=st.data())
def test_turning_back_gives_the_array_back(data):
    array = data.draw(arrays())
    names = data.draw(st.lists(st.sampled_from(array.spec.spatial_axes), unique=True))
    assert array.flip(names).flip(names).spec == array.spec
    lead = data.draw(st.permutations(array.spec.leading_axes))
    order = [*lead, *data.draw(st.permutations(array.spec.spatial_axes))]
    back = array.transpose(order).transpose(array.axes)
    assert back.spec == array.spec
    np.testing.assert_array_equal(back.read(), array.read())


def test_chunks_turn_with_the_voxels(tmp_path):
    array = create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="czyx",
        roi=Roi((0, 0, 0), (4, 6, 9)),
        voxel_size=(1, 1, 1),
        channels=["a", "b"],
        dtype="uint8",
        chunks=(1, 2, 3, 4),
    )
    assert array.transpose("cxzy").chunks == (1, 4, 2, 3)
    assert array.flip(["z", "y"]).chunks == (1, 2, 3, 4)
    assert array.flip("x").chunks is None
    assert array.reorient("ARS").chunks == (1, 2, 4, 3)


def test_nothing_is_written_through(tmp_path):
    array = create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="yx",
        roi=Roi((0, 0), (4, 4)),
        voxel_size=(1, 1),
        dtype="u1",
    )
    for turned in (array.flip("x"), array.transpose("xy"), array.reorient("LPS")):
        assert not turned.writable
        with pytest.raises(WriteError, match="another order"):
            turned[0, 0] = 3


FORMATS = {"zarr": "a.zarr", "nifti": "a.nii.gz", "tiff": "a.tif", "hdf5": "a.h5"}


@pytest.mark.parametrize("tag", FORMATS)
def test_what_is_turned_is_written_and_comes_back(tmp_path, tag):
    """Views with strides below 0, and the directions that go with them, survive every format that has a place for them."""
    voxels = sample_voxels((4, 5, 6), "uint16")
    source = from_numpy(voxels, voxel_size=(2, 1, 0.5), offset=(-3, 0, 7), units="mm")
    turned = source.flip(["z", "x"]).reorient("PIR")
    path = turned.save(tmp_path / FORMATS[tag])
    again = open_array({"type": tag, "file_name": str(path)})
    np.testing.assert_array_equal(again.read(), turned.read())
    np.testing.assert_allclose(again.voxel_to_world, turned.voxel_to_world, rtol=1e-6, atol=1e-6)
    back = again.reorient("RAS")
    np.testing.assert_array_equal(back.read(), voxels)
    np.testing.assert_allclose(back.voxel_to_world, source.voxel_to_world, rtol=1e-6, atol=1e-6)


def test_remembered_words_turn_with_their_axes():
    attrs = {
        "axis_orientation": {"z": "inferior-to-superior", "y": "dorsal-to-ventral", "x": None},
        "nifti": {"orientation": "LA?", "sform_code": 1},
        "stain": "Nissl",
    }
    array = from_numpy(np.zeros((2, 3, 4)), attrs=attrs)
    flipped = array.flip(["z", "y", "x"])
    assert flipped.attrs["axis_orientation"] == {
        "z": "superior-to-inferior",
        "y": "ventral-to-dorsal",
        "x": None,
    }
    assert flipped.attrs["nifti"] == {"orientation": "RP?", "sform_code": 1}
    assert flipped.attrs["stain"] == "Nissl"
    assert array.transpose("xyz").attrs == array.attrs
    exchanged = array.flip("y").transpose(["x", "z", "y"]).attrs
    assert exchanged["nifti"]["orientation"] == "LP?"
    assert array.attrs == attrs


def test_remembered_words_go_with_the_voxels_to_axes_of_other_names():
    words = {"z": "inferior-to-superior", "y": "posterior-to-anterior", "x": "right-to-left"}
    attrs = {"axis_orientation": words, "nifti": {"orientation": "LAS"}}
    turned = from_numpy(
        np.zeros((2, 3, 4)),
        attrs=attrs,
        directions=((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    ).reorient("SRA")
    assert turned.attrs["nifti"]["orientation"] == "SRA"
    assert turned.attrs["axis_orientation"] == {
        "z": "posterior-to-anterior",
        "y": "left-to-right",
        "x": "inferior-to-superior",
    }
