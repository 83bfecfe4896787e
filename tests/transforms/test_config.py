"""Transforms in documents."""

import json
import shutil
from pathlib import Path

import jsonschema
import nibabel
import numpy as np
import pytest

from dacapo_like import TransformArrayConfig, dump, from_numpy, load, verify
from dacapo_like.config.schema import schema_of
from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.testing import as_zarr
from dacapo_like.transforms.config import Transform, as_transform

DOCUMENT = """\
arrays:
  raw: {type: zarr, file_name: a.zarr}
  vectors: {type: zarr, file_name: field.zarr}
  moved:
    type: transform
    source: raw
    like: raw
    transforms:
      - affine: [[1, 0, 0.1], [0, "1/3", 2], [0, 0, 1]]
        axes: [x, y]
        invert: true
      - {file_name: files/affine.txt, convention: ras, units: um}
      - {file_name: files/warp.nii.gz}
      - {field: vectors}
    interp_order: 3
    fill: 1.5
"""


@pytest.fixture
def folder(tmp_path):
    as_zarr(np.random.default_rng(0).random((6, 7)), tmp_path / "a.zarr", units="mm")
    as_zarr(np.zeros((2, 3, 3)), tmp_path / "field.zarr", axes="cyx", units="mm")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "affine.txt").write_text("1 0 0\n0 1 0\n0 0 1\n")
    warp = nibabel.Nifti1Image(np.zeros((4, 4, 1, 1, 2), "f4"), np.eye(4))
    warp.header.set_intent("vector")
    warp.header.set_xyzt_units("mm")
    nibabel.save(warp, tmp_path / "files" / "warp.nii.gz")
    (tmp_path / "a.yaml").write_text(DOCUMENT)
    return tmp_path


def problems(folder, before, after):
    (folder / "a.yaml").write_text(DOCUMENT.replace(before, after))
    assert before in DOCUMENT
    return [(p.code, p.key, p.line, p.message, p.hint) for p in verify(folder / "a.yaml")]


def test_file_names_are_relative_to_the_document(folder):
    config = load(folder / "a.yaml").config.arrays["moved"]
    names = [transform.file_name for transform in config.transforms]
    assert names == [
        None,
        str(folder / "files/affine.txt"),
        str(folder / "files/warp.nii.gz"),
        None,
    ]
    assert verify(folder / "a.yaml") == []
    assert config.array().read().shape == (6, 7)


@pytest.mark.parametrize("suffix", ["yaml", "toml", "json"])
def test_round_trips(folder, suffix):
    config = load(folder / "a.yaml").config
    text = dump(config, suffix, relative_to=folder)
    assert "files/warp.nii.gz" in text
    assert str(folder) not in text
    moved = folder / "elsewhere"
    shutil.copytree(folder, moved)
    for place, expected in ((folder, config), (moved, load(moved / "a.yaml").config)):
        (place / f"again.{suffix}").write_text(text)
        again = load(place / f"again.{suffix}").config
        assert again == expected
        assert hash(again) == hash(expected)
    assert again != config


def test_documents_say_what_was_written(folder):
    (folder / "a.json").write_text(dump(load(folder / "a.yaml").config, "json", relative_to=folder))
    written = json.loads((folder / "a.json").read_text())["arrays"]["moved"]
    assert written["transforms"] == [
        {"affine": [[1, 0, 0.1], [0, "1/3", 2], [0, 0, 1]], "invert": True, "axes": ["x", "y"]},
        {"file_name": "files/affine.txt", "convention": "ras", "units": "um"},
        {"file_name": "files/warp.nii.gz"},
        {"field": "vectors"},
    ]
    assert (written["source"], written["like"]) == ("raw", "raw")


def test_the_schema_knows_transforms(folder):
    schema = schema_of("experiment")
    written = json.loads(dump(load(folder / "a.yaml").config, "json", relative_to=folder))
    jsonschema.validate(written, schema)
    written["arrays"]["moved"]["transforms"][0]["afine"] = 1
    with pytest.raises(jsonschema.ValidationError, match="afine"):
        jsonschema.validate(written, schema)


def test_an_unknown_key_is_found_where_it_stands(folder):
    ((code, key, line, _, hint),) = problems(folder, "invert: true", "inverse: true")
    assert (code, key, line) == ("DL105", "arrays.moved.transforms[0].inverse", 11)
    assert hint == "did you mean 'invert'?"


@pytest.mark.parametrize(
    ("before", "after", "code", "key"),
    [
        ("invert: true", "invert: 1", "DL103", "arrays.moved.transforms[0].invert"),
        ("convention: ras", "convention: ars", "DL104", "arrays.moved.transforms[1].convention"),
        ("units: um", "units: furlong", "DL110", "arrays.moved.transforms[1].units"),
        ('"1/3"', "x", "DL110", "arrays.moved.transforms[0].affine[1]"),
        ("2], [0, 0, 1]]", "2], [0, 0, 2]]", "DL110", "arrays.moved.transforms[0].affine"),
        ("{field: vectors}", "{}", "DL110", "arrays.moved.transforms[3]"),
        ("{field: vectors}", "{field: vectorz}", "DL107", "arrays.moved.transforms[3].field"),
        ("{field: vectors}", "vectors", "DL103", "arrays.moved.transforms[3]"),
        ("interp_order: 3", "interp_order: 2", "DL104", "arrays.moved.interp_order"),
        ("like: raw", "", "DL110", "arrays.moved"),
        ("[x, y]", "[x, z]", "DL210", "arrays.moved.transforms[0]"),
        ("affine.txt", "nothing.txt", "DL201", "arrays.moved.transforms[1].file_name"),
        ("warp.nii.gz", "nothing.nii.gz", "DL201", "arrays.moved.transforms[2].file_name"),
        ("{field: vectors}", "{field: raw}", "DL210", "arrays.moved.transforms[3]"),
    ],
)
def test_every_mistake_has_its_place(folder, before, after, code, key):
    found = problems(folder, before, after)
    assert (code, key) in [problem[:2] for problem in found]
    assert len(found) == 1


def test_a_broken_field_is_named_when_it_is_opened(folder):
    (folder / "files" / "warp.nii.gz").write_bytes(b"no")
    with pytest.raises(SourceError, match=r"warp\.nii\.gz"):
        load(folder / "a.yaml").config.arrays["moved"].array()


def test_a_file_is_read_once(folder):
    transform = Transform(file_name=folder / "files" / "affine.txt")
    first = transform.numbers
    (folder / "files" / "affine.txt").unlink()
    assert transform.numbers is first


@pytest.mark.parametrize(
    "single", ["a.txt", Path("a.txt"), np.eye(3), {"file_name": "a.txt"}, Transform(file_name="a")]
)
def test_a_single_transform_is_no_list_of_them(single):
    array = from_numpy(np.zeros((4, 4)))
    with pytest.raises(ConfigError, match="transforms are a list"):
        array.points_to(array, [0, 0], single)
    with pytest.raises(ConfigError, match="transforms are a list") as error:
        array.apply(TransformArrayConfig, like=array.config, transforms=single)
    assert error.value.key == ("transforms",)


def test_an_unknown_field_of_a_mapping_is_named():
    with pytest.raises(ConfigError, match=r"no such field.*'filename'.*did you mean 'file_name'"):
        as_transform({"filename": "a.txt"})
