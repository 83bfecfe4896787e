import numpy as np
import pytest
from funlib.geometry import Roi as FunlibRoi

from dacapo_like import CropArrayConfig, Roi, from_numpy, verify
from dacapo_like.errors import RegionError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_plane_of_odd_voxel_sizes(self, directory):
        voxels = sample_voxels((7, 9), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7), offset=(-4.9, 0))
        roi = Roi((14.7, 2.1), (29.4, 2.8))
        return Case(source.crop(roi), voxels[2:5, 3:7])

    def case_volume_beyond_its_end(self, directory):
        voxels = sample_voxels((5, 6, 7), "int16")
        source = as_zarr(voxels, directory / "a", voxel_size=(25, 4, 4), offset=(-50, -8, 12))
        roi = Roi((-100, 0, 20), (100, 400, 12))
        return Case(source.crop(roi), voxels[:2, 2:, 2:5])

    def case_time_and_channels(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "float32")
        source = as_zarr(voxels, directory / "a", axes="tcyx", voxel_size=(0.7, 25), units="um")
        return Case(source.crop(Roi((0.7, 0), (1.4, 75))), voxels[:, :, 1:3, :3])

    def case_snap_grow(self, directory):
        voxels = sample_voxels((8, 8), "uint64")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 9.8), offset=(1, 1))
        return Case(source.crop(Roi((11, 11), (20, 19.4)), snap="grow"), voxels[1:4, 1:3])

    def case_snap_shrink(self, directory):
        voxels = sample_voxels((8, 8), "bool")
        source = as_zarr(voxels, directory / "a", voxel_size=(10, 10))
        return Case(source.crop(Roi((1, 10), (38, 25)), snap="shrink"), voxels[1:3, 1:3])

    def case_snap_nearest(self, directory):
        voxels = sample_voxels((8, 8), "float64")
        source = as_zarr(voxels, directory / "a", voxel_size=(10, 10))
        # -4 -> 0, 35 -> 3 (halves go down), 16 -> 2, 54 -> 5
        return Case(source.crop(Roi((-4, 16), (39, 38)), snap="nearest"), voxels[:3, 2:5])

    def case_crop_of_a_crop(self, directory):
        voxels = sample_voxels((9, 9), "uint16")
        first = as_zarr(voxels, directory / "a", voxel_size=(2, 2)).crop(Roi((2, 2), (12, 14)))
        return Case(first.crop(Roi((6, 0), (4, 8))), voxels[3:5, 1:4])

    def case_named_channels_in_memory(self, directory):
        voxels = sample_voxels((2, 4, 4), "uint8")
        source = from_numpy(voxels, axes="cyx", channels=("DAPI", "GFP"))
        return Case(source.crop(Roi((1, 1), (2, 3))), voxels[:, 1:3, 1:], in_memory=True)


def grid():
    return from_numpy(np.arange(80, dtype="uint8").reshape(8, 10), voxel_size=(10, 4))


def test_the_spec_is_the_source_s_but_for_its_place():
    source = from_numpy(
        np.zeros((2, 8, 10), "uint32"),
        axes="cyx",
        channels=("a", "b"),
        units=("um", None),
        kind="image",
    )
    cropped = source.crop(Roi((2, 3), (4, 5)))
    assert cropped.spec == source.spec.replace(shape=(2, 4, 5), offset=(2, 3))
    assert cropped.roi == Roi((2, 3), (4, 5))


def test_a_region_of_funlib_s_and_a_pair_mean_the_same():
    ours = CropArrayConfig(source_array_config=grid().config, roi=Roi((10, 4), (20, 8)))
    for roi in (FunlibRoi((10, 4), (20, 8)), ((10, 4), (20, 8))):
        other = CropArrayConfig(source_array_config=ours.source_array_config, roi=roi)
        assert other == ours
        assert hash(other) == hash(ours)


def test_only_the_region_is_read(watched):
    source = watched(grid())
    cropped = CropArrayConfig(source_array_config=source, roi=Roi((20, 8), (40, 16))).array()
    cropped[1:2, 1:3]
    assert source.boxes == [Box((3, 3), (1, 2))]


def test_a_region_off_the_grid_names_the_aligned_ones():
    with pytest.raises(SpecError) as error:
        grid().crop(Roi((5, 0), (20, 8)))
    assert error.value.key == ("roi",)
    assert error.value.code == "DL211"
    assert error.value.where == "crop"
    assert error.value.message == (
        "region is not on the voxel grid (got Roi(offset=(5, 0), shape=(20, 8)); "
        "expected multiples of (10, 4) from (0, 0))"
    )
    assert error.value.hint == (
        "the nearest aligned regions are Roi(offset=(0, 0), shape=(30, 8)) (snap: grow) "
        "or Roi(offset=(10, 0), shape=(10, 8)) (snap: shrink)"
    )


def test_a_region_of_the_wrong_rank_is_refused():
    with pytest.raises(SpecError, match=r"wrong rank.*got 3 numbers.*expected 2.*y x") as error:
        grid().crop(Roi((0, 0, 0), (8, 8, 8)))
    assert error.value.key == ("roi",)


@pytest.mark.parametrize(
    "roi", [Roi((80, 0), (10, 4)), Roi((-20, 0), (20, 4)), Roi((20, 8), (0, 4))]
)
def test_an_empty_crop_is_refused(roi):
    with pytest.raises(SpecError, match="outside of the source") as error:
        grid().crop(roi)
    assert error.value.key == ("roi",)
    assert error.value.expected == "a region that meets Roi(offset=(0, 0), shape=(80, 40))"


def test_shrinking_to_nothing_is_refused():
    with pytest.raises(SpecError, match="outside of the source"):
        grid().crop(Roi((12, 0), (5, 40)), snap="shrink")


def test_what_is_no_region_is_refused():
    with pytest.raises(RegionError, match="not a region"):
        CropArrayConfig(source_array_config=grid().config, roi=7)


def test_a_region_that_leaves_its_source_is_a_warning():
    config = CropArrayConfig(source_array_config=grid().config, roi=Roi((40, 0), (80, 40)))
    (remark,) = config.remarks(grid().spec)
    assert (remark.code, remark.key) == ("DL401", ("roi",))
    assert "Roi(offset=(40, 0), shape=(80, 40))" in remark.message
    assert "Roi(offset=(0, 0), shape=(80, 40))" in remark.message
    (problem,) = verify(config)
    assert (problem.code, problem.severity, problem.key) == ("DL401", "warning", "roi")


def test_a_region_inside_is_no_warning():
    config = CropArrayConfig(source_array_config=grid().config, roi=grid().roi)
    assert verify(config) == []


def test_no_voxel_is_read_to_open(unreadable):
    source = unreadable(from_shape((8, 8)))
    assert source.crop(Roi((2, 2), (2, 2))).shape == (2, 2)
