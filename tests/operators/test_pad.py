import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import PadArrayConfig, Roi, create_array, from_numpy, load, verify
from dacapo_like.errors import ConfigError, InvalidDocumentError, SpecError, WriteError
from dacapo_like.geometry import Box, box_between
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_zeros_around_a_plane(self, directory):
        voxels = sample_voxels((4, 5), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7), offset=(-4.9, 0))
        padded = source.pad((9.8, 2.1), (19.6, 0))
        return Case(padded, np.pad(voxels, [(1, 2), (3, 0)]))

    def case_a_constant_around_channels(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "float32")
        source = as_zarr(voxels, directory / "a", axes="tcyx", voxel_size=(25, 4))
        padded = source.pad((50, 0), (25, 8), fill={"constant": -1.5})
        around = [(0, 0), (0, 0), (2, 1), (0, 2)]
        return Case(padded, np.pad(voxels, around, constant_values=-1.5))

    def case_edges_of_a_volume(self, directory):
        voxels = sample_voxels((3, 4, 5), "int16")
        source = as_zarr(voxels, directory / "a")
        padded = source.pad((4, 0, 1), (1, 5, 2), fill="edge")
        return Case(padded, np.pad(voxels, [(4, 1), (0, 5), (1, 2)], mode="edge"))

    def case_reflections_wider_than_the_array(self, directory):
        voxels = sample_voxels((3, 1, 4), "uint64")
        source = as_zarr(voxels, directory / "a", voxel_size=(40, 4, 4))
        padded = source.pad((280, 8, 0), (40, 4, 20), fill="reflect")
        return Case(padded, np.pad(voxels, [(7, 1), (2, 1), (0, 5)], mode="reflect"))

    def case_only_behind_and_snapped(self, directory):
        voxels = sample_voxels((4, 4), "bool")
        source = as_zarr(voxels, directory / "a", voxel_size=(10, 10))
        return Case(source.pad(after=(1, 20), snap="grow"), np.pad(voxels, [(0, 1), (0, 2)]))

    def case_a_border_around_a_border(self, directory):
        voxels = sample_voxels((3, 4), "uint16")
        padded = as_zarr(voxels, directory / "a").pad((1, 1), fill="edge").pad((2, 0), (1, 1))
        expected = np.pad(np.pad(voxels, [(1, 0), (1, 0)], mode="edge"), [(2, 1), (0, 1)])
        return Case(padded, expected)


@given(data=st.data())
def test_the_whole_array_is_what_reading_with_pad_gives(data):
    """One rule, whether it is asked for by a read or by an operator."""
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    before, after = (data.draw(st.tuples(*[st.integers(0, 9)] * 2)) for _ in range(2))
    fill = data.draw(st.sampled_from(["edge", "reflect", {"constant": 7}]))
    source = from_numpy(sample_voxels(shape, "uint8"))
    around = box_between([-n for n in before], [n + m for n, m in zip(shape, after, strict=True)])
    padded = source.pad(before, after, fill=fill)
    np.testing.assert_array_equal(padded.read(), source.read_box(around, pad=fill))
    assert padded.spec.offset == tuple(-n for n in before)
    whole = padded.read()
    for box in (Box((0, 0), (1, 1)), Box((before[0], 0), (shape[0], before[1] + 1))):
        np.testing.assert_array_equal(padded.read_box(box), whole[box.slices])


def test_the_spec_is_the_source_s_but_for_its_extent():
    source = from_numpy(
        np.zeros((2, 8, 10), "uint32"),
        axes="cyx",
        channels=("a", "b"),
        units=("um", None),
        kind="image",
        voxel_size=(9.8, 4),
        directions=((0.6, 0.8), (-0.8, 0.6)),
    )
    padded = source.pad((9.8, 4), (0, 8))
    assert padded.spec == source.spec.replace(shape=(2, 9, 13), offset=(-9.8, -4))
    assert padded.roi == Roi((-9.8, -4), (9 * 98 / 10, 52))
    inside = padded.voxel_to_world @ [3, 4, 1]
    np.testing.assert_allclose(inside, source.voxel_to_world @ [2, 3, 1])


@pytest.mark.parametrize(
    ("fill", "box", "read"),
    [
        ({"constant": 0}, Box((0, 0), (5, 9)), []),
        ({"constant": 0}, Box((3, 4), (3, 3)), [Box((0, 0), (1, 2))]),
        ("edge", Box((0, 0), (5, 9)), [Box((0, 0), (1, 4))]),
        ("edge", Box((0, 0), (2, 2)), [Box((0, 0), (1, 1))]),
        ("reflect", Box((3, 5), (2, 2)), [Box((1, 0), (2, 2))]),
        ("reflect", Box((6, 6), (2, 2)), [Box((1, 1), (2, 2))]),
    ],
)
def test_a_block_reads_only_what_it_shows(watched, fill, box, read):
    source = watched(from_numpy(np.zeros((4, 6), "uint8")))
    padded = PadArrayConfig(source_array_config=source, before=(5, 5), after=(9, 9), fill=fill)
    padded.array().read_box(box)
    assert source.boxes == read


def test_no_voxel_is_read_to_open(unreadable):
    source = unreadable(from_shape((8, 8)))
    assert source.pad((10**9, 0)).shape == (10**9 + 8, 8)


def grid(dtype="uint8"):
    return from_numpy(np.zeros((8, 10), dtype), voxel_size=(10, 4))


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"before": (-10, 0)}, "before"),
        ({"after": (0, -4)}, "after"),
        ({"before": (0, 0), "fill": "mirror"}, "fill"),
        ({"before": (0, 0), "fill": {"value": 0}}, "fill"),
        ({"before": (0, 0), "fill": {"constant": 0, "edge": 1}}, "fill"),
        ({"before": (0, 0), "fill": 3}, "fill"),
    ],
)
def test_what_is_wrong_whatever_the_source(fields, key):
    with pytest.raises(ConfigError) as error:
        grid().pad(**fields)
    assert error.value.key == (key,)


def test_nothing_to_pad_is_refused():
    with pytest.raises(ConfigError, match="nothing to pad"):
        grid().pad()


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"before": (5, 0)}, "before"),
        ({"before": (0, 0), "after": (10, 3)}, "after"),
        ({"before": (0, 0, 0)}, "before"),
        ({"after": (10,)}, "after"),
    ],
)
def test_a_border_that_does_not_fit_the_grid(fields, key):
    with pytest.raises(SpecError) as error:
        grid().pad(**fields)
    assert error.value.key == (key,)


def test_snapping_is_the_crop_s():
    for snap, shape in {"grow": (10, 11), "shrink": (8, 10), "nearest": (9, 11)}.items():
        padded = grid().pad((5, 3), (5, 0), snap=snap)
        assert padded.shape == shape
        region = grid().spec.roi.grow((5, 3), (5, 0))
        assert padded.spec.roi == grid().spec.box_to_roi(grid().spec.roi_to_box(region, snap=snap))


@pytest.mark.parametrize(("value", "dtype"), [(256, "uint8"), (0.5, "int16"), (2, "bool")])
def test_a_constant_that_the_dtype_cannot_hold(value, dtype):
    with pytest.raises(ConfigError, match="cannot hold") as error:
        grid(dtype).pad((10, 4), fill={"constant": value})
    assert error.value.key == ("fill", "constant")


def test_documents_say_where_the_fill_is_wrong(tmp_path):
    array = as_zarr(np.zeros((4, 4), "uint8"), tmp_path / "a.zarr")
    source = f"type: zarr, file_name: {array.config.file_name}"
    path = tmp_path / "a.yaml"
    path.write_text(f"type: pad\nsource: {{{source}}}\nbefore: [1, 1]\nfill: egde\n")
    (problem,) = verify(path)
    assert (problem.code, problem.key, problem.line) == ("DL104", "fill", 4)
    assert "edge" in problem.hint
    path.write_text(f"type: pad\nsource: {{{source}}}\nbefore: [1, 1]\nfill: {{constant: 300}}\n")
    (problem,) = verify(path)
    assert (problem.key, problem.line) == ("fill.constant", 4)
    path.write_text(f"type: pad\nsource: {{{source}}}\nbefore: [1, 1]\nfill: {{value: 3}}\n")
    (problem,) = verify(path)
    assert "got {'value': 3}" in problem.message
    path.write_text(f"type: pad\nsource: {{{source}}}\nbefore: [1, 1]\nfill: 7\n")
    with pytest.raises(InvalidDocumentError, match="expected text or a mapping"):
        load(path)


def test_nothing_is_written_through_it(tmp_path):
    source = create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="yx",
        roi=Roi((0, 0), (4, 4)),
        voxel_size=(1, 1),
        dtype="uint8",
    )
    padded = source.pad((1, 1))
    assert not padded.writable
    reason = re.escape("its border is not stored: write to its source")
    with pytest.raises(WriteError, match=reason):
        padded[1:2, 1:2] = 3
