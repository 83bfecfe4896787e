import numpy as np
import pytest
from funlib.geometry import Roi as FunlibRoi

from dacapo_like import CropArrayConfig, Roi, from_numpy, verify
from dacapo_like.errors import ConfigError, RegionError, SpecError
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


def test_a_region_of_the_world_beside_a_flipped_array_is_explained():
    region = Roi((0, 0), (20, 8))
    with pytest.raises(SpecError, match="along the array's own axes"):
        grid().flip("x").crop(region)
    assert grid().flip("x").crop(Roi((0, -8), (20, 8))).roi.shape == region.shape


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


# Voxels, other units, other arrays, several regions


def movie():
    """Time, channels and two spatial axes."""
    voxels = sample_voxels((2, 3, 8, 10), "uint16")
    return from_numpy(
        voxels, axes="tcyx", voxel_size=(9.8, 4), offset=(-9.8, 100), units=("nm", "um")
    )


INDICES = [
    np.s_[...],
    np.s_[..., 2:5, 3:],
    np.s_[:, :, 2:5],
    np.s_[0:2, ..., -4:-1],
    np.s_[..., :1],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_slices_keep_what_indexing_gives(index):
    array = movie()
    cropped = array.crop(index)
    np.testing.assert_array_equal(cropped[...], array[index], strict=True)
    np.testing.assert_array_equal(cropped[...], array[...][index], strict=True)


def test_a_bare_slice_is_along_the_first_axis():
    assert grid().crop(slice(2, 4)).roi == Roi((20, 0), (20, 40))


@pytest.mark.parametrize("box", [Box((2, 3), (4, 5)), Box((0, 0, 2, 3), (2, 3, 4, 5))])
def test_a_box_is_of_all_axes_or_of_the_spatial_ones(box):
    cropped = movie().crop(box)
    np.testing.assert_array_equal(cropped[...], movie()[...][..., 2:6, 3:8], strict=True)
    assert cropped.roi == Roi((9.8, 112), (39.2, 20))


def test_a_box_that_leaves_the_array_keeps_the_common_part():
    assert grid().crop(Box((-3, 4), (5, 400))).roi == Roi((0, 16), (20, 24))


@pytest.mark.parametrize(
    ("region", "error", "words"),
    [
        (np.s_[:1, ..., 2:4, :], SpecError, "a crop is of space only"),
        (Box((0, 1, 0, 0), (2, 1, 8, 10)), SpecError, "a crop is of space only"),
        (Box((0, 0, 0), (1, 8, 10)), SpecError, "a box of the wrong rank"),
        (np.s_[..., 3, :], RegionError, "an index that drops an axis"),
        (np.s_[..., 0:11], RegionError, "slice leaves the array"),
        (np.s_[..., 0:8:2], RegionError, "leaves no voxel out.*`downsample`"),
        (np.s_[..., ::-1], RegionError, "leaves no voxel out.*`flip`"),
        (np.s_[..., 4:4], SpecError, "outside of the source"),
        ("whole", RegionError, "not a region"),
        (None, RegionError, "needs a region"),
    ],
)
def test_what_is_no_part_of_space_is_refused(region, error, words):
    with pytest.raises(error, match=words):
        movie().crop(region)


def test_what_is_cropped_by_voxels_is_a_document_in_world_units():
    by_voxels, by_world = (
        movie().crop(np.s_[..., 2:6, 3:8]),
        movie().crop(Roi((9.8, 112), (39.2, 20))),
    )
    assert by_voxels.config.roi == by_world.config.roi


def test_a_region_in_other_units_is_converted_exactly():
    array = movie()  # 9.8 nm and 4 um
    assert array.crop(Roi((0.0098, 112), (0.0392, 20)), units="um").roi == Roi(
        (9.8, 112), (39.2, 20)
    )
    in_both = array.crop(Roi((9800, 112000), (39200, 20000)), units=["pm", "nm"])
    assert in_both.roi == Roi((9.8, 112), (39.2, 20))
    assert array.crop(array.roi, units=array.units).roi == array.roi


@pytest.mark.parametrize(
    ("units", "error", "words"),
    [
        ("um", SpecError, r"the unit of an axis is unknown.*got units \(None, None\)"),
        (["um"], SpecError, "units do not fit the axes"),
    ],
)
def test_units_that_cannot_be_converted_are_refused(units, error, words):
    with pytest.raises(error, match=words):
        grid().crop(Roi((0, 0), (10, 4)), units=units)


def test_an_unknown_unit_of_length_is_refused():
    with pytest.raises(ConfigError, match="unknown unit of length"):
        movie().crop(Roi((0, 0), (10, 4)), units="furlong")


def test_a_crop_like_another_array_covers_what_it_covers():
    fine = from_numpy(np.zeros((40, 40)), voxel_size=(20, 10), offset=(-100, 0), units="nm")
    other = from_numpy(np.zeros((5, 5)), voxel_size=(0.1, 0.02), offset=(0, 0.04), units="um")
    cropped = fine.crop(like=other)
    assert cropped.roi == Roi((0, 40), (500, 100))
    assert cropped.voxel_size == fine.voxel_size


def test_a_crop_like_an_array_off_the_grid_can_be_snapped():
    fine = from_numpy(np.zeros((40, 40)), voxel_size=(20, 10))
    other = from_numpy(np.zeros((5, 5)), voxel_size=(7, 7), offset=(1, 1))
    with pytest.raises(SpecError, match="not on the voxel grid"):
        fine.crop(like=other)
    assert fine.crop(like=other, snap="grow").roi == Roi((0, 0), (40, 40))


def test_an_unknown_unit_is_taken_for_that_of_the_other_array():
    known = from_numpy(np.zeros((8, 8)), units="nm")
    unknown = from_numpy(np.zeros((2, 2)), offset=(2, 2))
    assert known.crop(like=unknown).roi == unknown.crop(like=known).roi == Roi((2, 2), (2, 2))


def test_a_crop_like_an_array_of_other_axes_is_refused():
    flat, turned = grid(), from_numpy(np.zeros((8, 8)), directions=((0, 1), (1, 0)))
    for other in (turned, from_numpy(np.zeros((8, 8)), axes="zx")):
        with pytest.raises(SpecError, match="axes differ, or point in different directions"):
            flat.crop(like=other)
    with pytest.raises(RegionError, match="and not both"):
        flat.crop(flat.roi, like=flat)


def test_a_list_of_regions_gives_a_list_of_arrays():
    array = grid()
    regions = [
        Roi((0, 0), (10, 4)),
        FunlibRoi((10, 4), (20, 8)),
        ((0, 0), (80, 40)),
        Box((1, 2), (3, 4)),
        np.s_[2:4, 5:],
    ]
    parts = array.crop(regions)
    assert isinstance(parts, list)
    for part, region in zip(parts, regions, strict=True):
        assert part.config == array.crop(region).config
        np.testing.assert_array_equal(part[...], array.crop(region)[...])
    assert array.crop([]) == []


def test_a_list_of_an_offset_and_a_shape_is_one_region():
    assert grid().crop([[10, 4], [20, 8]]).roi == Roi((10, 4), (20, 8))
    assert [part.roi for part in grid().crop([((10, 4), (20, 8)), ([0, 0], [10, 4])])] == [
        Roi((10, 4), (20, 8)),
        Roi((0, 0), (10, 4)),
    ]


def test_many_crops_open_their_source_once(watched):
    source = watched(grid())
    opened = source.array()
    parts = opened.crop([Box((i % 8, i % 10), (1, 1)) for i in range(500)])
    assert all(part.inputs == (opened,) for part in parts)
    assert source.boxes == []
    assert parts[37][...].tolist() == [[5 * 10 + 7]]
    assert source.boxes == [Box((5, 7), (1, 1))]


def test_what_is_assigned_to_a_crop_by_voxels_goes_to_its_source():
    voxels = np.zeros((3, 4), "uint8")
    array = from_numpy(voxels, mode="r+")
    array.crop(np.s_[1:, :2])[...] = 7
    assert voxels.tolist() == [[0] * 4, [7, 7, 0, 0], [7, 7, 0, 0]]


def test_an_array_without_channels_has_a_region_to_keep():
    array = from_numpy(np.zeros((0, 4, 5)), axes="cyx")
    assert array.crop(np.s_[..., 1:, :2]).read().shape == (0, 3, 2)
    assert array.crop_centered((0, 0), (2, 2)).shape == (0, 2, 2)
