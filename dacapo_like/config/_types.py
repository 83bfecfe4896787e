"""What the halves of the converter, `converter` and `unstructuring`, know of types and fields."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Union, get_origin

import attrs
from cattrs.gen import override

from dacapo_like.core import document_key


def origin(target: Any) -> Any:
    return get_origin(target) or target


def is_union(target: Any) -> bool:
    return origin(target) in (Union, types.UnionType)


def renames(config_class: type[Any]) -> dict[str, Any]:
    return {
        field.name: override(rename=document_key(field)) for field in attrs.fields(config_class)
    }


def each_path(value: Any, change: Callable[[str], str]) -> Any:
    """Change a file name, or every one in a list of them, or of lists."""
    if isinstance(value, (list, tuple)):
        return [each_path(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
