"""How documents spell types and fields: short, or as DaCapo does.

DaCapo writes the name of a config's class under ``__type__``, the full names of its fields, and the items of a mapping as
pairs. Everything here is looked up, in the registry and in what the fields say of themselves; nothing is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dacapo_like.config.scalars import shorten
from dacapo_like.core import ArrayConfig, document_key
from dacapo_like.errors import ConfigError, KeyPath, did_you_mean
from dacapo_like.fields import spellings
from dacapo_like.registry import document_types

_SHORT, _DACAPO = "type", "__type__"


def has_type(data: Any) -> bool:
    """Whether data is meant to be an array: a mapping that says its type, in whichever spelling."""
    return isinstance(data, Mapping) and (_SHORT in data or _DACAPO in data)


def class_of(value: Mapping[str, Any]) -> type[ArrayConfig]:
    """Give the class of the array that a mapping of a document describes.

    Raises
    ------
    ConfigError
        It says no type, two, or one that there is not.

    Examples
    --------
    >>> class_of({"type": "crop"}) is class_of({"__type__": "CropArrayConfig"})
    True
    """
    if not has_type(value):
        raise ConfigError(
            "an array without a type",
            expected=f"`type`: one of {', '.join(document_types())}",
            code="DL106",
        )
    if _SHORT in value and _DACAPO in value:
        raise _two_spellings(_SHORT, _DACAPO)
    key = _SHORT if _SHORT in value else _DACAPO
    name, known = value[key], _classes(key)
    if not isinstance(name, str) or name not in known:
        raise ConfigError(
            "unknown type of array",
            got=shorten(name),
            expected=f"one of {', '.join(known)}",
            hint=_hint(str(name), known),
            key=(key,),
            code="DL101",
        )
    return known[name]


def _classes(key: str) -> dict[str, type[ArrayConfig]]:
    """Give the types that there are, by what stands for them under a key."""
    types = document_types()
    return types if key == _SHORT else {config.__name__: config for config in types.values()}


def _hint(name: str, known: Mapping[str, type[ArrayConfig]]) -> str | None:
    for other in map(_classes, (_SHORT, _DACAPO)):
        if name in other:
            right = next(right for right, config in known.items() if config is other[name])
            return f"did you mean '{right}'?"
    if name.endswith(("DatasetConfig", "DataSplitConfig")):
        return (
            "this describes datasets; those of RawGTDatasetConfig are understood, at the top of a document "
            "or in a TrainValidateDataSplitConfig: give the arrays of others a name under `arrays`"
        )
    return did_you_mean(name, known)


def _two_spellings(first: str, second: str) -> ConfigError:
    return ConfigError(
        "two spellings of one key",
        got=f"`{first}` and `{second}`",
        expected="one of them",
        key=(second,),
        code="DL105",
    )


def short_spelling(value: Mapping[str, Any], config_class: type[ArrayConfig]) -> dict[str, Any]:
    """Spell the mapping of an array short, without its type.

    Raises
    ------
    ConfigError
        A key stands there in two spellings.

    Examples
    --------
    >>> from dacapo_like import OnesArrayConfig
    >>> value = {"__type__": "OnesArrayConfig", "source_array_config": "raw"}
    >>> short_spelling(value, OnesArrayConfig)
    {'source': 'raw'}
    """
    field_of = {key: field for field in attrs.fields(config_class) for key in spellings(field)}
    spelled: dict[str, str] = {}
    short: dict[str, Any] = {}
    for given, item in value.items():
        if given in (_SHORT, _DACAPO):
            continue
        field = field_of.get(given)
        key = given if field is None else document_key(field)
        if key in spelled:
            raise _two_spellings(spelled[key], given)
        read = field.metadata.get("dacapo") if field is not None and _DACAPO in value else None
        spelled[key], short[key] = given, item if read is None else read(item)
    return short


def spelling(field: attrs.Attribute[Any], data: Any) -> str:
    """Give the key by which a mapping spells a field, or would spell it."""
    understood = spellings(field)
    if not isinstance(data, Mapping):
        return understood[0]
    present = next((key for key in understood if key in data), None)
    return present or understood[-1 if _DACAPO in data else 0]


def step(data: Any, part: str | int) -> tuple[KeyPath, Any]:
    """Go down one part of a key path: give it as the document spells it, and what stands there."""
    if isinstance(data, Mapping):
        key = _spelled(data, str(part))
        return (key,), data.get(key)
    if isinstance(data, (list, tuple)) and isinstance(part, str):
        for i, pair in enumerate(data):
            if isinstance(pair, (list, tuple)) and len(pair) == 2 and pair[0] == part:
                return (i, 1), pair[1]
    elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data):
        return (part,), data[part]
    return (part,), None


def _spelled(data: Mapping[str, Any], part: str) -> str:
    if part in data or not has_type(data):
        return part
    key = _SHORT if _SHORT in data else _DACAPO
    if part == _SHORT:
        return key
    name = data[key]
    config_class = _classes(key).get(name) if isinstance(name, str) else None
    fields = attrs.fields(config_class) if config_class else ()
    field = next((field for field in fields if part in spellings(field)), None)
    return spelling(field, data) if field else part


def spelled_key(data: Any, key: KeyPath) -> KeyPath:
    """Give a key path as the document at hand spells it.

    Examples
    --------
    >>> data = {"__type__": "BinarizeArrayConfig", "groupings": [["mito", [3]]]}
    >>> spelled_key(data, ("source",)), spelled_key(data, ("groupings", "mito", 0))
    (('source_array_config',), ('groupings', 0, 1, 0))
    """
    spelled: KeyPath = ()
    for part in key:
        parts, data = step(data, part)
        spelled += parts
    return spelled
