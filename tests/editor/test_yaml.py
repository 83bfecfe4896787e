"""What editors make of YAML: the real yaml-language-server, over our schemas."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from documents import ROOT, broken_documents, good_documents, marked

from dacapo_like.cli import main
from dacapo_like.registry import document_types

pytestmark = (
    pytest.mark.slow
)  # to start a server; and that a Python is another changes nothing here
BROKEN = broken_documents("yaml")
MARKED_ELSEWHERE = {
    "half_a_region.yaml": {(3, 1)},  # what is not there: at the key of what should have it
    "missing_keys.yaml": {(2, 3), (4, 3)},
    "no_type.yaml": {(2, 3)},
    "two_spellings.yaml": {(1, 1)},
    "wrong_scalars.yaml": {(2, 62), (3, 87), (9, 11), (13, 27), (14, 17)},  # .inf is a number
}
FAULTS = """\
arrays:
  raw: {type: zarr, file_name: a.zarr, «levle»: 1}
  typo: {type: «binarise», source: raw}
  label: {type: binarize, source: raw, groupings: {a: [«x»]}}
  «cut»: {type: crop, source: raw}
  method: {type: resampled, source: raw, downsample: [2], method: «meen»}
  deep: {type: intensities, «source»: {type: zarr, «file_nam»: x}, min: «"0"», max: 1}
  «untyped»: {source: raw}
  several: {type: sum, sources: [raw, {type: zarr, file_name: a.zarr, «foo»: 1}]}
  half: {type: crop, source: raw, «roi»: {offset: [1, 2]}}
  sizes: {type: zarr, file_name: a.zarr, axes: «zyx», voxel_size: [«a b», 1]}
  three: «3»
datasets:
  - {name: a, raw: raw, «splt»: train}
  - {name: b, raw: raw, split: «trian»}
patches:
  train: {shape: [2, 2], sampler: {type: «weigted»}, samples: «many»}
«foo»: 1
"""


@pytest.fixture(scope="module")
def server(yaml_server):
    return yaml_server


def test_every_mistake_is_marked_where_it_is_and_nothing_else(server):
    text, places = marked(FAULTS)
    marks = server.marks(server.open("experiment", text))
    assert [(mark.line, mark.column, mark.text) for mark in marks] == places
    said = {mark.text: mark.message for mark in marks}
    assert said["levle"] == "Property levle is not allowed."
    assert said["cut"] == 'Missing property "roi".'
    assert said["untyped"] == 'Missing property "type".'
    assert said["x"] == 'Incorrect type. Expected "integer".'
    assert said["meen"].startswith('Value is not accepted. Valid values: "mean", "mode"')
    assert said['"0"'] == 'Incorrect type. Expected "number".'


def test_mistakes_of_one_array_are_marked(server):
    text, places = marked("«t»ype: ones\n«suorce»: {type: zarr}\ndtype: «8»\n")
    marks = server.marks(server.open("array", text))
    assert [(mark.line, mark.column, mark.text) for mark in marks] == places


def test_the_guide_shows_what_the_editor_says(server):
    page = (ROOT / "docs/how-to/edit-with-completion.md").read_text()
    text = page.partition(":caption: mito.yaml\n\n")[2].partition("```")[0].partition("\n")[2]
    marks = server.marks(server.open("experiment", text))
    assert [mark.text for mark in marks] == ["levle", "lables", "binarise"]
    assert f"`{marks[0].message}`" in page


@pytest.mark.parametrize("name", BROKEN)
def test_what_verify_finds_in_the_text_the_editor_marks_at_the_same_place(server, name):
    document, places = BROKEN[name]
    marks = server.marks(server.open(document.kind, document.text))
    assert {(mark.line, mark.column) for mark in marks} == MARKED_ELSEWHERE.get(name, places)


def test_nothing_is_marked_in_examples(server):
    documents = good_documents("yaml")
    assert {"quickstart.yaml", "nifti_isotropic.yaml", "in all spellings"} <= {
        document.where for document in documents
    }
    assert len(documents) > 40
    uris = [server.open(document.kind, document.text) for document in documents]
    found = {
        document.where: server.marks(uri) for document, uri in zip(documents, uris, strict=True)
    }
    assert {where: marks for where, marks in found.items() if marks} == {}


def test_types_are_offered_each_with_what_it_is(server):
    for kind, text in {"array": "type: |", "experiment": "arrays:\n  raw: {type: |}"}.items():
        offered = server.completions(kind, text)
        assert offered.keys() == document_types().keys()
        assert offered["binarize"].startswith("A leading channel per group")
        assert all(offered.values())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("array", "type: crop\n|"),
        ("array", "type: crop\ns|"),
        ("array", "type: ones\nsource:\n  type: crop\n  |"),
        ("experiment", "arrays:\n  cut:\n    type: crop\n    |"),
        (
            "experiment",
            "arrays:\n  all:\n    type: sum\n    sources:\n      - type: crop\n        |",
        ),
        ("experiment", "datasets:\n  - name: a\n    raw:\n      type: crop\n      |"),
    ],
)
def test_keys_of_the_type_are_offered_each_with_what_it_is(server, kind, text):
    offered = server.completions(kind, text)
    assert {"name", "source", "roi", "snap"} <= offered.keys()
    assert not {"file_name", "groupings", "source_array_config"} & offered.keys()
    assert offered["roi"].startswith("Region to keep")
    assert all(offered.values())


@pytest.mark.parametrize(
    ("kind", "text", "some"),
    [
        ("experiment", "|", {"parameters", "arrays", "datasets", "patches"}),
        ("experiment", "arrays:\n  raw:\n    |", {"type"}),
        ("experiment", "datasets:\n  - |", {"name", "split", "raw", "gt", "mask", "weight"}),
        ("experiment", "patches:\n  train:\n    |", {"shape", "context", "sampler", "samples"}),
        ("experiment", "patches:\n  train:\n    sampler:\n      |", {"type", "by"}),
        ("array", "type: crop\nroi:\n  |", {"offset", "shape"}),
        ("array", "type: transform\ntransforms:\n  - |", {"affine", "file_name", "field"}),
    ],
)
def test_keys_of_parts_are_offered(server, kind, text, some):
    offered = server.completions(kind, text)
    assert some <= offered.keys()
    assert all(offered[key] for key in some)


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("array", "type: zarr\nmode: |", {"r", "r+", "a"}),
        ("array", "type: zarr\nkind: |", {"image", "labels", "mask", "null"}),
        ("array", "type: binarize\nsource:\n  type: zarr\n  missing: |", {"fill", "warn", "error"}),
        ("array", "type: pad\nfill: |", {"edge", "reflect"}),
        ("experiment", "datasets:\n  - name: a\n    split: |", {"train", "validate", "test"}),
        ("experiment", "patches:\n  a:\n    units: |", {"voxel", "world"}),
    ],
)
def test_values_are_offered(server, kind, text, values):
    assert server.completions(kind, text).keys() == values


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (
            "array",
            "type: zarr\nfile_|name: a.zarr",
            "The store: a folder, a zip file, or a URL `s3://`",
        ),
        ("array", "type: crop\nsource: raw\nroi: {off|set: [1]}", "World position of the corner"),
        ("array", "ty|pe: zarr", "* `crop`: The intersection of an array with a region"),
        ("experiment", "arrays:\n  a: {type: zarr, le|vel: 1}", "Level of a pyramid, 0 the finest"),
        ("experiment", "datasets:\n  - {name: a, spl|it: test}", "What the dataset is for."),
        ("experiment", "patches:\n  a: {sam|ples: 1}", "How many patches an epoch has"),
        ("experiment", "para|meters: {a: 1}", "Values by name: `${name}` stands for them"),
    ],
)
def test_the_pointer_shows_what_a_key_means(server, kind, text, said):
    assert said in server.hover(kind, text)


def test_what_new_drafts_is_known_to_the_editor(server, workspace):
    np.save(workspace / "volume.npy", np.zeros((4, 4, 4), "uint8"))
    path = workspace / "drafted.yaml"
    command = ["new", "array", str(workspace / "volume.npy"), "--out", str(path)]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    first, _, rest = path.read_text().partition("\n")
    assert first == "# yaml-language-server: $schema=schemas/array.schema.json"
    assert server.marks(server.open("array", rest)) == []
    assert [mark.text for mark in server.marks(server.open("array", f"{rest}\nmodus: r\n"))] == [
        "modus"
    ]
