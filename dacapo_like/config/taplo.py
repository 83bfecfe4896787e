"""What taplo, the language server of TOML, needs of a JSON Schema to complete and to explain.

It checks documents by all of draft-07, but looks for keys and values nowhere behind ``if``, and takes no notice of which branch of
an ``anyOf`` holds. So what stands behind an ``if`` is repeated in branches beside one that allows everything: what is valid stays
the same. Of the keys of arrays it is told all, whatever the type, and which types have them.
"""

from __future__ import annotations

from typing import Any

_ARRAY = {"$ref": "#/definitions/array"}
_TEXTS = tuple({"$ref": f"#/definitions/{name}"} for name in ("parameter", "fraction"))
_UNKNOWN = {"not": {"description": "an unknown key"}}  # else all that stands beside it is marked


def with_hints(schema: dict[str, Any]) -> dict[str, Any]:
    """Give a draft-07 schema of documents with what taplo looks for.

    Parameters
    ----------
    schema : dict
        Of ``schema_of``, its definitions where draft-07 has them.

    Returns
    -------
    dict
        It holds for the same documents.
    """
    hinted: dict[str, Any] = _hinted(schema)
    array = hinted["definitions"]["array"]
    kinds = array["properties"]["type"]
    kinds["x-taplo"] = {"docs": {"enumValues": kinds["enumDescriptions"]}}
    patterns: dict[str, Any] = {}
    for key, of_types in _fields_of_arrays(schema["definitions"]).items():
        array["properties"][key] = _hint(of_types, types=len(kinds["enum"]))
        for own in of_types.values():
            if str(_ARRAY) in str(own):  # not among what it completes at once: that has no end
                patterns[f"^{key}$"] = _allowing(_hinted(own) | {"description": ""})
    array["patternProperties"] = patterns
    return hinted


def _hinted(value: Any) -> Any:
    """Repeat what is behind each ``if``."""
    if isinstance(value, list):
        return [_hinted(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _hinted(item) for key, item in value.items()}
    if found.get("then") == _ARRAY:
        found |= _allowing(_ARRAY)
    if found.get("additionalProperties") is False:
        found["additionalProperties"] = _UNKNOWN
    for key, item in found.get("properties", {}).items():
        if item.get("then") == _ARRAY:  # as in `with_hints`
            del item["anyOf"]
            found.setdefault("patternProperties", {})[f"^{key}$"] = _allowing(_ARRAY)
    plain = _but_for_parameters(found)
    if plain is not found:
        said = {"description": found["description"]} if "description" in found else {}
        rest = {k: item for k, item in found.items() if k not in {"anyOf", "description"}}
        found = rest | {"if": found["anyOf"][1], "else": plain} | _allowing(said | plain)
    return found


def _allowing(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, True]}


def _but_for_parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """Give what a schema has beside the text of a parameter or fraction, which may stand instead."""
    members = schema.get("anyOf", [])
    return members[0] if members and members[-1] in _TEXTS else schema


def _fields_of_arrays(definitions: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Give the schemas of the fields of arrays, by key, then by type."""
    fields: dict[str, dict[str, dict[str, Any]]] = {}
    for name, definition in definitions.items():
        if name.startswith("type_"):
            for key, schema in definition["properties"].items():
                if key != "type" and not schema.get("doNotSuggest"):
                    fields.setdefault(key, {})[definition["title"]] = schema
    return fields


def types_of(schema: dict[str, Any]) -> list[str]:
    """Give the JSON types that a schema admits; none where it lists values."""
    types = schema.get("type", [])
    return types if isinstance(types, list) else [types]


def _hint(of_types: dict[str, dict[str, Any]], types: int) -> dict[str, Any]:
    """Say of a field of arrays what its types say of it, and that it may be anything."""
    saying: dict[str, list[str]] = {}
    for tag, schema in of_types.items():
        saying.setdefault(schema.get("description", ""), []).append(f"`{tag}`")
    said = "\n\n".join(
        text if len(tags) == types else f"{', '.join(tags)}: {text}"
        for text, tags in saying.items()
    )
    plain = [_but_for_parameters(schema) for schema in of_types.values()]
    if "$ref" in plain[0]:
        return plain[0]
    hint: dict[str, Any] = {"description": said}
    values = [value for schema in plain for value in schema.get("enum", ()) if value is not None]
    parted = [schema for schema in plain if "properties" in schema]
    if values:
        hint["enum"] = list(dict.fromkeys(values))
    elif parted:
        hint |= _hinted(parted[0])
    else:
        kinds = dict.fromkeys(kind for schema in plain for kind in types_of(schema))
        hint["type"] = [kind for kind in kinds if kind != "null"]
        if len(hint["type"]) == 1:
            (hint["type"],) = hint["type"]
    return _allowing(hint)
