import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dacapo_like import Roi, TransformArrayConfig, from_numpy, verify
from dacapo_like.errors import ConfigError, ReadError, SpecError
from dacapo_like.geometry import Box, box_between
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels
from dacapo_like.transforms.config import Transform


def turned(degrees, *, about, scale=1.0, dims=2):
    """Rotate and scale the last two axes around a world point."""
    c, s = np.cos(np.deg2rad(degrees)) * scale, np.sin(np.deg2rad(degrees)) * scale
    matrix = np.eye(dims + 1)
    matrix[dims - 2 : dims, dims - 2 : dims] = [[c, -s], [s, c]]
    matrix[:dims, dims] = about - matrix[:dims, :dims] @ about
    return np.round(matrix, 12)


def sampled(array, like, matrix, **how):
    """What scipy makes of the whole array."""
    whole = array.spec.world_to_voxel @ np.asarray(matrix, float) @ like.spec.voxel_to_world
    index = np.indices(like.spec.spatial_shape).reshape(like.dims, -1)
    places = whole[:-1, :-1] @ index + whole[:-1, -1:]
    voxels = array.read().reshape(-1, *array.spec.spatial_shape)
    inside = np.all(
        [(x >= -0.5) & (x < n - 0.5) for x, n in zip(places, voxels.shape[1:], strict=True)], axis=0
    )
    how = {"mode": "nearest"} | how
    found = [
        ndimage.map_coordinates(channel.astype(float), places, **how) * inside for channel in voxels
    ]
    shape = array.spec.leading_shape + like.spec.spatial_shape
    return np.reshape(found, shape)


def write_field(path, vectors, affine):
    """Write vectors of shape (x, y, z, components) as ANTs does."""
    image = nibabel.Nifti1Image(vectors[:, :, :, None].astype("f4"), affine)
    image.header.set_intent("vector")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def waves(shape, size, components):
    """Make smooth displacements along the axes of a field, by up to `size`."""
    index = np.indices(shape)
    return np.stack(
        [
            size * np.sin(sum((0.3 + 0.1 * k) * a for k, a in enumerate(index)) + c)
            for c in range(components)
        ],
        axis=-1,
    )


class TestLaws(ArrayContract):
    def _plane(self, directory, dtype="float32", **how):
        source = as_zarr(
            sample_voxels((17, 19), dtype),
            directory / "a",
            voxel_size=(2, 0.7),
            units="um",
            kind="image",
        )
        like = as_zarr(
            np.zeros((13, 14), "u1"),
            directory / "b",
            voxel_size=(1.5, 1),
            offset=(3, 0.2),
            units="um",
        )
        matrix = turned(25, about=(14, 7), scale=1.1)
        return source, like, matrix, source.transform(matrix, like=like, **how)

    def case_plane_linear(self, directory):
        source, like, matrix, moved = self._plane(directory)
        return Case(
            moved, sampled(source, like, matrix, order=1).astype("f4"), oracle_tolerance=1e-6
        )

    def case_plane_nearest_of_labels(self, directory):
        source = as_zarr(sample_voxels((17, 19), "uint64"), directory / "a", voxel_size=(2, 0.7))
        matrix = turned(-40, about=(14, 7))
        moved = source.transform(matrix, roi=Roi((0, 0), (30, 15)), voxel_size=(1, 0.5))
        like = from_numpy(np.zeros((30, 30)), voxel_size=(1, 0.5))
        places = source.spec.world_to_voxel @ matrix @ like.spec.voxel_to_world
        index = np.indices((30, 30)).reshape(2, -1)
        at = np.floor(places[:2, :2] @ index + places[:2, 2:] + 0.5).astype(int)
        inside = np.all([(a >= 0) & (a < n) for a, n in zip(at, (17, 19), strict=True)], axis=0)
        expected = np.zeros(900, "uint64")
        expected[inside] = source.read()[tuple(at[:, inside])]
        return Case(moved, expected.reshape(30, 30))

    def case_plane_cubic_of_bytes(self, directory):
        return Case(self._plane(directory, "uint8", interp_order=3)[3])

    def case_plane_spline(self, directory):
        source, like, matrix, moved = self._plane(directory, "float64", method="spline")
        expected = sampled(source, like, matrix, order=3, mode="mirror")
        return Case(moved, expected, oracle_tolerance=1e-7)

    def case_volume_with_channels_and_time(self, directory):
        source = as_zarr(
            sample_voxels((2, 2, 7, 9, 8), "int16"),
            directory / "a",
            voxel_size=(2, 1, 1),
            units="mm",
        )
        like = as_zarr(
            np.zeros((6, 8, 9), "u1"), directory / "b", voxel_size=(2000, 1000, 800), units="um"
        )
        matrix = turned(15, about=(7000, 4000, 4000), dims=3)
        in_mm = matrix.copy()
        in_mm[:3, 3] /= 1000
        like_in_mm = from_numpy(np.zeros((6, 8, 9)), voxel_size=(2, 1, 0.8))
        moved = source.transform({"affine": matrix}, like=like, fill=0)
        expected = np.rint(sampled(source, like_in_mm, in_mm, order=1)).astype("int16")
        return Case(moved, expected, oracle_tolerance=2 / 65535)  # a half may be rounded either way

    def _warped(self, directory, **how):
        source = as_zarr(
            ndimage.gaussian_filter(sample_voxels((9, 12, 11), "float32"), 1),
            directory / "a",
            units="mm",
        )
        affine = np.diag([-1.5, -1.4, 1.6, 1])
        write_field(
            directory / "warp.nii.gz", waves((9, 9, 7), 0.6, 3), affine @ np.diag([1, 1, 1, 1])
        )
        shift = Transform(affine=[[1, 0, 0, 0.5], [0, 1, 0, 12.2], [0, 0, 1, 11.7], [0, 0, 0, 1]])
        back = Transform(affine=shift.affine, invert=True)
        warp = Transform(file_name=str(directory / "warp.nii.gz"), **how)
        return source.transform(
            back, warp, shift, roi=Roi((0, 1, 0), (9, 10, 11)), voxel_size=(1, 1, 1)
        )

    def case_displacement_field(self, directory):
        return Case(self._warped(directory))

    def case_inverted_displacement_field(self, directory):
        return Case(self._warped(directory, invert=True))

    def case_two_fields_of_other_formats(self, directory):
        source = as_zarr(sample_voxels((14, 15), "float64"), directory / "a")
        fields = [
            as_zarr(
                np.moveaxis(waves((6, 6), 1.2, 2), -1, 0),
                directory / f"f{i}",
                axes="cyx",
                voxel_size=(2.5, 2.6),
            )
            for i in range(2)
        ]
        steps = [
            Transform(field=fields[0].config),
            turned(10, about=(7, 7)),
            Transform(field=fields[1].config, invert=True, axes=["y", "x"]),
        ]
        return Case(source.transform(*steps, like=source, interp_order=3))


# Closed forms


def ramp(shape, slopes, voxel_size):
    """An array whose value is a linear function of the world position."""
    array = from_numpy(np.zeros(shape), voxel_size=voxel_size)
    centres = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    return from_numpy(
        centres * [float(v) for v in array.voxel_size] @ slopes, voxel_size=voxel_size
    )


@given(
    st.integers(2, 3).flatmap(
        lambda dims: st.tuples(
            st.lists(st.floats(-3, 3), min_size=dims, max_size=dims),
            st.lists(st.floats(-5, 5), min_size=dims, max_size=dims),
            st.integers(0, 359),
        )
    )
)
@settings(max_examples=30)
def test_a_linear_ramp_is_exact(drawn):
    slopes, shift, degrees = drawn
    dims = len(slopes)
    array = ramp((8, 9, 10)[:dims], slopes, (2, 0.5, 1.25)[:dims])
    like = from_numpy(np.zeros((7, 11, 6)[:dims]), voxel_size=(1, 0.7, 1.1)[:dims])
    matrix = turned(degrees, about=np.full(dims, 4.0), dims=dims)
    matrix[:dims, dims] += np.round(shift, 3)
    got = array.transform(matrix, like=like, fill=-1e6).read()
    world = np.moveaxis(np.indices(like.shape), 0, -1) @ np.diag(
        [float(v) for v in like.voxel_size]
    )
    world = world + [float(v) / 2 for v in like.voxel_size]
    places = world @ matrix[:dims, :dims].T + matrix[:dims, dims]
    half = np.array([float(v) / 2 for v in array.voxel_size])
    end = np.array([float(v) for v in array.roi.end])
    between_centres = np.all((places > half + 1e-9) & (places < end - half - 1e-9), axis=-1)
    np.testing.assert_allclose(got[between_centres], (places @ slopes)[between_centres], atol=1e-9)
    outside = np.any((places < -1e-9) | (places > end + 1e-9), axis=-1)
    assert (got[outside] == -1e6).all()


@pytest.mark.parametrize("how", [{"interp_order": 1}, {"interp_order": 3}, {"method": "spline"}])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_centroid_of_a_blob_moves_as_the_transform_says(dims, how):
    shape = (40, 44, 42)[:dims]
    voxel_size = (1, 1.5, 0.8)[:dims]
    array = from_numpy(np.zeros(shape), voxel_size=voxel_size)
    world = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    world = world * voxel_size
    blob = np.array([20.3, 32.1, 16.6])[:dims]
    array = from_numpy(np.exp(-((world - blob) ** 2).sum(-1) / (2 * 3.5**2)), voxel_size=voxel_size)
    matrix = turned(17, about=blob + 0.7, scale=1.05, dims=dims)
    moved = array.transform(matrix, like=array, **how).read()
    found = (world * moved[..., None]).reshape(-1, dims).sum(axis=0) / moved.sum()
    expected = np.linalg.solve(matrix[:dims, :dims], blob - matrix[:dims, dims])
    assert np.abs((found - expected) / voxel_size).max() < 1e-3


def test_labels_never_gain_an_id():
    known = np.array([3, 2**40, 2**64 - 1], "uint64")
    ids = np.random.default_rng(0).choice(known, (20, 20))
    array = from_numpy(ids)
    moved = array.transform(turned(33, about=(10, 10), scale=0.6), like=array).read()
    assert set(np.unique(moved)) <= {0, 3, 2**40, 2**64 - 1}


@pytest.mark.parametrize("order", [0, 1, 3])
def test_whole_voxels_are_moved_as_they_are(order):
    voxels = sample_voxels((9, 10), "float64")
    array = from_numpy(voxels, voxel_size=(9.8, 0.7), offset=(-4.9, 0.1))
    shift = [[1, 0, 19.6], [0, 1, "-7/10"], [0, 0, 1]]
    moved = array.transform(shift, like=array, interp_order=order, fill=-1).read()
    expected = np.full_like(voxels, -1)
    expected[:-2, 1:] = voxels[2:, :-1]
    np.testing.assert_array_equal(moved, expected)
    same = array.transform(like=array, interp_order=order).read()
    np.testing.assert_array_equal(same, voxels)


@given(st.data())
@settings(max_examples=40)
def test_any_block_is_that_part_of_the_whole(data):
    dims = data.draw(st.integers(2, 3))
    dtype = data.draw(st.sampled_from(["uint8", "int32", "float32"]))
    array = from_numpy(
        sample_voxels((2, *(9, 8, 7)[:dims]), dtype), axes="czyx"[:1] + "zyx"[-dims:], kind="image"
    )
    like = from_numpy(np.zeros((8, 7, 9)[:dims]), voxel_size=(1.1, 0.8, 0.9)[:dims])
    numbers = st.floats(-1.5, 1.5).map(lambda value: round(value, 3))
    matrix = np.eye(dims + 1)
    for i in range(dims):
        matrix[i] += [data.draw(numbers) for _ in range(dims + 1)]
    how = data.draw(
        st.sampled_from(
            [{"interp_order": 0}, {"interp_order": 1}, {"interp_order": 3}, {"method": "spline"}]
        )
    )
    moved = array.transform(matrix, like=like, fill=7, **how)
    whole = moved.read()
    start = [data.draw(st.integers(0, n - 1)) for n in moved.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, moved.shape, strict=True)]
    box = box_between(start, stop)
    np.testing.assert_array_equal(moved.read_box(box), whole[box.slices])


def test_large_blocks_are_the_same_on_many_threads():
    array = from_numpy(sample_voxels((40, 50, 60), "float32"))
    like = from_numpy(np.zeros((70, 80, 90), "u1"), voxel_size=(0.6, 0.6, 0.7))
    moved = array.transform(turned(12, about=(20, 25, 30), dims=3), like=like)
    whole = moved.read()
    planes = [moved.read_box(Box((i, 0, 0), (1, 80, 90))) for i in range(70)]
    np.testing.assert_array_equal(whole, np.concatenate(planes))


# What is read


def test_a_block_reads_the_box_that_it_needs(watched, unreadable):
    source = watched(from_numpy(np.ones((100, 100, 100), "float32")))
    like = unreadable(from_shape((100, 100, 100)))
    config = TransformArrayConfig(
        source_array_config=source,
        like=like.config,
        transforms=[[[1, 0, 0, 3.5], [0, 1, 0, 0], [0, 0, 1, -2], [0, 0, 0, 1]]],
    )
    moved = config.array()
    moved.read_box(Box((10, 20, 30), (4, 5, 6)))
    assert source.boxes == [Box((13, 20, 28), (5, 6, 7))]
    moved.read_box(Box((98, 0, 0), (2, 3, 1)))
    assert len(source.boxes) == 1, "nothing of the source is there: nothing is read"
    moved.read()
    assert source.boxes[1:] == [Box((3, 0, 0), (97, 100, 99))]


@pytest.mark.parametrize("degrees", [0, 30, 45])
def test_a_turned_block_reads_little_more_than_its_own_size(degrees, watched):
    source = watched(from_numpy(np.ones((500, 500), "uint8"), kind="image"))
    config = TransformArrayConfig(
        source_array_config=source,
        roi=Roi((0, 0), (500, 500)),
        voxel_size=(1, 1),
        transforms=[turned(degrees, about=(250, 250))],
    )
    config.array().read_box(Box((240, 240), (20, 20)))
    (box,) = source.boxes
    assert box.size <= (20 * np.sqrt(2) + 3) ** 2


@pytest.mark.parametrize("invert", [False, True])
def test_of_a_field_and_its_source_only_what_is_needed_is_read(invert, watched):
    vectors = np.zeros((2, 50, 50))
    vectors[:, 20:30, 20:30] = 2.0
    field = watched(from_numpy(vectors, axes="cyx", voxel_size=(2, 2)))
    source = watched(from_numpy(np.random.default_rng(0).random((100, 100))))
    config = TransformArrayConfig(
        source_array_config=source,
        roi=Roi((0, 0), (100, 100)),
        voxel_size=(1, 1),
        transforms=[Transform(field=field, axes=("y", "x"), invert=invert)],
    )
    block = config.array().read_box(Box((48, 50), (3, 3)))
    back = -2 if invert else 2
    assert source.boxes == [Box((48 + back, 50 + back), (4, 4))]
    np.testing.assert_array_equal(
        block, source.source[48 + back : 51 + back, 50 + back : 53 + back]
    )
    assert all(box.size < 2 * 14**2 for box in field.boxes)
    assert len(field.boxes) == (1 if not invert else len(field.boxes))


def test_a_source_without_voxels_has_nothing_but_fill():
    array, like = from_numpy(np.zeros((0, 4))), from_numpy(np.zeros((2, 2)))
    np.testing.assert_array_equal(array.transform(like=like, fill=2).read(), [[2, 2], [2, 2]])


def test_where_the_field_leads_out_of_the_source_nothing_is_read(watched, unreadable):
    field = watched(from_numpy(np.full((2, 10, 10), 500.0), axes="cyx"))
    source = unreadable(from_shape((10, 10), "float32"))
    config = TransformArrayConfig(
        source_array_config=source.config,
        like=source.config,
        transforms=[Transform(field=field, axes=("y", "x"))],
        fill=3,
    )
    np.testing.assert_array_equal(config.array().read(), np.full((10, 10), 3, "float32"))


def test_beyond_the_field_nothing_moves_and_nothing_of_it_is_read(unreadable):
    field = unreadable(from_shape((2, 4, 4), "float32", axes="cyx", offset=(100, 100)))
    array = from_numpy(sample_voxels((6, 6), "float32"))
    moved = array.transform(Transform(field=field.config), like=array)
    np.testing.assert_array_equal(moved.read(), array.read())


# What is said


def test_the_spec_is_the_source_s_on_the_other_grid():
    source = from_numpy(
        np.zeros((2, 5, 6, 7), "uint16"),
        axes="czyx",
        channels=("a", "b"),
        units="um",
        voxel_size=(3, 1, 1),
    )
    turn = ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    like = from_numpy(np.zeros((8, 9, 4), "f8"), offset=(1, 2, 3), units="nm", directions=turn)
    spec = source.transform(like=like).spec
    assert (spec.shape, spec.axes, spec.channels, spec.dtype) == (
        (2, 8, 9, 4),
        ("c", "z", "y", "x"),
        ("a", "b"),
        np.uint16,
    )
    assert (spec.voxel_size, spec.offset, spec.units) == (
        like.voxel_size,
        like.roi.offset,
        like.units,
    )
    np.testing.assert_array_equal(spec.voxel_to_world, like.voxel_to_world)


def test_axes_in_another_order_are_matched_by_name():
    voxels = sample_voxels((4, 5, 6), "float32")
    source = from_numpy(voxels.transpose(2, 1, 0), axes="xyz", voxel_size=(3, 2, 1))
    like = from_numpy(voxels, voxel_size=(1, 2, 3))
    np.testing.assert_array_equal(source.transform(like=like).read(), voxels)


def flat(**fields):
    return TransformArrayConfig(source_array_config=from_numpy(np.zeros((4, 4))).config, **fields)


GRID = {"roi": Roi((0, 0), (4, 4)), "voxel_size": (1, 1)}
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("fields", "key", "message"),
    [
        ({}, (), "needs one grid.*got none"),
        ({"roi": GRID["roi"]}, (), "needs one grid.*got `roi`"),
        (GRID | {"interp_order": 2}, ("interp_order",), "one of 0, 1, 3"),
        (GRID | {"method": "splines"}, ("method",), "not one of the choices"),
        (
            GRID | {"method": "spline", "interp_order": 1},
            ("interp_order",),
            "a spline is of order 3",
        ),
        (GRID | {"transforms": [np.eye(3)[:2]]}, ("affine",), "not a homogeneous matrix"),
        (GRID | {"transforms": [2 * np.eye(3)]}, ("affine",), "the last of them"),
        (GRID | {"transforms": [{}]}, (), "exactly one of"),
        (
            GRID | {"transforms": [{"affine": EYE, "file_name": "a.txt"}]},
            (),
            "`affine` and `file_name`",
        ),
        (GRID | {"transforms": [{"affine": EYE, "convention": "rsa"}]}, ("convention",), "ras"),
        (
            GRID | {"transforms": [{"file_name": "a.nii", "convention": "fsl"}]},
            ("convention",),
            "FSL",
        ),
        (
            GRID | {"transforms": [{"affine": EYE, "units": "parsecs per second"}]},
            ("units",),
            "unit of length",
        ),
    ],
)
def test_values_that_are_refused(fields, key, message):
    with pytest.raises(ConfigError, match=message) as error:
        flat(**fields)
    assert error.value.key == key


@pytest.mark.parametrize(
    ("fields", "key", "message"),
    [
        ({"roi": Roi((0,), (4,)), "voxel_size": (1, 1)}, ("roi",), "does not fit the axes"),
        ({"roi": GRID["roi"], "voxel_size": (1, 1, 1)}, ("voxel_size",), "does not fit the axes"),
        ({"roi": GRID["roi"], "voxel_size": (1, 3)}, ("roi",), "whole voxels"),
        (GRID | {"transforms": [np.eye(4)]}, ("transforms", 0), "4 rows.*expected 3"),
        (
            GRID | {"transforms": [EYE, {"affine": np.diag([0, 1, 1]), "invert": True}]},
            ("transforms", 1),
            "cannot be inverted",
        ),
        (
            GRID | {"transforms": [{"affine": EYE, "axes": ["x", "z"]}]},
            ("transforms", 0),
            "got x z",
        ),
        (
            GRID | {"transforms": [{"affine": EYE, "convention": "fsl"}]},
            ("transforms", 0, "convention"),
            "between volumes",
        ),
    ],
)
def test_transforms_that_do_not_fit(fields, key, message):
    with pytest.raises(SpecError, match=message) as error:
        flat(**fields).array()
    assert error.value.key == key


def test_a_value_to_fill_with_that_the_dtype_cannot_hold():
    array = from_numpy(np.zeros((4, 4), "uint8"))
    with pytest.raises(ConfigError, match="cannot hold") as error:
        array.transform(like=array, fill=-1)
    assert error.value.key == ("fill",)


@pytest.mark.parametrize("how", [{"interp_order": 1}, {"method": "spline"}])
@pytest.mark.parametrize("dtype", ["bool", "uint64"])
def test_labels_and_masks_are_not_interpolated(dtype, how):
    array = from_numpy(np.zeros((4, 4), dtype))
    with pytest.raises(SpecError, match="would invent values") as error:
        array.transform(like=array, **how)
    assert error.value.key == tuple(how)[:1]
    assert ("astype" in error.value.hint) == (dtype == "bool")


@pytest.mark.parametrize("code", ["SAR", "PRS", "ILP"])
def test_axes_of_different_units_may_be_exchanged(code):
    voxels = sample_voxels((3, 4, 5), "uint16")
    array = from_numpy(voxels, voxel_size=(0.5, 30, 7), offset=(2, 0, 14), units=("um", "nm", "nm"))
    turned = array.reorient(code)
    np.testing.assert_array_equal(array.transform(like=turned), turned)
    np.testing.assert_array_equal(turned.transform(like=array), array)


@pytest.mark.parametrize("axes", ["c", "wzyx"])
def test_arrays_of_too_few_or_too_many_axes_of_space_are_refused(axes):
    array = from_numpy(np.zeros((2,) * len(axes)), axes=axes)
    with pytest.raises(SpecError, match="expected one to three"):
        array.transform(like=array)
    with pytest.raises(SpecError, match="expected one to three"):
        array.points_to(array, np.zeros((1, array.dims)))


def test_arrays_of_other_axes_are_refused():
    with pytest.raises(SpecError, match="different spatial axes") as error:
        from_numpy(np.zeros((4, 4))).transform(like=from_numpy(np.zeros((4, 4, 4))))
    assert error.value.key == ("like",)


def test_a_field_of_the_wrong_shape_is_refused():
    array = from_numpy(np.zeros((4, 4)))
    field = from_numpy(np.zeros((3, 4, 4)), axes="cyx")
    with pytest.raises(SpecError, match="not a displacement field") as error:
        array.transform(field, like=array)
    assert error.value.key == ("transforms", 0)


@pytest.mark.parametrize("size", [9.0, np.nan])
def test_an_inverse_that_does_not_converge_is_an_error(size):
    array = from_numpy(np.zeros((8, 8)))
    noise = size * np.random.default_rng(0).normal(size=(2, 8, 8))
    field = from_numpy(noise, axes="cyx")
    moved = array.transform(Transform(field=field.config, axes=("y", "x"), invert=True), like=array)
    with pytest.raises(ReadError, match=r"does not converge.*points.*voxel \(\d, \d\)") as error:
        moved.read()
    assert error.value.key == ("transforms", 0)


def test_a_field_that_stretches_has_an_inverse():
    array = from_numpy(np.zeros((8, 8)))
    stretched = np.zeros((2, 8, 8))
    stretched[1] = 1.8 * (np.arange(8) - 3.5)
    field = from_numpy(stretched, axes="cyx")
    inverse = Transform(field=field.config, axes=("y", "x"), invert=True)
    got = array.points_to(array, [[2, 1.75], [5, 4]], [inverse])
    np.testing.assert_allclose(got, [[2, 3.5 - 1.75 / 2.8], [5, 3.5 + 0.5 / 2.8]], atol=1e-8)


def test_a_unit_that_is_known_on_one_side_only_is_a_warning():
    known, unknown = from_numpy(np.zeros((4, 4)), units="um"), from_numpy(np.zeros((4, 4)))
    (problem,) = verify(known.transform(like=unknown).config)
    assert (problem.code, problem.severity) == ("DL402", "warning")
    assert verify(known.transform(like=known).config) == []
    assert verify(unknown.transform(np.eye(3), like=unknown).config) == []


def test_transforms_that_lead_out_of_the_source_are_a_warning():
    array = from_numpy(np.zeros((4, 4)))
    shift = [[1, 0, 0], [0, 1, 4.1], [0, 0, 1]]
    (problem,) = verify(array.transform(shift, like=array).config)
    assert (problem.code, problem.severity) == ("DL403", "warning")
    assert verify(array.transform(np.eye(3), like=array).config) == []


def test_nothing_can_be_assigned():
    array = from_numpy(np.zeros((4, 4)))
    assert not array.transform(like=array).writable
