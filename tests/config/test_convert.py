"""Documents rewritten in the short spelling say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import dacapo_like
from dacapo_like.config.convert import convert
from dacapo_like.config.document import read_document
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
