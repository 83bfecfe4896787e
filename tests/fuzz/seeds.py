"""Inputs to begin with, and the words of the language: from the examples, the documentation and the broken documents."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import attrs

from dacapo_like.fields import spellings
from dacapo_like.registry import document_types

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(yaml|toml|json)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LONGEST_SEED = 3000  # characters: the longer, the fewer inputs in a second


def format_byte(form: str) -> bytes:
    """Give the first byte of inputs of a format.

    Examples
    --------
    >>> [format_byte(form)[0] % 3 for form in ("yaml", "toml", "json")]
    [0, 1, 2]
    """
    return {"yaml": b"x", "toml": b"y", "json": b"z"}[form]


@cache
def seeds() -> tuple[bytes, ...]:
    """Give all inputs to begin with, the same in the same order wherever."""
    found: dict[bytes, None] = {}
    for folder in ("configs", "tests/broken"):
        for path in sorted((ROOT / folder).iterdir()):
            form = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}.get(
                path.suffix
            )
            if form:
                found[format_byte(form) + path.read_bytes()] = None
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if "_build" in page.parts:
            continue
        for form, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
            found[format_byte(form) + text.encode()] = None
    for tag, config in document_types().items():  # over the only source that needs no file
        required = [field for field in attrs.fields(config) if field.default is attrs.NOTHING]
        body = "".join(f", {spellings(field)[0]}: {{type: dummy}}" for field in required)
        found[format_byte("yaml") + f"{{type: {tag}{body}}}\n#set name=a".encode()] = None
    return tuple(seed for seed in found if len(seed) <= LONGEST_SEED)


@cache
def words() -> tuple[str, ...]:
    """Give the words that mean something in a document: types, keys, choices and names."""
    found: dict[str, None] = {}
    for tag, config in document_types().items():
        found[tag] = None
        found[config.__name__] = None
        for field in attrs.fields(config):
            found.update(dict.fromkeys(spellings(field)))
    for seed in seeds():
        found.update(
            dict.fromkeys(re.findall(r"[A-Za-z_][\w.]{2,30}", seed[1:].decode("utf-8", "replace")))
        )
    return tuple(found)
