"""What editors make of TOML: the real server of taplo, over our schemas."""

from __future__ import annotations

import pytest
from documents import broken_documents, good_documents, marked

from dacapo_like.config._write import write_toml
from dacapo_like.config.document import parse_document
from dacapo_like.registry import document_types

pytestmark = (
    pytest.mark.slow
)  # to start a server; and that a Python is another changes nothing here
BROKEN = broken_documents("toml")
FAULTS = """\
«foo» = 1

[arrays]
method = { type = "resampled", source = "raw", downsample = [2], «method» = "meen" }
deep = { type = "intensities", «source» = { type = "zarr", «file_nam» = "x" }, «min» = "0", max = 1 }
«untyped» = { source = "raw" }
half = { type = "crop", source = "raw", «roi» = { offset = [1, 2] } }
sizes = { type = "zarr", file_name = "a.zarr", «axes» = "zyx", voxel_size = [«"a"», 1] }
«three» = 3

[arrays.raw]
type = "zarr"
file_name = "a.zarr"
«levle» = 1

[arrays.typo]
«type» = "binarise"

[arrays.«cut»]
type = "crop"
source = "raw"

[[datasets]]
name = "a"
raw = "raw"
«split» = "trian"
«splt» = "train"

[patches.train]
shape = [2, 2]
«samples» = "many"
"""


@pytest.fixture(scope="module")
def server(toml_server):
    return toml_server


def test_every_mistake_is_marked_where_it_is_and_nothing_else(server):
    text, places = marked(FAULTS)
    marks = server.marks(server.open("experiment", text))
    assert [(mark.line, mark.column, mark.text) for mark in marks] == places
    said = {mark.text: mark.message for mark in marks}
    assert said["levle"] == '{"description":"an unknown key"} is not allowed for 1'
    assert said["cut"] == '"roi" is a required property'
    assert said["untyped"] == '"type" is a required property'
    assert said["min"] == '"0" is not of type "number"'
    assert said["split"] == '"trian" is not one of ["train","validate","test"]'


@pytest.mark.parametrize("name", BROKEN)
def test_what_verify_finds_in_the_text_the_editor_marks_in_the_same_line(server, name):
    document, places = BROKEN[name]
    marks = server.marks(server.open(document.kind, document.text))
    assert {mark.line for mark in marks} == {line for line, _ in places}


def test_nothing_is_marked_in_examples(server):
    """Those in YAML too, written as TOML."""
    documents = {document.where: document for document in good_documents("toml")}
    assert len(documents) >= 2
    texts = {where: (document.kind, document.text) for where, document in documents.items()}
    for document in good_documents("yaml"):
        texts[document.where] = (document.kind, in_toml(document.text))
    uris = {where: server.open(kind, text) for where, (kind, text) in texts.items()}
    found = {where: server.marks(uri) for where, uri in uris.items()}
    assert {where: marks for where, marks in found.items() if marks} == {}


def test_types_are_offered_each_with_what_it_is(server):
    for kind, text in {"array": "type = |", "experiment": "[arrays.raw]\ntype = |"}.items():
        offered = server.completions(kind, text)
        assert offered.keys() == {f'"{tag}"' for tag in document_types()}
        assert offered['"binarize"'].startswith("A leading channel per group")
        assert all(offered.values())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("array", 'type = "crop"\n|'),
        ("array", 'type = "crop"\nro|'),
        ("array", 'type = "ones"\n[source]\ntype = "crop"\n|'),
        ("experiment", '[arrays.cut]\ntype = "crop"\n|'),
        ("experiment", '[arrays.cut.source]\ntype = "crop"\n|'),
        ("experiment", '[arrays]\ncut = { type = "crop", ro|i = 1 }'),
    ],
)
def test_keys_are_offered_with_the_types_that_have_them(server, kind, text):
    """Those of all types: it does not look at which is chosen."""
    offered = server.completions(kind, text)
    assert {"name", "source", "roi", "snap", "groupings"} <= offered.keys()
    assert "source_array_config" not in offered
    assert offered["roi"].startswith("`crop`: Region to keep")
    assert "`zarr`: The store: a folder" in offered["file_name"]


@pytest.mark.parametrize(
    ("kind", "text", "some"),
    [
        ("experiment", "|", {"parameters", "arrays", "datasets", "patches"}),
        ("experiment", "[[datasets]]\n|", {"name", "split", "raw", "gt", "mask", "weight"}),
        ("experiment", "[patches.train]\n|", {"shape", "context", "sampler", "samples"}),
        ("experiment", "[patches.train.sampler]\n|", {"type", "by"}),
        ("array", 'type = "crop"\n[roi]\n|', {"offset", "shape"}),
        ("array", 'type = "transform"\n[[transforms]]\n|', {"affine", "file_name", "field"}),
    ],
)
def test_keys_of_parts_are_offered(server, kind, text, some):
    offered = server.completions(kind, text)
    assert some <= offered.keys()
    assert all(offered[key] for key in some)


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("array", 'type = "zarr"\nmode = |', {"r", "r+", "a"}),
        ("array", 'type = "zarr"\nkind = |', {"image", "labels", "mask"}),
        ("experiment", "[patches.a]\nunits = |", {"voxel", "world"}),
        ("experiment", '[[datasets]]\nname = "a"\nsplit = |', {"train", "validate", "test"}),
    ],
)
def test_values_are_offered(server, kind, text, values):
    assert {f'"{value}"' for value in values} <= server.completions(kind, text).keys()


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("array", 'type = "zarr"\nfile_|name = "a.zarr"', "`zarr`: The store: a folder"),
        ("array", 'ty|pe = "zarr"', "What kind of array this is."),
        ("experiment", '[arrays.a]\ntype = "zarr"\nle|vel = 1', "Level of a pyramid, 0 the finest"),
        ("experiment", "[patches.a]\nsam|ples = 1", "How many patches an epoch has"),
    ],
)
def test_the_pointer_shows_what_a_key_means(server, kind, text, said):
    assert said in server.hover(kind, text)


def in_toml(text):
    return write_toml(without_nulls(parse_document(text).data))


def without_nulls(data):
    if isinstance(data, dict):
        return {key: without_nulls(value) for key, value in data.items() if value is not None}
    return [without_nulls(item) for item in data] if isinstance(data, list) else data
