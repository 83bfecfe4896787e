"""New arrays: as funlib.persistence and zarr-python see them, and what happens where something is there already."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
import zarr

from dacapo_like import Coordinate, Roi, create_array, open_array
from dacapo_like.errors import ConfigError, DacapoLikeError, SourceError, SpecError

with warnings.catch_warnings():  # pydantic and others deprecate what it is made of
    warnings.simplefilter("ignore")
    from funlib.persistence import open_ds

ROI = Roi((80, -8, 4), (200, 40, 48))
VOXEL_SIZE = (40, 4, 8)


def made(folder, dataset="volumes/pred", **options):
    options = {"axes": "zyx", "roi": ROI, "voxel_size": VOXEL_SIZE, "dtype": "uint16", **options}
    return create_array(folder / "a.zarr", dataset, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_funlib_reads_what_was_made(tmp_path, zarr_format):
    array = made(
        tmp_path,
        axes="tczyx",
        lengths={"t": 2},
        num_channels=3,
        units=["nm", "nm", "nm"],
        zarr_format=zarr_format,
    )
    assert array.shape == (2, 3, 5, 10, 6)
    voxels = np.random.default_rng(0).integers(0, 2**16, array.shape).astype("uint16")
    array[...] = voxels
    theirs = open_ds(tmp_path / "a.zarr" / "volumes" / "pred")
    assert theirs.roi == array.roi
    assert theirs.voxel_size == array.voxel_size
    assert theirs.axis_names == ["t^", "c^", "z", "y", "x"]
    assert theirs.units == ["nm", "nm", "nm"]
    part = Roi((120, -4, 12), (80, 8, 16))
    np.testing.assert_array_equal(theirs.to_ndarray(array.roi), voxels)
    np.testing.assert_array_equal(theirs[array.spec.roi_to_box(part).slices], array[part])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_was_made_opens_as_it_was_asked_for(tmp_path, zarr_format):
    options = {
        "axes": ["c", "y", "x"],
        "roi": Roi((Fraction(10, 3), 0), (Fraction(100, 3), 49)),
        "voxel_size": ("10/3", 9.8),
        "dtype": "int32",
        "channels": ["mito", "er"],
        "units": ["um", None],
        "kind": "image",
        "chunks": (1, 4, 4),
        "fill_value": -1,
        "attributes": {"labels": [{"name": "mito", "value": 3}]},
        "zarr_format": zarr_format,
        "name": "new",
    }
    array = made(tmp_path, **options)
    again = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    for opened in (array, again):
        assert opened.voxel_size == Coordinate((Fraction(10, 3), Fraction(49, 5)))
        assert opened.offset == Coordinate((Fraction(10, 3), 0))
        assert (opened.axes, opened.shape) == (("c", "y", "x"), (2, 10, 5))
        assert opened.units == ("um", None)
        assert opened.channels == ("mito", "er")
        assert opened.kind == "image"
        assert opened.chunks == (1, 4, 4)
        assert opened.dtype == np.dtype("int32")
        assert opened.attrs["labels"] == [{"name": "mito", "value": 3}]
        assert (opened[...] == -1).all()
    assert array.writable
    assert not again.writable
    assert array.config.name == "new"
    stored = zarr.open_array(tmp_path / "a.zarr" / "volumes" / "pred", mode="r")
    assert stored.metadata.zarr_format == zarr_format
    assert stored.fill_value == -1


def test_shards_hold_chunks(tmp_path):
    array = made(tmp_path, chunks=(1, 5, 3), shards=(5, 10, 6))
    array[...] = 1
    stored = zarr.open_array(tmp_path / "a.zarr" / "volumes" / "pred", mode="r")
    assert (stored.chunks, stored.shards) == ((1, 5, 3), (5, 10, 6))
    assert stored[...].all()


def test_a_store_may_be_one_array(tmp_path):
    made(tmp_path, dataset=None)[...] = 2
    assert names(tmp_path) == ["a.zarr"]
    assert (zarr.open_array(tmp_path / "a.zarr", mode="r")[...] == 2).all()
    with pytest.raises(SourceError, match="exists already"):
        made(tmp_path, dataset=None)
    with pytest.raises(SourceError, match="no Zarr group is in the way"):
        made(tmp_path, dataset="inside")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_stand_beside_each_other(tmp_path, zarr_format):
    made(tmp_path, zarr_format=zarr_format)[...] = 1
    made(tmp_path, dataset="volumes/more/deep")[...] = 2
    made(tmp_path, dataset="other")[...] = 3
    group = zarr.open_group(tmp_path / "a.zarr", mode="r", zarr_format=zarr_format)
    assert sorted(name for name, _ in group.members(max_depth=None)) == [
        "other",
        "volumes",
        "volumes/more",
        "volumes/more/deep",
        "volumes/pred",
    ]
    for path, value in {"volumes/pred": 1, "volumes/more/deep": 2, "other": 3}.items():
        assert (group[path][...] == value).all()
    assert not list(tmp_path.rglob(".*partial*"))


def test_an_array_is_replaced_only_when_asked(tmp_path):
    made(tmp_path)[...] = 1
    with pytest.raises(SourceError, match="exists already") as error:
        made(tmp_path, dtype="uint8")
    assert "overwrite=True" in error.value.hint
    assert (open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})[...] == 1).all()
    array = made(tmp_path, dtype="uint8", overwrite=True)
    assert array.dtype == np.dtype("uint8")
    assert not array[...].any()


def in_the_way(folder, kind):
    place = folder / "a.zarr" / "volumes" / "pred"
    if kind == "a group":
        zarr.create_group(place)
    elif kind == "files":
        place.mkdir(parents=True)
        (place / "notes.txt").write_text("mine")
    elif kind == "a file for a group":
        place.parent.parent.mkdir()
        place.parent.write_text("mine")
    else:
        folder.joinpath("a.zarr").mkdir()
        (folder / "a.zarr" / "notes.txt").write_text("mine")


@pytest.mark.parametrize("kind", ["a group", "files", "a file for a group", "a folder of files"])
def test_nothing_but_an_array_is_replaced(tmp_path, kind):
    in_the_way(tmp_path, kind)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(DacapoLikeError, match="in the way"):
        made(tmp_path, overwrite=True)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    made(tmp_path)
    assert names(tmp_path / "a.zarr") == ["volumes", "zarr.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roi": Roi((0, 0, 0), (41, 4, 8))}, "not a whole number of voxels"),
        ({"roi": Roi((0, 0, 0), (40, -4, 8))}, "not a whole number of voxels"),
        ({"roi": Roi((0, 0), (40, 4))}, "do not fit each other"),
        ({"axes": "yx"}, "do not fit each other"),
        ({"axes": "czyx"}, "do not fit each other"),
        ({"num_channels": 2}, "do not fit each other"),
        ({"axes": "zyxc", "num_channels": 2}, "do not fit"),
        ({"axes": "czyx", "num_channels": 2, "channels": ["a"]}, "channel names do not fit"),
        ({"voxel_size": (0, 1, 1)}, "not a whole number of voxels"),
        ({"dtype": "complex64"}, "no number"),
        ({"dtype": "float128"}, "no such voxels"),
        ({"chunks": (4, 4)}, "chunks do not fit"),
        ({"chunks": (1, 5, 3), "shards": (5, 11, 6)}, "shards do not fit"),
        ({"chunks": (1, 5, 3), "shards": (5, 10, 6), "zarr_format": 2}, "no shards"),
        ({"fill_value": -1}, "cannot hold"),
        ({"attributes": {"offset": [0, 0, 0]}}, "says what the array is"),
        ({"attributes": {"a": float("nan")}}, "not JSON"),
        ({"dataset": "../b"}, "not a path"),
        ({"dataset": "c/__zarr"}, "not a path"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, options, message):
    with pytest.raises((SpecError, ConfigError), match=message):
        made(tmp_path, **options)
    assert names(tmp_path) == []


def test_a_store_keeps_its_version(tmp_path):
    made(tmp_path, zarr_format=2)
    with pytest.raises(ConfigError, match="another version"):
        made(tmp_path, dataset="b", zarr_format=3)
    made(tmp_path, dataset="b")
    assert (tmp_path / "a.zarr" / "b" / ".zarray").is_file()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part:UserWarning")
def test_copies_of_metadata_see_the_new_array(tmp_path, zarr_format):
    zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    made(tmp_path, dataset="first")
    zarr.consolidate_metadata(tmp_path / "a.zarr")
    made(tmp_path)
    group = zarr.open_consolidated(tmp_path / "a.zarr", zarr_format=zarr_format)
    assert group["volumes/pred"].shape == (5, 10, 6)


def test_a_record_that_is_not_ours_is_refused(tmp_path):
    made(tmp_path)
    path = tmp_path / "a.zarr" / "volumes" / "pred" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["dacapo_like"] = {"kind": "picture"}
    path.write_text(json.dumps(document))
    with pytest.raises(SourceError, match="'dacapo_like' is not what this package writes"):
        open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
