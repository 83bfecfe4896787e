"""Documents rewritten in the short spelling say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import dacapo_like
from dacapo_like.config.convert import convert, convert_in_place
from dacapo_like.config.document import parse_document, read_document
from dacapo_like.config.loading import load_config
from dacapo_like.errors import DocumentError, InvalidDocumentError

DOCUMENTS = (Path(__file__).parent / "dacapo-0.3.5.yaml").read_text().split("---\n")[1:]
THEIRS = """\
__type__: CropArrayConfig
name: cropped
roi: !!python/tuple
- !!python/tuple [0, 0, 0]
- !!python/tuple [40, 80, 80]
source_array_config:
  __type__: ZarrArrayConfig
  _axes: null
  dataset: labels
  file_name: data/volume.zarr
  name: labels
  snap_to_grid: null
"""
OURS = """\
type: crop
name: cropped
source:
  type: zarr
  name: labels
  file_name: data/volume.zarr
  dataset: labels
roi:
  offset: [0, 0, 0]
  shape: [40, 80, 80]
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text(THEIRS)
    return path


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_new_document_is_short(old, tmp_path):
    convert(old, tmp_path / "new.yaml")
    assert (tmp_path / "new.yaml").read_text() == OURS
    assert listed(tmp_path) == ["new.yaml", "old.yaml"]


@pytest.mark.parametrize("suffix", ["yaml", "toml", "json"])
@pytest.mark.parametrize("text", DOCUMENTS, ids=range(len(DOCUMENTS)))
@pytest.mark.parametrize("folder", [".", "below", ".."])
def test_what_is_loaded_is_equal(tmp_path, text, suffix, folder):
    old = tmp_path / "here" / "old.yaml"
    old.parent.mkdir()
    old.write_text(text)
    new = old.parent / folder / f"new.{suffix}"
    new.parent.mkdir(exist_ok=True)
    convert(old, new)
    assert dacapo_like.dump(dacapo_like.load(new)) == dacapo_like.dump(dacapo_like.load(old))
    assert "__type__" not in read_document(new).data


def test_experiments_keep_their_references_and_datasets(tmp_path):
    old = tmp_path / "old.yaml"
    old.write_text(
        "arrays:\n"
        "  raw: {__type__: ZarrArrayConfig, name: raw, file_name: a.zarr, dataset: em, _axes: null}\n"
        "  four: {__type__: ConstantArrayConfig, name: four, source_array_config: raw, constant: 4}\n"
        "datasets:\n- {name: all, raw: raw, gt: four}\n"
    )
    convert(old, tmp_path / "new.yaml")
    assert read_document(tmp_path / "new.yaml").data == {
        "arrays": {
            "raw": {"type": "zarr", "file_name": "a.zarr", "dataset": "em"},
            "four": {"type": "constant", "source": "raw", "value": 4},
        },
        "datasets": [{"name": "all", "raw": "raw", "gt": "four"}],
    }
    assert dacapo_like.load(tmp_path / "new.yaml") == dacapo_like.load(old)


def test_what_is_there_is_not_replaced_unless_asked_for(old, tmp_path):
    new = tmp_path / "new.yaml"
    new.write_text("mine")
    with pytest.raises(DocumentError, match=r"a document already.*--overwrite"):
        convert(old, new)
    assert new.read_text() == "mine"
    convert(old, new, overwrite=True)
    assert new.read_text() == OURS


def test_a_document_may_become_its_own_conversion(old):
    convert(old, old, overwrite=True)
    assert old.read_text() == OURS


def test_a_document_with_problems_leaves_nothing(old, tmp_path):
    old.write_text(THEIRS.replace("_axes: null", "_axes: 3").replace("[0, 0, 0]", "[0, 0, x]"))
    with pytest.raises(InvalidDocumentError) as caught:
        convert(old, tmp_path / "new.yaml")
    assert [problem.line for problem in caught.value.problems] == [8, 3]
    assert listed(tmp_path) == ["old.yaml"]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("new.txt", "the suffix"),
        ("new", "the suffix"),
        ("nowhere/new.yaml", "cannot be written: No such file"),
    ],
)
def test_targets_that_cannot_be(old, tmp_path, new, message):
    with pytest.raises(DocumentError, match=message):
        convert(old, tmp_path / new)
    assert listed(tmp_path) == ["old.yaml"]


def test_a_folder_is_not_replaced(old, tmp_path):
    (tmp_path / "new.yaml").mkdir()
    with pytest.raises(DocumentError, match="cannot be written"):
        convert(old, tmp_path / "new.yaml", overwrite=True)
    assert listed(tmp_path) == ["new.yaml", "old.yaml"]


COMMENTED = """\
# of the fly
parameters:
  low: 0  # darkest
arrays:
  raw: {__type__: ZarrArrayConfig, file_name: a.zarr, _axes: [z, y, x]}  # the image

  # scaled to 0 … 1
  scaled:
    __type__: IntensitiesArrayConfig  # DaCapo's
    source_array_config: raw    # above
    min: ${low}
    max: 9.80
datasets:
- {name: "all", raw: scaled}
"""


def test_comments_stay_where_a_document_is_respelled(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(COMMENTED)
    before = dacapo_like.load(path)
    assert convert_in_place(path)
    expected = COMMENTED.replace("__type__: ZarrArrayConfig", "type: zarr")
    expected = expected.replace("__type__: IntensitiesArrayConfig", "type: intensities")
    expected = expected.replace("_axes", "axes").replace("source_array_config", "source")
    assert path.read_text() == expected
    assert dacapo_like.load(path) == before
    assert not convert_in_place(path)
    assert listed(tmp_path) == ["a.yaml"]


@pytest.mark.parametrize("text", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_documents_of_dacapo_are_respelled_where_they_are(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    before = dacapo_like.dump(dacapo_like.load(path))
    assert convert_in_place(path)
    assert "__type__" not in path.read_text()
    assert dacapo_like.dump(dacapo_like.load(path)) == before


def test_what_cannot_be_respelled_stays(tmp_path):
    for name, text, message in (
        ("b.yaml", "__type__: RawGTDatasetConfig\nname: a\nraw_config: {__type__: ZarrArrayConfig, name: a, file_name: a}", "rearranged"),
        ("c.yaml", "arrays:\n  a: {&k __type__: ZarrArrayConfig, file_name: a}\n", "cannot be respelled"),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(DocumentError, match=message):
            convert_in_place(path)
        assert path.read_text() == text


def test_what_is_written_has_one_order_whatever_was_read(configs):
    def turned(value):
        """Put the keys of arrays in the opposite order."""
        if isinstance(value, list):
            return [turned(item) for item in value]
        if not isinstance(value, dict):
            return value
        items = {key: turned(item) for key, item in value.items()}
        return dict(reversed(items.items())) if "type" in items else items

    count = 0
    for path in sorted(path for path in configs.iterdir() if path.suffix in {".yaml", ".toml"}):
        data = read_document(path).data
        text = dacapo_like.dump(load_config(data))
        assert dacapo_like.dump(load_config(turned(data))) == text
        assert dacapo_like.dump(load_config(parse_document(text).data)) == text
        count += 1
    assert count >= 6


def test_aliases_are_respelled_once(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("arrays:\n  a: &a {__type__: ZarrArrayConfig, file_name: a}  # one\n  b: *a\n")
    before = dacapo_like.load(path)
    assert convert_in_place(path)
    assert path.read_text() == "arrays:\n  a: &a {type: zarr, file_name: a}  # one\n  b: *a\n"
    assert dacapo_like.load(path) == before


def test_a_short_document_is_left_alone_to_the_byte(tmp_path):
    text = "# odd   layout\narrays:   {a: &x {type: zarr,   file_name: a},\n  b: {<<: *x, dataset: 'q'}}\n"
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert not convert_in_place(path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "a.toml",
            '# mine\n[arrays.a]  # the image\n"__type__" = "ZarrArrayConfig"\nfile_name = "a" # here\n',
            '# mine\n[arrays.a]  # the image\n"type" = "zarr"\nfile_name = "a" # here\n',
        ),
        (
            "a.json",
            '{"__type__":   "ZarrArrayConfig",\n "_axes": null, "file_name": "a"}',
            '{"type":   "zarr",\n "axes": null, "file_name": "a"}',
        ),
        (
            "a.yaml",
            (
                "__type__: ResampledArrayConfig\ndownsample: !!python/tuple  # by\n- 0 # z\n- 1\n# yes\n"
                "interp_order: true # linear\nsource_array_config: {'__type__': ZarrArrayConfig, file_name: a}\n"
                "upsample: [2, 1]\n# end\n"
            ),
            (
                "type: resampled\ndownsample: !!python/tuple  # by\n- 1 # z\n- 1\n# yes\n"
                "interp_order: 1 # linear\nsource: {'type': zarr, file_name: a}\nupsample: [2, 1]\n# end\n"
            ),
        ),
        (
            "a.yml",
            "arrays:\n  a: &a {__type__: ZarrArrayConfig, file_name: a}\n  b: {<<: *a, dataset: b}\n",
            "arrays:\n  a: &a {type: zarr, file_name: a}\n  b: {<<: *a, dataset: b}\n",
        ),
    ],
)
def test_nothing_but_the_spelling_changes(tmp_path, name, old, new):
    path = tmp_path / name
    path.write_text(old)
    before = dacapo_like.load(path)
    assert convert_in_place(path)
    assert path.read_text() == new
    assert dacapo_like.load(path) == before
