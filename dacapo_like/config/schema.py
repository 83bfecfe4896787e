"""JSON Schemas of documents, generated from the config classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from dacapo_like.config.dataset import DatasetConfig, ExperimentConfig
from dacapo_like.config.problems_schema import problems_schema
from dacapo_like.core import ArrayConfig, Named, document_key
from dacapo_like.errors import ConfigError
from dacapo_like.fields import document_fields
from dacapo_like.geometry import Coordinate, Roi
from dacapo_like.registry import document_types

Draft = Literal["2020-12", "draft-07"]

_META = {
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft-07": "http://json-schema.org/draft-07/schema#",
}
_PARAMETER = {
    "type": "string",
    "pattern": "^\\$\\{[^{}]+\\}$",
    "description": "The value of a parameter of the document.",
}
_PARAMETER_REF = {"$ref": "#/$defs/parameter"}
_PARAMETERS_REF = {"$ref": "#/$defs/parameters"}
_NUMBER = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": "^-?[0-9]+/[0-9]+$"},
        _PARAMETER_REF,
    ]
}
_NUMBERS_REF = {"$ref": "#/$defs/numbers"}
_NUMBERS = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/number"}}, _PARAMETER_REF]}
_DEFINITIONS = "$defs"


def schema_of(document: Literal["array", "experiment"], draft: Draft = "2020-12") -> dict[str, Any]:
    """Make the JSON Schema of a kind of document.

    Parameters
    ----------
    document : {"array", "experiment"}
        One array, or arrays by name with datasets.
    draft : {"2020-12", "draft-07"}
        Editors of TOML know draft-07 only.

    Returns
    -------
    dict
        Ready for ``json.dumps``.

    Examples
    --------
    >>> schema_of("array")["$ref"]
    '#/$defs/array'
    """
    definitions: dict[str, Any] = {
        "number": _NUMBER,
        "numbers": _NUMBERS,
        "roi": _roi(),
        "array": _any_array(),
        "array_or_name": {
            "description": "An array, or the name of another array of the document.",
            "anyOf": [{"type": "string"}, {"$ref": "#/$defs/array"}],
        },
        "dataset": _class_schema(DatasetConfig),
        "parameter": _PARAMETER,
        "parameters": _parameters(),
    }
    definitions |= {
        f"type_{tag}": _class_schema(config, tag) for tag, config in document_types().items()
    }
    schema: dict[str, Any] = {
        "$schema": _META[draft],
        "title": f"dacapo_like {document}",
        _DEFINITIONS: definitions,
    }
    if document == "array":
        schema["$ref"] = "#/$defs/array"
        for (
            tag
        ) in document_types():  # one that is inside of another has none, which a schema cannot tell
            definitions[f"type_{tag}"]["properties"]["parameters"] = _PARAMETERS_REF
    else:
        described = _class_schema(ExperimentConfig)
        schema |= described | {
            "properties": {"parameters": _PARAMETERS_REF, **described["properties"]}
        }
    return _as_draft_07(schema) if draft == "draft-07" else schema


def schema_files() -> dict[str, str]:
    """Give the text of every schema by file name, as they stand in ``schemas/``."""
    files = {}
    for document in ("array", "experiment"):
        for draft, suffix in (("2020-12", ""), ("draft-07", ".draft-07")):
            schema = schema_of(document, draft)  # type: ignore[arg-type]  # both are literals
            files[f"{document}{suffix}.schema.json"] = json.dumps(schema, indent=2) + "\n"
    files["problems.schema.json"] = json.dumps(problems_schema(), indent=2) + "\n"
    return files


def write_schemas(directory: str | Path) -> list[Path]:
    """Write all schemas into a directory; give their paths."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in schema_files()]


def stale_schemas(directory: str | Path) -> list[str]:
    """Give the names of the schemas in a directory that are missing or no longer what the classes say."""
    stale = []
    for name, text in schema_files().items():
        path = Path(directory) / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    return stale


def _any_array() -> dict[str, Any]:
    """One branch per type: an editor completes all types, and reports the error of the one that is meant."""
    tags = list(document_types())
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": tags, "description": "What kind of array this is."}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": tag}}, "required": ["type"]},
                "then": {"$ref": f"#/$defs/type_{tag}"},
            }
            for tag in tags
        ],
    }


def _class_schema(config_class: type[Any], tag: str | None = None) -> dict[str, Any]:
    hints = get_type_hints(config_class)
    properties: dict[str, Any] = {} if tag is None else {"type": {"const": tag}}
    required, alternatives = [] if tag is None else ["type"], []
    for field in document_fields(config_class):
        key = document_key(field)
        schema = _type_schema(hints[field.name])
        doc = field.metadata.get("doc")
        described = ({"description": doc} if doc else {}) | schema
        default = _default(field)
        properties[key] = described | ({"default": default} if default is not None else {})
        if key != field.name:
            properties[field.name] = {"description": f"DaCapo's spelling of `{key}`."} | schema
        if field.default is attrs.NOTHING and key == field.name:
            required.append(key)
        elif field.default is attrs.NOTHING:
            alternatives.append({"oneOf": [{"required": [key]}, {"required": [field.name]}]})
    result: dict[str, Any] = {
        "type": "object",
        "description": (config_class.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return result | ({"allOf": alternatives} if alternatives else {})


def _default(field: attrs.Attribute[Any]) -> Any:
    return field.default if isinstance(field.default, (bool, int, float, str)) else None


def _type_schema(hint: Any) -> dict[str, Any]:
    """Give the schema of the type of a field; in the place of a value a parameter may stand, not in that of an array or dataset."""
    schema = _own_schema(hint)
    members = schema.get("anyOf", [schema])
    takes_text = {"type": "string"} in members or _NUMBERS_REF in members
    if takes_text or _is_structure(hint):
        return schema
    return {"anyOf": [*members, _PARAMETER_REF]}


def _is_structure(hint: Any) -> bool:
    """Whether a type is, or holds, one of our classes."""
    return (attrs.has(hint) and hint is not Roi) or any(map(_is_structure, get_args(hint)))


def _own_schema(hint: Any) -> dict[str, Any]:
    """Give the schema of the values of a type."""
    simple: dict[Any, dict[str, Any]] = {
        str: {"type": "string"},
        bool: {"type": "boolean"},
        int: {"type": "integer"},
        float: {"type": "number"},
        type(None): {"type": "null"},
        Coordinate: _NUMBERS_REF,
        Roi: {"$ref": "#/$defs/roi"},
        ArrayConfig: {"$ref": "#/$defs/array_or_name"},
        DatasetConfig: {"$ref": "#/$defs/dataset"},
    }
    if hint in simple:
        return simple[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _type_schema(arguments[0])}
    if attrs.has(hint):
        return _class_schema(hint)
    if origin is Named:
        return _named(_type_schema(arguments[0]))
    if arguments:
        return {"anyOf": [schema for part in arguments for schema in _members(_own_schema(part))]}
    raise ConfigError(
        "a field's type has no JSON Schema", got=hint, expected="one of the types of documents"
    )


def _members(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema["anyOf"] if set(schema) == {"anyOf"} else [schema]


def _parameters() -> dict[str, Any]:
    """Give the schema of the definitions of parameters."""
    variable = {
        "type": "object",
        "properties": {
            "env": {
                "type": "string",
                "description": "The environment variable that has the value.",
            },
            "default": {"description": "The value where the variable is not set."},
            "secret": {
                "type": "boolean",
                "default": False,
                "description": "The value is never shown or saved; it may stand behind the `?` of a URL.",
            },
        },
        "required": ["env"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "description": "Values by name: `${name}` stands for them in the rest of the document.",
        "additionalProperties": {
            "if": {"type": "object", "required": ["env"]},
            "then": variable,
        },
    }


def _named(item: dict[str, Any]) -> dict[str, Any]:
    pair = {"type": "array", "minItems": 2, "maxItems": 2}
    return {
        "anyOf": [
            {"type": "object", "additionalProperties": item},
            {"type": "array", "items": pair, "description": "Pairs of name and value."},
        ]
    }


def _roi() -> dict[str, Any]:
    corners = {"offset": {"$ref": "#/$defs/numbers"}, "shape": {"$ref": "#/$defs/numbers"}}
    return {
        "description": "A region in world units: the corner of its first voxel, and its size.",
        "anyOf": [
            {
                "type": "object",
                "properties": corners,
                "required": ["offset", "shape"],
                "additionalProperties": False,
            },
            {"type": "array", "items": {"$ref": "#/$defs/numbers"}, "minItems": 2, "maxItems": 2},
        ],
    }


def _as_draft_07(value: Any) -> Any:
    """Move the definitions to where draft-07 has them; a ``$ref`` there silences what stands beside it."""
    if isinstance(value, list):
        return [_as_draft_07(item) for item in value]
    if isinstance(value, str):
        return value.replace("#/$defs/", "#/definitions/")
    if not isinstance(value, dict):
        return value
    old = {
        ("definitions" if key == _DEFINITIONS else key): _as_draft_07(item)
        for key, item in value.items()
    }
    if "$ref" in old and len(old) > 1 and "$schema" not in old:
        return {"allOf": [{"$ref": old.pop("$ref")}]} | old
    if "$ref" in old and "$schema" in old:
        old["allOf"] = [{"$ref": old.pop("$ref")}]
    return old
