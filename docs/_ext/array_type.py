"""The directive ``array-type``: what a document may say of one type of array, taken from its config class."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from sphinx.util.docutils import SphinxDirective

from dacapo_like.core import ArrayConfig, Named, document_key
from dacapo_like.geometry import Coordinate, Roi
from dacapo_like.registry import array_type

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

_NAMES: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    Any: "any value",
    Roi: "region",
    Coordinate: "list of numbers",
    ArrayConfig: "array",
}


def in_words(hint: Any) -> str:
    """Say a type as a reader of documents would."""
    origin, parts = get_origin(hint), [part for part in get_args(hint) if part is not Ellipsis]
    if origin in (Union, types.UnionType):
        words = dict.fromkeys(in_words(part) for part in parts if part is not type(None))
        return "number" if set(words) == {"integer", "number"} else " or ".join(words)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in parts)
    if origin is Named:
        return f"mapping of names to: {in_words(parts[0])}"
    if origin is tuple:
        return f"list of: {in_words(parts[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return "mapping"
    if origin is not None and issubclass(origin, Sequence):
        return "list"
    if hint not in _NAMES and attrs.has(hint):
        return str(hint.__name__).lower()
    return _NAMES[hint]


def _default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class, whatever its stub says
        return ""
    return "" if field.default is None else f"`{str(field.default).lower()}`"


def _prose(config_class: type) -> str:
    """Give the docstring up to its first section."""
    text = re.split(r"\n\n[A-Z]\w+\n-+\n", inspect.getdoc(config_class) or "")[0]
    return text.replace("``", "`")


def describe(tag: str) -> str:
    """Write the class's docstring and a table of its keys, as MyST."""
    config_class = array_type(tag)
    hints = get_type_hints(config_class)
    rows = [
        f"| `{document_key(field)}` | {in_words(hints[field.name])} | {_default(field)} | {field.metadata['doc']} |"
        for field in sorted(attrs.fields(config_class), key=lambda field: field.name == "name")
    ]
    return "\n".join(
        [
            _prose(config_class),
            "",
            "| key | value | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            f"In Python: `dacapo_like.{config_class.__name__}`.",
        ]
    )


class ArrayType(SphinxDirective):
    """Put a type's description here."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the description where the directive stands."""
        return self.parse_text_to_nodes(describe(self.arguments[0]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("array-type", ArrayType)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
