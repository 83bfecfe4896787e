import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import ConcatArrayConfig, IntensitiesArrayConfig, Roi, from_numpy
from dacapo_like.core import UnaryConfig
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


def concat(channels, sources, default=None):
    return ConcatArrayConfig(
        channels=channels,
        source_array_configs={name: array.config for name, array in sources.items()},
        default_config=None if default is None else default.config,
    ).array()


class TestLaws(ArrayContract):
    def case_order_default_and_promotion(self, directory):
        grid = {"voxel_size": (9.8, 25), "offset": (-4.9, 50), "units": "nm"}
        a, b, d = (
            sample_voxels((4, 5), dtype, i) for i, dtype in enumerate(("uint8", "int16", "bool"))
        )
        array = concat(
            ("x", "b", "y", "a"),
            {"a": as_zarr(a, directory / "a", **grid), "b": as_zarr(b, directory / "b", **grid)},
            as_zarr(d, directory / "d", **grid),
        )
        return Case(array, np.stack([d.astype("int16"), b, d.astype("int16"), a.astype("int16")]))

    def case_zeros_and_the_common_region(self, directory):
        a, b = sample_voxels((4, 5, 6), "uint16"), sample_voxels((5, 3, 9), "uint16", 1)
        array = concat(
            ("none", "b", "a"),
            {
                "a": as_zarr(a, directory / "a", voxel_size=(0.7, 4, 4), offset=(0.7, -8, 4)),
                "b": as_zarr(b, directory / "b", voxel_size=(0.7, 4, 4), offset=(0, -4, -8)),
            },
        )
        a, b = a[:, 1:4], b[1:, :, 3:]
        return Case(array, np.stack([np.zeros_like(a), b, a]))

    def case_units_are_converted(self, directory):
        a, b = sample_voxels((4, 5), "float32"), sample_voxels((4, 5), "float64", 1)
        array = concat(
            ("um", "nm"),
            {
                "nm": as_zarr(
                    a, directory / "a", voxel_size=(700, 25), offset=(700, 0), units="nm"
                ),
                "um": as_zarr(b, directory / "b", voxel_size=(0.7, 0.025), units=("um", "micron")),
            },
        )
        return Case(array, np.stack([b[1:], a[:3].astype("float64")]))

    def case_sources_with_channels_and_time(self, directory):
        a = sample_voxels((2, 3, 4, 5), "uint32")  # t c y x
        b = sample_voxels((2, 4, 5), "uint8", 1)  # t y x
        c = sample_voxels((2, 2, 4, 5), "uint32", 2)  # c t y x
        array = concat(
            ("b", "a", "c", "again"),
            {
                "a": as_zarr(a, directory / "a", axes="tcyx"),
                "b": as_zarr(b, directory / "b", axes="tyx"),
                "c": as_zarr(c, directory / "c", axes="ctyx"),
            },
            as_zarr(b, directory / "d", axes="tyx", kind="labels"),
        )
        return Case(array, np.concatenate([b[None], a.transpose(1, 0, 2, 3), c, b[None]]))

    def case_a_default_with_channels_for_two_names(self, directory):
        a, d = sample_voxels((4, 5), "uint8"), sample_voxels((3, 4, 5), "uint8", 1)
        array = concat(
            ("x", "a", "y"),
            {"a": as_zarr(a, directory / "a")},
            as_zarr(d, directory / "d", axes="cyx"),
        )
        return Case(array, np.concatenate([d, a[None], d]))

    def case_only_a_default(self, directory):
        voxels = sample_voxels((3, 4), "uint64")
        return Case(
            concat(("a", "b"), {}, as_zarr(voxels, directory / "a")), np.stack([voxels] * 2)
        )

    def case_parts_of_one_source(self, directory):
        voxels = sample_voxels((6, 8), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(2, 2))
        crop = source.crop(Roi((2, 4), (8, 10)))
        array = concat(
            ("all", "crop", "scaled"),
            {
                "all": source,
                "crop": crop,
                "scaled": source.intensities(min=0, max=256),
            },
        )
        part = voxels[1:5, 2:7].astype("float32")
        return Case(array, np.stack([part, part, part / 256]))


def plane(dtype="uint8", shape=(4, 5), seed=0, **fields):
    fields = {"voxel_size": (10, 4), "units": "nm", **fields}
    return from_numpy(sample_voxels(shape, dtype, seed), **fields)


def test_the_spec_has_the_first_input_s_grid():
    a = plane(offset=(10, 0), units=("nm", "um"), kind="image")
    b = plane(
        "int16", shape=(2, 3, 9), axes="cyx", offset=(0, -4000), units="nm", voxel_size=(10, 4000)
    )
    array = concat(("b", "none", "a"), {"a": a, "b": b})
    assert array.spec == from_shape(
        (4, 2, 5),
        "int16",
        axes="cyx",
        voxel_size=(10, 4),
        offset=(10, 0),
        units=("nm", "um"),
        channels=("b.0", "b.1", "none", "a"),
        kind="image",
    )


def test_channels_of_channels_keep_their_names():
    a = plane(shape=(2, 4, 5), axes="cyx", channels=("DAPI", "GFP"))
    one = plane(shape=(1, 4, 5), axes="cyx", channels=("RFP",))
    assert concat(("one", "a"), {"a": a, "one": one}).channels == ("one", "a.DAPI", "a.GFP")


@pytest.mark.parametrize(
    ("dtypes", "kind"),
    [(("uint32", "uint64"), "labels"), (("bool", "bool"), "mask"), (("bool", "uint32"), "image")],
)
def test_the_kind_is_the_inputs_where_they_agree(dtypes, kind):
    first, second = map(plane, dtypes)
    assert concat(("a", "b"), {"a": first, "b": second}).kind == kind


@pytest.mark.parametrize(
    ("dtypes", "promoted"),
    [
        (("uint8", "uint16"), "uint16"),
        (("uint8", "int8"), "int16"),
        (("bool", "uint8"), "uint8"),
        (("int16", "float32"), "float32"),
        (("uint32", "float32"), "float64"),
        (("float32", "float64"), "float64"),
    ],
)
def test_dtypes_are_promoted_as_numpy_does(dtypes, promoted):
    first, second = map(plane, dtypes)
    array = concat(("a", "none", "b"), {"a": first, "b": second})
    assert array.dtype == promoted
    expected = np.stack([first.read(), np.zeros((4, 5), promoted), second.read()], dtype=promoted)
    np.testing.assert_array_equal(array, expected)


def test_labels_are_never_made_floats():
    with pytest.raises(SpecError, match="no integer dtype holds all sources") as error:
        concat(("a", "b"), {"a": plane("int64"), "b": plane("uint64")})
    assert error.value.got == "int64, uint64"
    assert error.value.key == ("sources",)


def test_the_method_names_the_first_channel():
    a, b = plane(), plane("uint16")
    array = a.concat({"b": b}, name="a")
    assert array.config == concat(("a", "b"), {"a": a, "b": b}).config
    assert a.concat({"b": b}, name="a", channels=("b", "none", "a")).channels == ("b", "none", "a")


@pytest.mark.parametrize("key", ["source_array_configs", "sources"])
def test_a_document_s_default_serves_every_channel_without_a_source(tmp_path, key):
    a, d = sample_voxels((4, 5), "uint8"), sample_voxels((4, 5), "uint8", 1)
    as_zarr(a, tmp_path / "a")
    as_zarr(d, tmp_path / "d")
    document = {
        "type": "concat",
        "channels": ["y", "a", "x"],
        key: {"a": {"type": "zarr", "file_name": str(tmp_path / "a")}},
        "default_config": {"type": "zarr", "file_name": str(tmp_path / "d")},
    }
    array = dacapo_like.open_array(document)
    assert array.channels == ("y", "a", "x")
    np.testing.assert_array_equal(array, [d, a, d])
    del document["default_config"]
    np.testing.assert_array_equal(dacapo_like.open_array(document), [0 * a, a, 0 * a])


@given(data=st.data())
def test_every_channel_is_its_source_the_default_or_zero(data):
    names = data.draw(st.permutations("abcd"))
    given_names = data.draw(st.sets(st.sampled_from(names), min_size=1))
    arrays = {name: plane(seed=i) for i, name in enumerate(sorted(given_names))}
    default = data.draw(st.none() | st.builds(plane, seed=st.just(9)))
    result = concat(names, arrays, default).read()
    for channel, name in zip(result, names, strict=True):
        expected = arrays.get(name, default)
        np.testing.assert_array_equal(channel, 0 if expected is None else expected.read())


# What is read


def test_channels_that_are_not_wanted_are_not_read(watched):
    a, b, d = (watched(plane()) for _ in range(3))
    array = ConcatArrayConfig(
        channels=("a", "x", "b"), source_array_configs={"a": a, "b": b}, default_config=d
    ).array()
    array[2:3, 1:2]
    assert (a.boxes, b.boxes, d.boxes) == ([], [Box((1, 0), (1, 5))], [])
    array[0:2, :, 2:3]
    assert (a.boxes, len(b.boxes), d.boxes) == ([Box((0, 2), (4, 1))], 1, [Box((0, 2), (4, 1))])


def test_only_the_subchannels_that_are_wanted_are_read(watched):
    source = watched(plane(shape=(5, 4, 5), axes="cyx"))
    array = ConcatArrayConfig(channels=("none", "a"), source_array_configs={"a": source}).array()
    array[2:4]
    assert source.boxes == [Box((1, 0, 0), (2, 4, 5))]


def test_a_channel_of_zeros_reads_nothing(unreadable):
    source = unreadable(from_shape((4, 5)))
    array = concat(("a", "none"), {"a": source})
    assert not array[1].any()


def test_equal_nodes_are_read_once(watched):
    source = watched(plane())
    same = dacapo_like.CropArrayConfig(source_array_config=source, roi=Roi((0, 0), (40, 20)))
    configs = {
        "a": source,
        "b": IntensitiesArrayConfig(source_array_config=source, min=0, max=1),
        "c": IntensitiesArrayConfig(source_array_config=source, min=0, max=1, name="other"),
        "d": same,
    }
    array = ConcatArrayConfig(channels=tuple(configs), source_array_configs=configs).array()
    array.read()
    assert source.boxes == [Box((0, 0), (4, 5))]
    source.boxes.clear()
    array[:, 1:3, 4:]
    assert source.boxes == [Box((1, 4), (2, 1))]


def test_overlapping_boxes_of_one_source_are_read_once(watched):
    source = watched(plane(shape=(40, 5), voxel_size=(2, 4)))
    pair = {
        "a": source,
        "b": dacapo_like.ResampledArrayConfig(
            source_array_config=dacapo_like.ResampledArrayConfig(
                source_array_config=source, upsample=(2, 1)
            ),
            downsample=(2, 1),
        ),
    }
    array = ConcatArrayConfig(channels=("a", "b"), source_array_configs=pair).array()
    array[:, 10:20]
    assert source.boxes == [Box((9, 0), (12, 5))]  # the linear halo holds what `a` wants


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NotesItsBlock(UnaryConfig):
    """Passes its source on, and notes whether it might have written into the block."""

    label: str
    writeable: dict[str, bool] = attrs.field(eq=False)

    def derive(self, *inputs):
        return inputs[0]

    def needs(self, box, *inputs):
        return (box,)

    def compute(self, box, *blocks, out=None):
        self.writeable[self.label] = blocks[0].data.flags.writeable
        return blocks[0].data


def test_a_block_that_two_operators_share_is_read_only(watched):
    shared, alone, writeable = watched(plane()), watched(plane()), {}
    sources = {
        label: NotesItsBlock(source_array_config=source, label=label, writeable=writeable)
        for label, source in {"first": shared, "second": shared, "only": alone}.items()
    }
    ConcatArrayConfig(channels=tuple(sources), source_array_configs=sources).array().read()
    assert writeable == {"first": False, "second": False, "only": True}


# What is refused


def test_a_source_that_is_no_channel_is_refused():
    with pytest.raises(ConfigError, match="a source that is no channel") as error:
        concat(("raw", "mito"), {"raw": plane(), "mitos": plane()})
    assert error.value.got == "mitos"
    assert error.value.hint == "did you mean 'mito'?"
    assert error.value.key == ("sources", "mitos")


def test_channels_are_named_once():
    with pytest.raises(ConfigError, match="channels repeat") as error:
        concat(("a", "b", "a"), {"a": plane()})
    assert error.value.key == ("channels",)


def test_something_must_be_concatenated():
    with pytest.raises(ConfigError, match="nothing to concatenate") as error:
        concat(("a",), {})
    assert error.value.key == ("sources",)


def test_there_must_be_channels():
    with pytest.raises(ConfigError, match="nothing to concatenate") as error:
        concat((), {}, plane())
    assert error.value.key == ("channels",)


def refusal(**second):
    with pytest.raises(SpecError) as error:
        concat(("a", "b"), {"a": plane(), "b": plane(**second)})
    assert error.value.where == "concat"
    return error.value


def test_different_voxel_sizes_are_refused():
    error = refusal(voxel_size=(9.8, 4))
    assert error.what == "arrays with different voxel sizes"
    assert error.got == "b has (9.8, 4) nm"
    assert error.expected == "(10, 4) nm as a has"
    assert error.hint == "resample one of them first"


def test_equal_numbers_in_different_units_are_different_voxel_sizes():
    error = refusal(units="um")
    assert error.what == "arrays with different voxel sizes"
    assert "um" in error.got
    assert "nm" in error.expected


@pytest.mark.parametrize("offset", [(5, 0), (-5, 2), (25, 42)])
def test_grids_half_a_voxel_apart_name_the_anchor(offset):
    error = refusal(offset=offset)
    assert error.what == "arrays whose grids do not align"
    assert "exactly half a voxel" in error.hint
    assert "`anchor: corner`" in error.hint


@pytest.mark.parametrize("offset", [(3, 0), (5, 1), (0, 0.001)])
def test_other_misfits_do_not_name_the_anchor(offset):
    error = refusal(offset=offset)
    assert error.what == "arrays whose grids do not align"
    assert "anchor" not in error.hint


def test_arrays_without_a_common_region_are_refused():
    error = refusal(offset=(40, 0))
    assert error.what == "the arrays have no region in common"
    assert "Roi(offset=(0, 0), shape=(40, 20))" in error.got
    assert "Roi(offset=(40, 0), shape=(40, 20))" in error.got


def test_different_spatial_axes_are_refused():
    error = refusal(axes="zx")
    assert error.what == "arrays with different spatial axes"
    assert "z x" in error.got
    assert "y x" in error.expected


def test_different_directions_are_refused():
    error = refusal(directions=((0, 1), (1, 0)))
    assert error.what == "arrays whose axes point in different directions"


@pytest.mark.parametrize(
    "second", [{"shape": (2, 4, 5), "axes": "tyx"}, {"shape": (2, 2, 4, 5), "axes": "tcyx"}]
)
def test_different_leading_axes_are_refused(second):
    error = refusal(**second)
    assert error.what == "arrays with different leading axes"
    assert error.key == ("sources",)


def test_times_of_different_length_are_refused():
    first, second = plane(shape=(2, 4, 5), axes="tyx"), plane(shape=(3, 4, 5), axes="tyx")
    with pytest.raises(SpecError, match="arrays with different leading axes"):
        concat(("a", "b"), {"a": first, "b": second})


# Remarks


def test_units_known_for_some_only_are_a_warning():
    array = concat(("a", "b"), {"a": plane(), "b": plane(units=None)})
    (problem,) = dacapo_like.verify(array.config)
    assert (problem.code, problem.severity, problem.key) == ("DL402", "warning", "sources")
    assert array.units == ("nm", "nm")


@pytest.mark.parametrize("units", ["nm", None])
def test_units_known_for_all_or_none_are_no_warning(units):
    array = concat(("a", "b"), {"a": plane(units=units), "b": plane("int16", units=units)})
    assert dacapo_like.verify(array.config) == []


def test_what_is_known_of_units_is_not_lost_where_the_first_does_not_say():
    array = concat(("a", "b"), {"a": plane(units=None), "b": plane()})
    assert array.units == (None, None)  # none is invented: the grid is the first one's


def test_names_that_subchannels_would_take_twice_are_refused():
    two, one = plane(shape=(2, 4, 5), axes="cyx"), plane()
    with pytest.raises(SpecError, match=r"channels of one name \(got a\.0") as error:
        concat(("a", "a.0"), {"a": two, "a.0": one})
    assert error.value.key == ("channels",)


def test_channels_are_a_list_and_not_one_text():
    with pytest.raises(ConfigError, match="one text") as error:
        concat("ab", {"a": plane()})
    assert error.value.key == ("channels",)


def doubled(array, times):
    for _ in range(times):
        array = array.concat({"b": array}, name="a")
    return array


def test_channels_of_channels_do_not_grow_without_end():
    assert doubled(plane(), 6).num_channels == 64
    with pytest.raises(SpecError, match="too many channels") as error:
        doubled(plane(), 40)
    assert error.value.key == ("channels",)
    assert "65536" in str(error.value)
