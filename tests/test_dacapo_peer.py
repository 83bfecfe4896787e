"""The real DaCapo, in an environment of its own, writes documents and reads regions; we load the same and read the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

import dacapo_like
from dacapo_like import Roi
from dacapo_like.config.convert import convert

HERE = Path(__file__).parent

VOXEL_SIZE, OFFSET, SHAPE = [40, 8, 8], [80, 16, 24], (9, 11, 13)
IDS = np.array([0, 3, 8, 2**53, 2**53 + 1, 2**63, 2**64 - 1], np.uint64)

SAME = [
    "labels",
    "raw",
    "other",
    "masks",
    "binarized",
    "background",
    "cropped",
    "cropped_masks",
    "intensities",
    "concatenated",
    "defaulted",
    "any_of_masks",
    "any_of_groups",
    "summed",
    "nested",
]
DATASETS = ("RawGTDatasetConfig", "TrainValidateDataSplitConfig")
OTHER_DTYPE = {"ones": ("bool", "uint64"), "summed": ("uint8", "float32")}
"""What DaCapo declares and what we declare, where that differs; it does not return a `summed` of uint8 either."""


@pytest.fixture(scope="module")
def dacapo(tmp_path_factory, run_peer):
    """Give the folder of what DaCapo wrote."""
    folder = tmp_path_factory.mktemp("dacapo")
    make_volume(folder / "volume.zarr")
    run_peer("dacapo", folder)
    return folder


@pytest.fixture(scope="module")
def answers(dacapo):
    return json.loads((dacapo / "answers.json").read_text())


def make_volume(path):
    """Write random volumes as DaCapo wrote them: Zarr v2 with its attributes."""
    rng = np.random.default_rng(20)
    volumes = {
        "labels": rng.choice(IDS, SHAPE),
        "raw": rng.normal(100, 50, SHAPE).astype(np.float32),
        "other": rng.normal(100, 50, SHAPE).astype(np.float32),
        "masks": rng.integers(0, 2, (3, *SHAPE), dtype=np.uint8),
    }
    root = zarr.open_group(path, mode="w", zarr_format=2)
    for name, data in volumes.items():
        stored = root.create_array(name, data=data, chunks=(4,) * data.ndim)
        axes = ["c", "z", "y", "x"][-data.ndim :]
        stored.attrs.update({"resolution": VOXEL_SIZE, "offset": OFFSET, "axes": axes})


def ours(folder, name):
    return dacapo_like.open_array(folder / "store" / "arrays" / f"{name}.yaml")


def test_everything_that_dacapo_read_is_compared(answers):
    assert set(answers["arrays"]) == {*SAME, "ones", "snapped"}


@pytest.mark.parametrize("name", SAME)
def test_the_same_document_gives_the_same_array(dacapo, answers, name):
    array, theirs = ours(dacapo, name), answers["arrays"][name]
    whole = theirs["reads"][0]
    assert (list(array.axes), list(array.voxel_size)) == (theirs["axes"], theirs["voxel_size"])
    assert (list(array.roi.offset), list(array.roi.shape)) == (whole["offset"], whole["shape"])
    assert array.num_channels == theirs["num_channels"]
    if theirs["channels"] is not None:
        assert list(array.channels) == theirs["channels"]
    declared = OTHER_DTYPE.get(name, (theirs["dtype"], theirs["dtype"]))
    assert (theirs["dtype"], array.dtype.name) == declared


@pytest.mark.parametrize("name", SAME)
def test_the_same_region_has_the_same_voxels(dacapo, answers, name):
    array = ours(dacapo, name)
    for read in answers["arrays"][name]["reads"]:
        voxels = np.load(dacapo / read["voxels"])
        found = array[Roi(read["offset"], read["shape"])]
        assert found.dtype == voxels.dtype
        np.testing.assert_array_equal(found, voxels)
        assert len(np.unique(voxels)) > 1


def test_ones_are_ones_of_the_dtype_of_the_source(dacapo, answers):
    array, theirs = ours(dacapo, "ones"), answers["arrays"]["ones"]
    assert (theirs["dtype"], array.dtype.name) == OTHER_DTYPE["ones"]
    assert (array[array.roi] == np.load(dacapo / theirs["reads"][0]["voxels"])).all()


def test_a_snapped_array_is_where_it_says_and_not_at_the_corner_of_its_source(dacapo, answers):
    array, labels = ours(dacapo, "snapped"), ours(dacapo, "labels")
    for read in answers["arrays"]["snapped"]["reads"]:
        roi = Roi(read["offset"], read["shape"])
        np.testing.assert_array_equal(array[roi], labels[roi])
        theirs = np.load(dacapo / read["voxels"])
        moved = Roi([o - d for o, d in zip(roi.offset, [0, 8, 0], strict=True)], roi.shape)
        assert not np.array_equal(theirs, labels[roi])
        np.testing.assert_array_equal(theirs, labels[moved])


def test_every_document_that_it_writes_loads_and_converts(dacapo, tmp_path):
    documents = sorted((dacapo / "store" / "arrays").iterdir())
    types = set()
    for path in documents:
        loaded = dacapo_like.load(path)
        text = path.read_text()
        types.add(type(loaded).__name__)
        assert yaml.full_load(text)["__type__"] == type(loaded).__name__
        new = tmp_path / path.name
        convert(path, new)
        assert dacapo_like.load(new) == loaded
    assert len(documents) > len(types) >= 13


def test_its_datasplit_is_an_experiment(dacapo, tmp_path):
    path = dacapo / "store" / "datasplits" / "split.yaml"
    assert yaml.full_load(path.read_text())["__type__"] == "TrainValidateDataSplitConfig"
    experiment = dacapo_like.load(path)
    found = [(d.name, d.split, d.weight, list(d.arrays)) for d in experiment.datasets()]
    assert found == [
        ("one", "train", 3, ["raw", "gt", "mask"]),
        ("two", "train", 1, ["raw", "gt"]),
        ("three", "validate", 1, ["raw", "gt"]),
    ]
    one, two, three = experiment.datasets()
    assert one.sample_points == ((120, 40, 40), (200, 48, 64))
    assert two.gt.snap_to_grid == (80, 24, 24)
    assert three.raw == one.mask
    labels = dacapo_like.open_array(experiment, "labels")
    np.testing.assert_array_equal(labels[labels.roi], ours(dacapo, "labels").read())
    convert(path, tmp_path / "split.yaml")
    assert dacapo_like.load(tmp_path / "split.yaml") == experiment


def test_every_field_of_the_real_datasets_is_mapped(answers):
    page = (HERE.parent / "docs" / "how-to" / "come-from-dacapo.md").read_text()
    table = page.partition("| DaCapo 0.3.0 | here |")[2].partition("\n\n")[0]
    for config in DATASETS:
        assert [field for field in answers["fields"][config] if f"`{field}`" not in table] == []


def test_every_field_of_the_real_dacapo_has_a_row(answers):
    page = (HERE.parent / "docs" / "reference" / "dacapo.md").read_text()
    for config, fields in answers["fields"].items():
        if config in DATASETS:
            continue
        section = page.partition(f"\n## {config}\n")[2].partition("\n## ")[0]
        rows = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
        assert set(fields) - {"name"} <= rows, config
