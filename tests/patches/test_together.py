"""Arrays patched together: every voxel that is read is where the patch is, by exact fractions and by enumeration."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dacapo_like import Roi, engine, from_numpy
from dacapo_like.errors import ConfigError, DacapoLikeError, RegionError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.patches.extract import extract
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.together import Together


def line(length, voxel_size=1, offset=0, *, units=None, dtype="int64", **options):
    """Give an array over one axis whose voxels are their own indices."""
    data = np.arange(length).astype(dtype)
    return from_numpy(
        data, axes="x", voxel_size=[voxel_size], offset=[offset], units=units, **options
    )


def field(shape, voxel_size, offset, units="nm"):
    """Give an array with two channels: the index of each voxel along the first and the second axis."""
    data = np.stack(np.indices(shape))
    return from_numpy(data, axes="cyx", voxel_size=voxel_size, offset=offset, units=units)


RAW = field((30, 40), (8, 4), (80, 40))
GT = field((40, 30), (0.008, 0.008), (0.056, 0.024), units="um")


def test_raw_with_context_and_labels_without():
    both = Together({"raw": RAW, "gt": GT}, (4, 6), context=(1, 3))
    assert both.shapes == {"raw": (2, 6, 12), "gt": (2, 4, 3)}
    for patch in both.grid(overlap=(1, 2)):
        found = both.read(patch)
        region = patch.lattice.roi(patch.box)
        for name, array, grown in (("raw", RAW, Coordinate(8, 12)), ("gt", GT, Coordinate(0, 0))):
            size = array.spec.voxel_size * (1000 if name == "gt" else 1)
            offset = array.spec.offset * (1000 if name == "gt" else 1)
            first = (region.offset - grown - offset) / size
            shape = (region.shape + grown * 2) / size
            expected = np.stack(np.indices(tuple(shape))) + np.reshape(first, (2, 1, 1)).astype(int)
            np.testing.assert_array_equal(found[name], expected)


def test_a_patch_extracts_what_the_reference_gives():
    both = Together({"gt": GT, "raw": RAW}, (4, 6), of="raw", context={"raw": (1, 3), "gt": 2})
    patch = both.patch((2, 1))
    np.testing.assert_array_equal(extract(RAW, patch), both.read(patch)["raw"])
    assert patch.roi == both.lattice.roi(patch.read)
    assert list(both.read(patch)) == ["gt", "raw"]


def test_world_units_are_those_of_the_reference():
    in_world = Together(
        {"raw": RAW, "gt": GT}, (32, 24), units="world", context={"raw": (8, 12), "gt": (16, 8)}
    )
    in_voxels = Together({"raw": RAW, "gt": GT}, (4, 6), context={"raw": (1, 3), "gt": (2, 1)})
    assert in_world.shapes == in_voxels.shapes
    assert in_world.positions == in_voxels.positions
    assert in_world.grid(overlap=(8, 8)) == in_voxels.grid(overlap=(1, 2))
    assert in_voxels.grid(overlap=0.5) == in_world.grid(overlap=0.5)
    assert in_voxels.grid(stride=(2, 2)) == in_world.grid(stride=(16, 8))


def test_grids_of_a_member_are_read_in_the_world():
    both = Together({"raw": RAW, "gt": GT}, (4, 6), context=1, pad="edge")
    grid = PatchGrid(RAW, (4, 6), context=9, edge="drop")
    patch = grid[3]
    assert both.read(patch)["raw"].shape == (2, 6, 8)
    np.testing.assert_array_equal(
        both.read(patch)["raw"][:, 1:-1, 1:-1], RAW[(slice(None), *patch.box.slices)]
    )


def test_what_a_grid_pads_is_filled_in_every_array():
    raw, gt = line(20), line(10, 2)
    both = Together({"raw": raw, "gt": gt}, 4, pad={"raw": "edge", "gt": {"constant": -1}})
    grid = PatchGrid(Roi([0], [6]), [4], voxel_size=[1], edge="pad")
    found = both.read(grid[1])
    assert found["raw"].tolist() == [4, 5, 5, 5]
    assert found["gt"].tolist() == [2, -1]


SIZES = st.sampled_from([1, 2, 3, 4, Fraction(1, 2), Fraction(3, 2), Fraction(49, 5), 6])
OFFSETS = st.sampled_from([0, 1, -2, 7, Fraction(1, 2), Fraction(1, 4), Fraction(49, 5)])
ARRAYS = st.lists(
    st.tuples(st.integers(1, 60), SIZES, OFFSETS, st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=3,
)


def fits(place, patch, arrays):
    """Say whether a patch that begins at a voxel of the first array is whole voxels of all, and inside of them."""
    start = arrays[0][2] + place * arrays[0][1]
    for length, size, offset, context, padded in arrays:
        first, count = (start - offset) / size, patch * arrays[0][1] / size
        border = 0 if padded else context
        if Fraction(first).denominator != 1 or Fraction(count).denominator != 1:
            return False
        if first < border or first + count > length - border:
            return False
    return True


@given(arrays=ARRAYS, patch=st.integers(1, 12))
def test_places_are_all_those_that_fit(arrays, patch):
    by_name = {
        str(i): line(length, size, offset) for i, (length, size, offset, _, _) in enumerate(arrays)
    }
    options = {
        "context": {str(i): context for i, (*_, context, _) in enumerate(arrays)},
        "pad": {str(i): "edge" if padded else "error" for i, (*_, padded) in enumerate(arrays)},
    }
    expected = [n for n in range(-9, 80) if fits(n, patch, arrays)]
    try:
        together = Together(by_name, patch, **options)
    except SpecError:
        assert not expected
        return
    count = together.positions.counts[0]
    found = [together.patch((k,)) for k in range(count)]
    assert [p.box.offset[0] for p in found] == expected
    for k, p in enumerate(found):
        assert together.positions.nearest(p.box.offset) == (k,)
        for name, voxels in together.read(p).items():
            assert voxels.shape == together.shapes[name]


@given(
    sizes=st.permutations([2, 3, 5, 7]).map(lambda sizes: sizes[:3]),
    offsets=st.tuples(*[st.integers(-9, 9)] * 3),
)
def test_places_on_grids_that_seldom_meet(sizes, offsets):
    every = math.prod(sizes)
    arrays = [(500, 1, 0, 0, False)]
    arrays += [(500, size, offset, 0, False) for size, offset in zip(sizes, offsets, strict=True)]
    by_name = {str(i): line(*array[:3]) for i, array in enumerate(arrays)}
    together = Together(by_name, every)
    found = [together.patch((k,)).box.offset[0] for k in range(together.positions.counts[0])]
    assert found == [n for n in range(-9, 500) if fits(n, every, arrays)]
    for n in range(-20, 500):
        (place,) = together.positions.nearest((n,))
        (start,) = together.positions.start((place,))
        assert -every <= 2 * (start - n) < every


@given(arrays=ARRAYS, patch=st.integers(1, 12), overlap=st.sampled_from([0, 0.5]))
def test_grids_fit_all_arrays_and_cover_what_can_be_covered(arrays, patch, overlap):
    by_name = {
        str(i): line(length, size, offset) for i, (length, size, offset, _, _) in enumerate(arrays)
    }
    options = {"context": {str(i): context for i, (*_, context, _) in enumerate(arrays)}}
    try:
        together = Together(by_name, patch, **options)
    except SpecError:
        assume(False)
    grid = together.grid(overlap=overlap)
    roi = together.roi
    assert grid[0].write_roi.offset == roi.offset
    assert grid[-1].write_roi.end == roi.end
    for p in grid:
        assert roi.contains(p.lattice.roi(p.box))
        together.read(p)


def test_a_read_for_each_array(monkeypatch):
    both = Together({"raw": RAW, "gt": GT}, (4, 6), context=50, pad="reflect")
    patch = both.grid()[0]
    reads = []
    start = engine.Readout.start
    monkeypatch.setattr(engine.Readout, "start", lambda *args: reads.append(args) or start(*args))
    both.read(patch)
    assert len(reads) == 2
    assert list(both.read(patch, ["gt"])) == ["gt"]
    assert len(reads) == 3


def test_unknown_units_are_those_of_the_others():
    both = Together({"raw": line(8, 4, units="nm"), "gt": line(4, 8)}, 2)
    assert both.read(both.patch((1,)))["gt"].tolist() == [1]


def test_pickles():
    both = Together({"raw": RAW, "gt": GT}, (4, 6), context=(1, 3))
    again = pickle.loads(pickle.dumps(both))
    assert again.positions == both.positions
    for name, voxels in both.read(both.patch((1, 1))).items():
        np.testing.assert_array_equal(again.read(again.patch((1, 1)))[name], voxels)


TURNED = from_numpy(np.zeros((4, 4)), directions=((0, 1), (1, 0)))


@pytest.mark.parametrize(
    ("arrays", "patch", "options", "message"),
    [
        ({"a": line(9, 4), "b": line(9, 8)}, 3, {}, "not of whole voxels .*1.5.* voxels of b"),
        ({"a": line(9, 4), "b": line(9, 8, 2)}, 4, {}, "grids do not align .*b starts .*half a voxel"),
        ({"a": line(9, 4), "b": line(9, 4, 1)}, 4, {}, "grids do not align .*correct its offset"),
        ({"a": line(9), "b": line(9, 1, 7)}, 3, {}, "no patch fits .*b covers"),
        ({"a": line(9)}, 3, {"context": 4}, "no patch fits .*context .4. voxels.*pad"),
        ({"a": line(9)}, 10, {"pad": "edge"}, "no patch fits"),
        ({"a": line(9), "b": RAW}, 3, {}, "different spatial axes .*b has y x"),
        ({"a": RAW, "b": TURNED}, 2, {}, "different directions .*reorient"),
        ({}, 3, {}, "no arrays"),
        ([line(9)], 3, {}, "no arrays"),
        ({"a": np.zeros(9)}, 3, {}, "a is no array .*from_numpy"),
        ({"a": line(9)}, 3, {"of": "aa"}, "no array of this name .*did you mean 'a'"),
        ({"raw": line(9)}, 3, {"context": {"rwa": 1}}, "no array of this name .*did you mean 'raw'"),
        ({"raw": line(9)}, 3, {"pad": {"rwa": "edge"}}, "no array of this name"),
        ({"a": line(9)}, 3, {"pad": "wrap"}, "unknown way to pad"),
        ({"a": line(9, dtype="uint8")}, 3, {"pad": {"constant": -1}}, "dtype cannot hold"),
        ({"a": line(9)}, 3, {"units": "nm"}, "not one of the choices"),
        ({"a": line(9)}, (3, 3), {}, "does not fit the axes"),
        ({"a": line(9)}, 2.5, {}, "not in whole voxels"),
        ({"a": line(9, 4)}, 6, {"units": "world"}, "patch is not in whole voxels"),
        ({"a": line(9, 4)}, 8, {"units": "world", "context": 2}, "context of a is not in whole"),
        ({"a": line(9), "b": line(9, 2)}, 4, {"units": "world", "context": {"b": 1}}, "of b is not"),
        ({"a": line(9)}, 3, {"context": -1}, "context of a is not in whole"),
    ],
)  # fmt: skip
def test_misfits_are_errors_when_it_is_built(arrays, patch, options, message):
    with pytest.raises((SpecError, ConfigError), match=message):
        Together(arrays, patch, **options)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (Roi([4], [8]), "patch is not on the voxel grid .*whole voxels of b"),
        (Roi([0], [4]), "whole voxels of b"),
        (Roi([2], [8]), "multiples of .4. from .0."),
        (Roi([32], [8]), "patch leaves the array"),
        (PatchGrid((9,), (2,))[0], "no place in the world"),
    ],
)
def test_patches_that_cannot_be_read(patch, message):
    both = Together({"a": line(9, 4), "b": line(9, 8)}, 2)
    with pytest.raises(RegionError, match=message):
        both.read(patch)


def test_a_stride_that_leaves_the_grid_of_an_array():
    both = Together({"a": line(9, 4), "b": line(9, 8)}, 2)
    with pytest.raises(DacapoLikeError, match="stride is not in whole voxels"):
        both.grid(stride=1)
    assert [p.box for p in both.grid(stride=2)][:2] == [Box((0,), (1,)), Box((1,), (1,))]
