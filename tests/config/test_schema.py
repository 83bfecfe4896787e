"""The JSON Schemas are valid, fresh, and agree with what the converter accepts."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import attrs
import jsonschema
import pytest

from dacapo_like.config.converter import structure
from dacapo_like.config.document import read_document
from dacapo_like.config.schema import schema_files, schema_of, stale_schemas
from dacapo_like.core import document_key
from dacapo_like.errors import DocumentError
from dacapo_like.registry import document_types

ROOT = Path(__file__).parent.parent.parent
RAW = {"type": "zarr", "file_name": "a.zarr"}
ONES = {"type": "ones", "source": RAW}


def validator(document, draft):
    schema = schema_of(document, draft)
    return jsonschema.validators.validator_for(schema)(schema)


def test_files_are_fresh():
    assert stale_schemas(ROOT / "schemas") == [], "run: dacapo-like schema --write schemas"


@pytest.mark.parametrize("draft", ["2020-12", "draft-07"])
@pytest.mark.parametrize("document", ["array", "experiment"])
def test_schemas_are_valid_schemas(document, draft):
    schema = schema_of(document, draft)
    known = jsonschema.validators.validator_for(schema, default=None)
    assert (
        known
        is {"2020-12": jsonschema.Draft202012Validator, "draft-07": jsonschema.Draft7Validator}[
            draft
        ]
    )
    known.check_schema(schema)
    assert ("$defs" in str(schema)) == (draft == "2020-12")


def test_every_type_and_field_is_described():
    definitions = schema_of("array")["$defs"]
    for tag, config in document_types().items():
        described = definitions[f"type_{tag}"]["properties"]
        for field in attrs.fields(config):
            assert described[document_key(field)].get("description"), (
                f"{tag}.{field.name} has no description"
            )


def undescribed(schema, definitions, path=""):
    """Give the paths of all properties that nothing is said of, neither beside their type nor in the first of their branches."""
    if isinstance(schema, list):
        for i, item in enumerate(schema):
            yield from undescribed(item, definitions, f"{path}[{i}]")
    if not isinstance(schema, dict):
        return
    for key, value in schema.get("properties", {}).items():
        named = definitions.get(value.get("$ref", "").rpartition("/")[2], {})
        if not any(
            place.get("description") for place in (value, named, value.get("anyOf", [{}])[0])
        ):
            yield f"{path}.{key}"
    for key, item in schema.items():
        if key != "if":  # what a condition is about is described where it is allowed
            yield from undescribed(item, definitions, f"{path}/{key}")


@pytest.mark.parametrize("name", schema_files())
def test_every_property_of_every_schema_is_described(name):
    schema = json.loads(schema_files()[name])
    definitions = schema.get("$defs") or schema.get("definitions") or {}
    assert list(undescribed(schema, definitions)) == []


def test_a_property_that_nothing_is_said_of_is_found():
    schema = {"items": [{"properties": {"a": {"description": "A."}, "b": {"type": "string"}}}]}
    assert list(undescribed(schema, {})) == ["/items[0].b"]


def test_both_drafts_hold_for_the_same_documents():
    found = []
    for path in sorted((ROOT / "tests" / "broken").iterdir()):
        if path.suffix in {".yaml", ".toml", ".json"}:
            with contextlib.suppress(DocumentError):
                data = read_document(path).data
                kind = "experiment" if "arrays" in data else "array"
                drafts = ("2020-12", "draft-07")
                found.append((path.name, [validator(kind, d).is_valid(data) for d in drafts]))
    assert [name for name, (one, other) in found if one != other] == []
    assert sum(one for _, (one, _) in found) > 10
    assert sum(not one for _, (one, _) in found) > 10


@pytest.mark.parametrize("draft", ["2020-12", "draft-07"])
@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (RAW, True),
        (ONES, True),
        ({"type": "ones", "source_array_config": RAW}, True),
        ({"type": "ones", "source": "raw"}, True),
        ({"type": "ones"}, False),
        ({"type": "ones", "source": RAW, "source_array_config": RAW}, False),
        ({"type": "binarise", "source": RAW}, False),
        ({"source": RAW}, False),
        ({**ONES, "grouping": {}}, False),
        ({"type": "ones", "source": {**RAW, "level": "1"}}, False),
        ({"type": "crop", "source": RAW, "roi": {"offset": [0.5, "1/3"], "shape": [1, 2]}}, True),
        ({"type": "crop", "source": RAW, "roi": [[0, 0], [1, 2]]}, True),
        ({"type": "crop", "source": RAW, "roi": {"offset": [0]}}, False),
        ({"type": "binarize", "source": RAW, "groupings": [["a", [1]]]}, True),
        ({"type": "binarize", "source": RAW, "groupings": {"a": [1.5]}}, False),
        ({"type": "resampled", "source": RAW, "downsample": [2], "method": "meen"}, False),
        ({"type": "resampled", "source": RAW, "downsample": [2], "method": None}, True),
        ({"type": "intensities", "source": RAW, "min": "0", "max": 1}, False),
    ],
)
def test_schema_and_converter_agree_on_arrays(data, valid, draft):
    assert validator("array", draft).is_valid(data) is valid
    by_name = {"arrays": {"raw": RAW, "it": data}}
    assert validator("experiment", draft).is_valid(by_name) is valid
    _, state = structure(by_name, Path("/"))
    assert (state.findings == []) is valid


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        ({"arrays": {}}, True),
        ({"arrays": {"raw": RAW}, "datasets": [{"name": "a", "raw": "raw"}]}, True),
        ({"arrays": {"raw": RAW}, "datasets": [{"name": "a", "raw": ONES, "weight": 2}]}, True),
        ({"arrays": {"raw": RAW}, "datasets": [{"raw": "raw"}]}, False),
        (
            {"arrays": {"raw": RAW}, "datasets": [{"name": "a", "raw": "raw", "split": "all"}]},
            False,
        ),
        ({"arrays": {"raw": RAW}, "dataset": []}, False),
        ({}, False),
    ],
)
def test_schema_and_converter_agree_on_experiments(data, valid):
    assert validator("experiment", "2020-12").is_valid(data) is valid
    _, state = structure(data, Path("/"))
    assert (state.findings == []) is valid


def test_an_editor_learns_which_type_is_meant():
    errors = list(validator("array", "2020-12").iter_errors({"type": "crop", "source": RAW}))
    assert [error.message for error in errors] == ["'roi' is a required property"]


def test_there_is_a_file_for_every_document_and_draft_and_for_problems():
    assert sorted(schema_files()) == [
        "array.draft-07.schema.json",
        "array.schema.json",
        "experiment.draft-07.schema.json",
        "experiment.schema.json",
        "problems.schema.json",
    ]
