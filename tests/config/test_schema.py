"""The JSON Schemas are valid, fresh, and agree with what the converter accepts."""

from __future__ import annotations

from pathlib import Path

import attrs
import jsonschema
import pytest

from dacapo_like.config.converter import structure
from dacapo_like.config.schema import schema_files, schema_of, stale_schemas
from dacapo_like.core import document_key
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
