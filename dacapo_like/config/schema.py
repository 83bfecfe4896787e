"""JSON Schemas of documents, generated from the config classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from dacapo_like.config.dataset import DatasetConfig, ExperimentConfig
from dacapo_like.config.problems_schema import problems_schema
from dacapo_like.config.taplo import types_of, with_hints
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
_PARAMETER = {"type": "string", "pattern": "^\\$\\{[^{}]+\\}$"}
_PARAMETERS_REF = {"$ref": "#/$defs/parameters"}
_ARRAY_REF = {"$ref": "#/$defs/array"}
_FRACTION = {"type": "string", "pattern": f"{_PARAMETER['pattern']}|^-?[0-9]+/[0-9]+$"}
_NUMBER = {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/fraction"}]}
_NUMBERS = {"type": "array", "items": {"$ref": "#/$defs/number"}}
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
        "fraction": _FRACTION,
        "parameter": _PARAMETER,
        "parameters": _parameters(),
        "array": _any_array(),
        "array_of_type": _array_of_type(),
        "dataset": _class_schema(DatasetConfig),
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
        schema |= _ARRAY_REF
        # one that is inside of another has none, which a schema cannot tell
        for tag in document_types():
            definitions[f"type_{tag}"]["properties"]["parameters"] = _PARAMETERS_REF
    else:
        described = _class_schema(ExperimentConfig)
        schema |= described | {
            "title": schema["title"],
            "properties": {"parameters": _PARAMETERS_REF, **described["properties"]},
        }
    return with_hints(_as_draft_07(schema)) if draft == "draft-07" else _with_markdown(schema)


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
    types = document_types()
    about_types = [_summary(config) for config in types.values()]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {
                "description": "What kind of array this is.",
                "enum": list(types),
                "enumDescriptions": about_types,
            }
        },
        "if": {"required": ["type"]},
        "then": {"$ref": "#/$defs/array_of_type"},
    }


def _array_of_type() -> dict[str, Any]:
    """One branch per type: an editor completes the fields of the one that is meant, and reports its errors alone."""
    return {
        "allOf": [
            {
                "if": {"properties": {"type": {"const": tag}}},
                "then": {"$ref": f"#/$defs/type_{tag}"},
            }
            for tag in document_types()
        ]
    }


def _summary(config_class: type[Any]) -> str:
    return (config_class.__doc__ or "").partition("\n")[0].replace("``", "`")


def _class_schema(config_class: type[Any], tag: str | None = None) -> dict[str, Any]:
    hints = get_type_hints(config_class)
    summary = _summary(config_class)
    properties: dict[str, Any] = {}
    if tag is not None:
        properties["type"] = {"description": summary, "const": tag}
    required, alternatives = list(properties), []
    for field in document_fields(config_class):
        key = document_key(field)
        schema = _type_schema(hints[field.name])
        described = {"description": field.metadata["doc"]} | schema
        default = _default(field)
        properties[key] = described | ({"default": default} if default is not None else {})
        if key != field.name:
            other = {"description": f"DaCapo's spelling of `{key}`.", "doNotSuggest": True}
            properties[field.name] = other | schema
        if field.default is attrs.NOTHING and key == field.name:
            required.append(key)
        elif field.default is attrs.NOTHING:
            alternatives.append({"oneOf": [{"required": [key]}, {"required": [field.name]}]})
    result: dict[str, Any] = {
        "title": tag or config_class.__name__.removesuffix("Config").lower(),
        "description": summary,
        "type": "object",
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
    if "string" in types_of(schema) or _is_structure(hint):
        return schema
    return _or_parameter(schema)


def _or_parameter(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"$ref": "#/$defs/parameter"}]}


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
        Coordinate: _NUMBERS,
        Roi: _roi(),
        ArrayConfig: {
            "type": ["string", "object"],
            "if": {"type": "object"},
            "then": _ARRAY_REF,
        },
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
        return _union([_own_schema(part) for part in arguments])
    raise ConfigError(
        "a field's type has no JSON Schema", got=hint, expected="one of the types of documents"
    )


def _union(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Make one schema of several. Keywords mind one JSON type each, so they stand beside each other: of ``anyOf`` editors say less."""
    merged: dict[str, Any] = {}
    types: list[str] = []
    for member in members:
        if "enum" in member and {"type": "null"} in members:
            return {"enum": [*member["enum"], None]}
        if "enum" in member or (merged.keys() - {"type"}) & member.keys():
            return {"anyOf": members}
        merged |= member
        types += types_of(member)
    return merged | {"type": types}


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
    return {
        "type": ["object", "array"],
        "additionalProperties": item,
        "if": {"type": "array"},
        "then": {"items": {"type": "array", "minItems": 2, "maxItems": 2}},
    }


def _roi() -> dict[str, Any]:
    numbers = _or_parameter(_NUMBERS)
    corners = {
        "offset": {"description": "World position of the corner of its first voxel."} | numbers,
        "shape": {"description": "Its size, in world units."} | numbers,
    }
    return {
        "type": ["object", "array"],
        "properties": corners,
        "required": list(corners),
        "additionalProperties": False,
        "if": {"type": "array"},
        "then": {"items": numbers, "minItems": 2, "maxItems": 2},
    }


def _with_markdown(value: Any) -> Any:
    """Say of descriptions with marks of Markdown that they are such: else editors show the marks."""
    if isinstance(value, list):
        return [_with_markdown(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_markdown(item) for key, item in value.items()}
    text = found.get("description")
    if isinstance(text, str) and "`" in text:
        found["markdownDescription"] = text
    return found


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
