import json
import tracemalloc
from decimal import Decimal

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like import MissingAnnotationsMaskConfig, ZarrArrayConfig, from_numpy, open_array
from dacapo_like.core import Block
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr


def entry(value, present, annotated, name="Mito"):
    """An entry of the attribute, in the shape that fibsem_tools gives it."""
    return {
        "value": value,
        "name": {"short": name, "long": f"{name}chondria"},
        "annotationState": {"present": present, "annotated": annotated},
        "count": None,
    }


CROP = [  # as annotated crops have them: what is there, and how it was annotated
    entry(1, present=True, annotated="dense"),
    entry(2, present=True, annotated="sparse"),
    entry(3, present=True, annotated="empty"),
    entry(4, present=False, annotated="empty"),
    entry(5, present=False, annotated="dense"),
    entry(6, present=True, annotated="unknown"),
]
BOOLS = [
    entry(1, present=True, annotated=True),
    entry(2, present=True, annotated=False),
    entry(3, present=False, annotated=False),
    entry(4, present=False, annotated=True),
]


def annotated(voxels, path, entries, **grid):
    """Write labels, with what is said of their annotation."""
    source = as_zarr(voxels, path, **grid)
    zarr.open_array(path).attrs["labels"] = entries
    return source.config.array()


def masks(voxels, zeroed):
    """One channel for each of `zeroed`: nothing, or all that is above 0, by Python's integers."""
    above = np.array([int(label) > 0 for label in voxels.flat], "uint8").reshape(voxels.shape)
    return np.stack([above * (not zero) for zero in zeroed])


class TestLaws(ArrayContract):
    def case_densities(self, directory):
        voxels = np.arange(63, dtype="uint64").reshape(7, 9) % 7
        groups = {
            "dense": [1],
            "sparse": [2],
            "empty": [3],
            "absent": [4, 5],
            "unknown": [6],
            "some": [1, 3, 5],
            "unlisted": [7],
            "all": [],
        }
        source = annotated(voxels, directory / "a", CROP, voxel_size=(9.8, 25), offset=(0, 5))
        zeroed = [False, False, True, False, True, True, False, True]
        return Case(source.missing_annotations_mask(groups), masks(voxels, zeroed))

    def case_bools_and_negative_labels(self, directory):
        voxels = np.arange(-30, 30, dtype="int16").reshape(3, 4, 5)
        groups = {"a": [1, 3, 4], "b": [2], "c": [1, 2]}
        source = annotated(voxels, directory / "a", BOOLS)
        return Case(source.missing_annotations_mask(groups), masks(voxels, [False, True, True]))

    def case_labels_that_no_float_holds(self, directory):
        near = np.array([2**53, 2**53 + 1, 2**63, 2**64 - 1, 0], "uint64")
        voxels = near[np.arange(42).reshape(6, 7) % len(near)]
        entries = [
            entry(2**53, present=True, annotated=True),
            entry(2**53 + 1, present=True, annotated=False),
            entry(2**64 - 1, present=True, annotated=False),
        ]
        groups = {"a": [2**53], "b": [2**53 + 1], "c": [2**64 - 2], "d": [2**64 - 1]}
        source = annotated(voxels, directory / "a", entries)
        zeroed = [False, True, False, True]
        return Case(source.missing_annotations_mask(groups), masks(voxels, zeroed))

    def case_all_are_zero(self, directory):
        voxels = np.ones((4, 5), "uint8")
        source = annotated(voxels, directory / "a", CROP)
        array = source.missing_annotations_mask({"a": [3], "b": []})
        return Case(array, np.zeros((2, 4, 5), "uint8"))

    def case_without_the_attribute(self, directory):
        voxels = np.arange(48, dtype="uint32").reshape(2, 4, 6) % 3
        source = as_zarr(voxels, directory / "a", axes="tyx")
        array = source.missing_annotations_mask({"a": [3], "b": []})
        return Case(array, masks(voxels, [False, False]))

    def case_cropped_and_resampled(self, directory):
        voxels = np.arange(64, dtype="uint8").reshape(8, 8) % 5
        source = annotated(voxels, directory / "a", CROP, kind="labels")
        source = source.crop(([2, 0], [6, 6])).resample(downsample=(2, 2), method="stride")
        array = source.missing_annotations_mask({"a": [1], "b": [3]})
        return Case(array, masks(voxels[2:8:2, 0:6:2], [False, True]))


STATES = st.tuples(
    st.booleans(),
    st.one_of(st.booleans(), st.sampled_from(["dense", "sparse", "empty", "unknown"])),
)


@given(
    states=st.dictionaries(st.integers(0, 5), STATES),
    groups=st.lists(st.lists(st.integers(0, 6), max_size=3), min_size=1, max_size=4),
    voxels=hnp.arrays("int64", (2, 3), elements=st.integers(-2, 5)),
)
def test_it_is_what_the_rule_says(states, groups, voxels):
    yes = (True, "dense", "sparse")
    missing = {i for i, (present, how) in states.items() if present and how not in yes}
    zeroed = [
        any(i in missing for i in group) if group else any(i in missing for i in states if i)
        for group in groups
    ]
    entries = [entry(i, *state) for i, state in states.items()]
    source = from_numpy(voxels, attrs={"labels": entries})
    array = source.missing_annotations_mask([(str(i), group) for i, group in enumerate(groups)])
    np.testing.assert_array_equal(array.read(), masks(voxels, zeroed))


def labels(entries, dtype="uint64", **fields):
    voxels = np.array([[0, 1], [2, 3]], dtype)
    return from_numpy(voxels, attrs={"labels": entries}, **fields)


def test_channels_come_first_and_are_named_like_the_groups():
    source = labels(CROP, voxel_size=(9.8, 4), offset=(1, 2), units="nm")
    array = source.missing_annotations_mask({"b": [1], "a": []})
    assert array.spec == from_shape(
        (2, 2, 2),
        "uint8",
        axes="cyx",
        voxel_size=(9.8, 4),
        offset=(1, 2),
        units="nm",
        channels=("b", "a"),
        kind="mask",
    )


def test_background_alone_does_not_speak_for_the_empty_group():
    source = labels([entry(0, present=True, annotated=False)])
    array = source.missing_annotations_mask({"any": [], "background": [0]})
    assert array.read().sum(axis=(1, 2)).tolist() == [3, 0]


def test_the_attribute_is_that_of_the_file_not_of_an_equal_grid():
    """Specs are equal whatever their attributes are: nothing may be remembered by spec."""
    first, second = (labels([entry(1, present=True, annotated=a)]) for a in (True, False))
    assert first.spec == second.spec
    sums = [s.missing_annotations_mask({"a": [1]}).read().sum() for s in (first, second, first)]
    assert sums == [3, 0, 3]


def test_a_document_reads_the_attribute_of_a_zarr(tmp_path):
    annotated(np.array([[0, 1], [2, 3]], "uint64"), tmp_path / "a.zarr", CROP)
    document = {
        "type": "missing_annotations_mask",
        "source": {"type": "zarr", "file_name": str(tmp_path / "a.zarr")},
        "groupings": [["mito", [1, 3]], ["er", [2]]],
    }
    array = open_array(document)
    assert array.channels == ("mito", "er")
    assert array.read().tolist() == [[[0, 0], [0, 0]], [[0, 1], [1, 1]]]


def test_the_attribute_of_an_array_in_a_multiscale_group_is_read(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    level = group.create_array("s0", data=np.ones((2, 2), "uint8"))
    level.attrs["labels"] = CROP
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [4, 4]}]
    datasets = [{"path": "s0", "coordinateTransformations": scale}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group.attrs["ome"] = ome
    for dataset in (None, "s0"):
        source = ZarrArrayConfig(file_name=str(tmp_path / "a.zarr"), dataset=dataset).array()
        array = source.missing_annotations_mask({"a": [1], "b": [3]})
        assert array.read().sum(axis=(1, 2)).tolist() == [4, 0]


def test_a_channel_of_zeros_reads_nothing(watched):
    source = watched(labels(CROP))
    array = MissingAnnotationsMaskConfig(
        source_array_config=source, groupings={"zero": [3], "one": [1], "none": [6]}
    ).array()
    assert not array[0].any()
    assert not array[2:].any()
    assert source.boxes == []
    assert array[:2, 1:].tolist() == [[[0, 0]], [[1, 1]]]
    assert source.boxes == [Box((1, 0), (1, 2))]


@pytest.mark.parametrize("value", [3, 3.0, Decimal(3), Decimal("3.0"), np.uint64(3)])
def test_numbers_that_are_integers_are_ids(value):
    source = labels([entry(value, present=True, annotated=False)])
    assert source.missing_annotations_mask({"a": [3], "b": [1]}).read().sum(
        axis=(1, 2)
    ).tolist() == [0, 3]


def test_what_else_the_entries_say_does_not_matter():
    bare = {"value": 3, "annotationState": {"present": True, "annotated": False, "by": "me"}}
    assert (
        not labels([bare, {**bare, "color": "red"}])
        .missing_annotations_mask({"a": [3]})
        .read()
        .any()
    )


def without(key, at=None):
    made = entry(3, present=True, annotated=True)
    del (made if at is None else made[at])[key]
    return made


@pytest.mark.parametrize(
    ("entries", "place", "got"),
    [
        (None, "", "None"),
        ("dense", "", "'dense'"),
        ({"3": "dense"}, "", "{'3': 'dense'}"),
        ([3], "[0]", "3"),
        ([*CROP, "Mito"], "[6]", "'Mito'"),
        ([without("value")], "[0].value", "nothing"),
        ([entry("3", present=True, annotated=True)], "[0].value", "'3'"),
        ([entry(True, present=True, annotated=True)], "[0].value", "True"),
        ([entry(None, present=True, annotated=True)], "[0].value", "None"),
        ([*CROP, entry(3.5, present=True, annotated=True)], "[6].value", "3.5"),
        ([entry(2.0**54, present=True, annotated=True)], "[0].value", "1.8014398509481984e+16"),
        ([entry(Decimal("0.1"), present=True, annotated=True)], "[0].value", "Decimal('0.1')"),
        ([entry(Decimal("NaN"), present=True, annotated=True)], "[0].value", "Decimal('NaN')"),
        ([without("annotationState")], "[0].annotationState", "nothing"),
        ([{"value": 3, "annotationState": "dense"}], "[0].annotationState", "'dense'"),
        ([without("present", "annotationState")], "[0].annotationState.present", "nothing"),
        ([without("annotated", "annotationState")], "[0].annotationState.annotated", "nothing"),
        ([entry(3, present=1, annotated=True)], "[0].annotationState.present", "1"),
        ([entry(3, present="yes", annotated=True)], "[0].annotationState.present", "'yes'"),
        ([entry(3, present=True, annotated=1)], "[0].annotationState.annotated", "1"),
        ([entry(3, present=True, annotated="Dense")], "[0].annotationState.annotated", "'Dense'"),
        ([entry(3, present=True, annotated=None)], "[0].annotationState.annotated", "None"),
        (
            [*CROP, entry(3, present=True, annotated="dense")],
            "[6]",
            "another state of label 3 than in labels[2]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_attribute_is_named_with_its_entry(entries, place, got):
    with pytest.raises(SpecError) as error:
        labels(entries).missing_annotations_mask({"a": [1]})
    assert (
        error.value.what == f"attribute labels{place} of the source does not say what is annotated"
    )
    assert error.value.got == got
    assert error.value.key == ("source",)
    assert error.value.code == "DL214"
    assert error.value.where == "missing_annotations_mask"


def test_what_is_wrong_is_shown_in_short():
    with pytest.raises(SpecError) as error:
        labels({"x" * 1000: 1}).missing_annotations_mask({"a": [1]})
    assert len(error.value.got) < 100


def test_text_of_an_hdf5_is_no_list(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = np.ones((2, 2), "uint8")
        file["labels"].attrs["labels"] = json.dumps(CROP)
    document = {
        "type": "missing_annotations_mask",
        "source": {"type": "hdf5", "file_name": str(tmp_path / "a.h5"), "dataset": "labels"},
        "groupings": {"a": [1]},
    }
    with pytest.raises(SpecError, match=r"attribute labels of the source.*expected a list"):
        open_array(document)


def test_a_source_with_channels_is_refused():
    source = from_numpy(np.zeros((2, 3, 4), "uint8"), axes="cyx")
    with pytest.raises(SpecError, match="missing_annotations_mask makes channels") as error:
        source.missing_annotations_mask({"a": [1]})
    assert error.value.code == "DL212"


def test_floats_are_refused():
    with pytest.raises(SpecError, match=r"missing_annotations_mask takes labels.*got float32"):
        labels(CROP, "float32").missing_annotations_mask({"a": [1]})


def test_groups_that_name_no_channels_are_refused():
    with pytest.raises(ConfigError, match="at least one group, every name once"):
        labels(CROP).missing_annotations_mask({})


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_some_channels_are_put_into_a_wider_array(dtype):
    source = labels(CROP)
    config = source.missing_annotations_mask({"a": [3], "b": [1], "c": [6], "d": [2]}).config
    holder = np.full((2, 2, 5), 9, dtype)
    out = np.moveaxis(holder, -1, 0)[1:4]
    block = Block(source.read(), source.spec.box, source.spec)
    assert config.compute(Box((1, 0, 0), (3, 2, 2)), block, out=out) is out
    np.testing.assert_array_equal(out, masks(block.data, [False, True, False]))
    assert (holder[..., [0, 4]] == 9).all()
    nothing = Block(None, None, source.spec)
    config.compute(Box((0, 0, 0), (1, 2, 2)), nothing, out=holder[None, ..., 0])
    assert not holder[..., 0].any()
    assert config.widens


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_masks_are_made_without_blocks_in_between(dtype):
    source = from_numpy(np.ones((128, 128, 128), "uint32"), attrs={"labels": CROP})
    config = source.missing_annotations_mask({"a": [1], "b": [3], "c": [2]}).config
    block = Block(source.read(), source.spec.box, source.spec)
    box = Box((0, 0, 0, 0), (3, 128, 128, 128))
    out = np.empty(box.shape, dtype)
    tracemalloc.start()
    try:
        config.compute(box, block, out=out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20  # a mask has twice as much
    assert out.mean(axis=(1, 2, 3)).tolist() == [1, 0, 1]


def test_one_config_masks_what_each_of_its_sources_says():
    config = labels(CROP).missing_annotations_mask({"a": [3]}).config
    for entries, total in [(CROP, 0), ([], 3), (CROP, 0)]:
        source = labels(entries)
        block = Block(source.read(), source.spec.box, source.spec)
        assert config.compute(Box((0, 0, 0), (1, 2, 2)), block).sum() == total
