"""Labels in their image: OME-NGFF's own readers find them there."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import zarr
from ome_zarr_models.v04 import ImageLabel as ImageLabel04
from ome_zarr_models.v04 import Labels as Labels04
from ome_zarr_models.v05 import ImageLabel as ImageLabel05
from ome_zarr_models.v05 import Labels as Labels05

from dacapo_like import from_numpy, open_array
from dacapo_like.errors import ConfigError, SourceError, SpecError
from dacapo_like.writers.ome_zarr import OmeZarrWriter

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of ome-zarr-py about itself
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr.writer import write_labels

VERSIONS = {"0.4": (ImageLabel04, Labels04), "0.5": (ImageLabel05, Labels05)}
CELLS = np.random.default_rng(0).integers(0, 2**40, (8, 9, 10)).astype("uint64")
PLACE = {"voxel_size": (4, 2, 2), "offset": (8, 0, -2), "units": "nm"}

versions = pytest.mark.parametrize("version", VERSIONS)


def labels(voxels=CELLS, **fields):
    return from_numpy(voxels, **({"kind": "labels"} | PLACE | fields))


def image(path, version):
    return from_numpy(np.zeros((8, 9, 10), "uint8"), **PLACE).save(path, version=version)


def said(path, version):
    """Give the OME metadata of a group."""
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    return attributes if version == "0.4" else attributes["ome"]


@versions
def test_labels_are_listed_by_their_image(tmp_path, version):
    path = image(tmp_path / "a.zarr", version)
    labels().save(path / "labels" / "cells", version=version)
    labels(CELLS.astype("uint8"), kind="mask").to_ome_zarr(
        path / "labels" / "mask", version=version
    )
    model, group = VERSIONS[version]
    found = group.from_zarr(zarr.open_group(path / "labels", mode="r"))
    listed = (found.attributes if version == "0.4" else found.attributes.ome).labels
    assert listed == ["cells", "mask"]
    for name in listed:
        one = model.from_zarr(zarr.open_group(path / "labels" / name, mode="r"))
        attributes = one.attributes if version == "0.4" else one.attributes.ome
        assert attributes.image_label.source.image == "../../"
    assert said(path / "labels" / "cells", version)["image-label"].get("version") == (
        "0.4" if version == "0.4" else None
    )


@versions
def test_ome_zarr_py_finds_them(tmp_path, version):
    path = image(tmp_path / "a.zarr", version)
    labels().save(path / "labels" / "cells", version=version)
    nodes = list(Reader(parse_url(str(path)))())
    found = next(node for node in nodes if node.zarr.basename() == "cells")
    np.testing.assert_array_equal(np.asarray(found.data[0]), CELLS)


@versions
def test_we_read_them_where_they_are(tmp_path, version):
    path = image(tmp_path / "a.zarr", version)
    array = labels()
    array.save(path / "labels" / "cells", version=version)
    for config in (
        {"file_name": str(path), "dataset": "labels/cells"},
        {"file_name": str(path / "labels/cells")},
    ):
        again = open_array({"type": "zarr", **config})
        np.testing.assert_array_equal(again.read(), CELLS)
        assert (again.kind, again.roi, again.units) == ("labels", array.roi, ("nanometer",) * 3)
    assert open_array({"type": "zarr", "file_name": str(path)}).kind == "image"


@versions
def test_labels_of_others_stay(tmp_path, version):
    path = image(tmp_path / "a.zarr", version)
    fmt = FormatV04() if version == "0.4" else FormatV05()
    root = zarr.open_group(path, mode="r+")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_labels(CELLS.astype("uint8"), root, "theirs", axes="zyx", fmt=fmt, scaler=None)
    labels().save(path / "labels" / "ours", version=version)
    assert said(path / "labels", version)["labels"] == ["theirs", "ours"]
    labels().save(path / "labels" / "ours", version=version, overwrite=True)
    assert said(path / "labels", version)["labels"] == ["theirs", "ours"]


@versions
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_image_is_not_replaced_with_its_labels(tmp_path, version, overwrite):
    path = image(tmp_path / "a.zarr", version)
    labels().save(path / "labels" / "cells", version=version)
    array = from_numpy(np.ones((8, 9, 10), "uint8"))
    with pytest.raises(SourceError, match="got labels" if overwrite else "exists already"):
        array.save(path, overwrite=overwrite)
    assert [item.name for item in tmp_path.iterdir()] == ["a.zarr"]
    cells = open_array({"type": "zarr", "file_name": f"{path}/labels/cells"})
    np.testing.assert_array_equal(cells, CELLS)


def test_an_image_is_not_replaced_with_labels_that_came_since(tmp_path):
    path = image(tmp_path / "a.zarr", "0.5")
    array = from_numpy(np.ones((8, 9, 10), "uint8"))
    writer = OmeZarrWriter(path, array.spec, overwrite=True)
    labels().save(path / "labels" / "cells")
    with pytest.raises(SourceError, match="got labels"), writer:
        writer.write(array.spec.box, array.read())
    assert (path / "labels" / "cells").is_dir()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_of_several_arrays_is_not_replaced_by_one(tmp_path, zarr_format):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    group.create_group("volumes")
    group.create_array("raw", shape=(4, 4), dtype="uint8")
    with pytest.raises(SourceError, match="got raw, volumes"):
        labels().save(tmp_path / "a.zarr", overwrite=True)


@versions
def test_copies_of_metadata_know_them(tmp_path, version):
    path = image(tmp_path / "a.zarr", version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)
    labels().save(path / "labels" / "cells", version=version, levels=1)
    root = zarr.open_consolidated(path)
    assert "labels/cells/0" in root
    assert json.loads(json.dumps(said(path / "labels", version)))["labels"] == ["cells"]


@versions
def test_labels_on_their_own_say_what_they_are(tmp_path, version):
    path = labels().save(tmp_path / "a.zarr", version=version)
    VERSIONS[version][0].from_zarr(zarr.open_group(path, mode="r"))
    assert "source" not in said(path, version)["image-label"]
    masks = labels(CELLS.astype("uint8"), kind="mask").save(tmp_path / "b.zarr", version=version)
    assert "image-label" not in said(masks, version)


@versions
def test_a_copy_keeps_colours_and_properties(tmp_path, version):
    path = labels().save(tmp_path / "a.zarr", version=version)
    group = zarr.open_group(path, mode="r+")
    kept = {
        "colors": [{"label-value": 7, "rgba": [255, 0, 3, 128]}],
        "properties": [{"label-value": 7, "area": 1.5}],
    }
    attributes = said(path, version)
    attributes["image-label"] |= kept | {"source": {"image": "../elsewhere"}}
    group.attrs.update(attributes if version == "0.4" else {"ome": attributes})
    again = open_array({"type": "zarr", "file_name": str(path)})
    for other in VERSIONS:
        copy = again.crop(((8, 0, -2), (8, 8, 8))).save(tmp_path / f"{other}.zarr", version=other)
        model = VERSIONS[other][0].from_zarr(zarr.open_group(copy, mode="r"))
        found = model.attributes.image_label if other == "0.4" else model.attributes.ome.image_label
        assert found.colors[0].rgba == (255, 0, 3, 128)
        assert found.properties[0].model_dump()["area"] == 1.5
        assert found.source is None


@pytest.mark.parametrize(
    ("array", "version", "message"),
    [
        (labels(kind="image"), "0.5", "only labels are written into the labels of an image"),
        (labels(CELLS.astype("float32")), "0.5", "only labels.*got float32"),
        (labels(), "0.4", r"same version as their image \(got 0.4; expected 0.5\)"),
    ],
)
def test_what_has_no_place_there_is_refused(tmp_path, array, version, message):
    path = image(tmp_path / "a.zarr", "0.5")
    with pytest.raises((SpecError, ConfigError), match=message):
        array.save(path / "labels" / "cells", version=version)
    assert not (path / "labels").exists()


def test_no_other_folder_of_a_store_is_written_to_without_a_suffix(tmp_path):
    path = image(tmp_path / "a.zarr", "0.5")
    for target in (path / "cells", tmp_path / "labels" / "cells", path / "labels" / "a" / "b"):
        with pytest.raises(ConfigError, match="no format is written to such a file name"):
            labels().save(target)
    (path / "zarr.json").write_text("{")
    with pytest.raises(SourceError, match="metadata cannot be read"):
        labels().save(path / "labels" / "cells")
