import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dacapo_like import FlipArrayConfig, NiftiArrayConfig, Roi, from_numpy
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_an_axis_of_a_plane(self, directory):
        voxels = sample_voxels((7, 9), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7), offset=(-4.9, 0))
        return Case(source.flip("x"), voxels[:, ::-1])

    def case_all_axes_of_a_film_of_channels(self, directory):
        voxels = sample_voxels((2, 3, 4, 5, 6), "int16")
        source = as_zarr(voxels, directory / "a", axes="tczyx", voxel_size=(25, 4, 4))
        return Case(source.flip("zyx"), voxels[:, :, ::-1, ::-1, ::-1])

    def case_no_axis(self, directory):
        voxels = sample_voxels((4, 5), "uint64")
        return Case(as_zarr(voxels, directory / "a").flip([]), voxels)

    def case_an_oblique_nifti(self, directory):
        voxels = sample_voxels((4, 5, 6), "float32")
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_rotvec((0.2, -0.3, 0.4)).as_matrix() * (2, 1, 0.5)
        affine[:3, 3] = 7, -20, 3
        path = directory / "a.nii"
        nibabel.save(nibabel.Nifti1Image(voxels.T, affine), path)
        source = NiftiArrayConfig(file_name=str(path)).array()
        return Case(source.flip(["y"]), voxels[:, ::-1])

    def case_below_other_operators(self, directory):
        voxels = sample_voxels((6, 8), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(2, 2))
        grown = source.flip("y").crop(Roi((-10, 4), (6, 8))).flip("x").intensities(min=0, max=255)
        expected = voxels[::-1][1:4, 2:6][:, ::-1].astype("float32") / np.float32(255)
        return Case(grown, expected)


def test_the_frame_turns_with_the_axis():
    source = from_numpy(np.zeros((8, 10)), voxel_size=(9.8, 4), offset=(-9.8, 12), units="nm")
    flipped = source.flip("x")
    assert flipped.spec == source.spec.replace(
        offset=(-9.8, -52), directions=((1.0, 0.0), (0.0, -1.0))
    )
    assert flipped.roi == Roi((-9.8, -52), (78.4, 40))
    np.testing.assert_array_equal(flipped.voxel_to_world, [[9.8, 0, -4.9], [0, -4, 50], [0, 0, 1]])


def test_directions_of_its_own_turn():
    source = from_numpy(np.zeros((8, 10)), directions=((0.0, -1.0), (0.6, 0.8)))
    assert source.flip("y").spec.directions == ((0.0, 1.0), (0.6, 0.8))
    assert source.flip("x").spec.directions == ((0.0, -1.0), (-0.6, -0.8))


def test_flipping_twice_is_the_identity():
    source = from_numpy(np.arange(12).reshape(3, 4), voxel_size=(9.8, "10/3"), offset=(7, -2))
    twice = source.flip("yx").flip("yx")
    assert twice.spec == source.spec
    assert twice.spec.directions is None
    np.testing.assert_array_equal(twice.read(), source.read())


def test_two_flipped_arrays_are_combined_and_one_is_not():
    source = from_numpy(np.arange(12, dtype="uint8").reshape(3, 4))
    both = source.flip("x").concat({"1": source.flip("x")})
    np.testing.assert_array_equal(both.read(), [source.read()[:, ::-1]] * 2)
    with pytest.raises(SpecError, match="different directions"):
        source.concat({"1": source.flip("x")})


def test_only_what_is_shown_is_read(watched):
    source = watched(from_numpy(np.zeros((2, 8, 10), "uint8"), axes="cyx"))
    flipped = FlipArrayConfig(source_array_config=source, axes="x").array()
    flipped[1, 1:3, 0:4]
    assert source.boxes == [Box((1, 1, 6), (1, 2, 4))]


def test_no_voxel_is_read_to_open(unreadable):
    assert unreadable(from_shape((8, 8))).flip("y").shape == (8, 8)


def test_one_name_is_a_list_of_one():
    config = from_numpy(np.zeros((2, 2))).config
    one = FlipArrayConfig(source_array_config=config, axes="x")
    assert one == FlipArrayConfig(source_array_config=config, axes=["x"])
    both = FlipArrayConfig(source_array_config=config, axes="yx")
    assert both.axes == ("y", "x")


@pytest.mark.parametrize(
    ("axes", "hint"), [("c", "select_channels"), (["y", "xx"], "did you mean 'x'"), ("z", None)]
)
def test_what_is_no_spatial_axis(axes, hint):
    source = from_numpy(np.zeros((2, 2, 2)), axes="cyx")
    with pytest.raises(SpecError, match="no spatial axis") as error:
        source.flip(axes)
    assert error.value.key == ("axes",)
    assert hint is None or hint in error.value.hint


def test_an_axis_twice_is_refused():
    with pytest.raises(ConfigError, match="axes repeat"):
        from_numpy(np.zeros((2, 2))).flip(["x", "x"])


@pytest.mark.parametrize("axes", [0, [1], None])
def test_axes_have_names(axes):
    with pytest.raises(ConfigError, match="axes have names") as error:
        from_numpy(np.zeros((3, 4))).flip(axes)
    assert error.value.key == ("axes",)
