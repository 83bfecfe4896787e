"""The short spelling put into the text of a document: only keys, types and numbers change, and nothing around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from dacapo_like.config.dacapo import class_of, has_type
from dacapo_like.config.document import Document, Position
from dacapo_like.core import document_key
from dacapo_like.errors import ConfigError, DocumentError, KeyPath
from dacapo_like.fields import spellings

_LONG, _SHORT = "__type__", "type"
_OF_DATASETS = ("DatasetConfig", "DataSplitConfig")
_NUMBER = re.compile(r"[\w.+-]+")


def respelled(document: Document) -> str:
    r"""Spell the arrays of a document short; all else stays as it is, to the character.

    Parameters
    ----------
    document : Document
        As it was read, without problems.

    Raises
    ------
    DocumentError
        It is one of DaCapo's datasets, which are rearranged rather than respelled; or something is written in a way that cannot
        be changed by itself.

    Examples
    --------
    >>> from dacapo_like.config.document import parse_document
    >>> respelled(parse_document("__type__: ZarrArrayConfig  # as it was\nfile_name: a.zarr"))
    'type: zarr  # as it was\nfile_name: a.zarr'
    """
    kind = str(document.data.get(_LONG, "")) if isinstance(document.data, Mapping) else ""
    if kind.endswith(_OF_DATASETS):
        raise DocumentError(
            "datasets of DaCapo are rearranged, not respelled",
            got=kind,
            where=document.path,
            hint="name a new document",
        )
    return _Edits(document).done()


@attrs.define
class _Edits:
    """Changes to the text of a document, by where they begin: what is behind an alias is changed once."""

    document: Document
    changes: dict[int, tuple[str, str]] = attrs.field(factory=dict)

    def done(self) -> str:
        text = self.document.text or ""
        for path, array in _arrays(self.document.data, ()):
            self._respell(path, array)
        for offset in sorted(self.changes, reverse=True):
            old, new = self.changes[offset]
            text = f"{text[:offset]}{new}{text[offset + len(old) :]}"
        return text

    def _respell(self, path: KeyPath, array: Mapping[str, Any]) -> None:
        try:
            config_class = class_of(array)
        except (
            ConfigError
        ):  # its type is a parameter, or it is no array: the result is compared in the end
            return
        fields = {key: field for field in attrs.fields(config_class) for key in spellings(field)}
        for key, value in array.items():
            if key == _LONG:
                self._rename(path, key, _SHORT)
                self._replace((*path, key), str(value), config_class.tag)
            elif key in fields:
                self._rename(path, key, document_key(fields[key]))
                read = fields[key].metadata.get("dacapo")
                if read is not None and _LONG in array:
                    self._convert((*path, key), value, read(value))

    def _rename(self, path: KeyPath, old: str, new: str) -> None:
        if new != old:
            self._write(self.document.key_positions[*path, old], old, new)

    def _replace(self, path: KeyPath, old: str, new: str) -> None:
        self._write(self.document.positions[path], old, new)

    def _convert(self, path: KeyPath, old: Any, new: Any) -> None:
        """Write a value as it is meant, number by number."""
        if isinstance(old, list) and isinstance(new, (list, tuple)) and len(old) == len(new):
            for i, (before, after) in enumerate(zip(old, new, strict=True)):
                self._convert((*path, i), before, after)
        elif new != old or type(new) is not type(old):  # True equals 1
            offset = self._offset(self.document.positions[path])
            written = _NUMBER.match(self.document.text or "", offset)
            if written is None or not isinstance(new, int):
                raise self._impossible(self.document.positions[path])
            self.changes[offset] = written[0], str(int(new))

    def _write(self, position: Position, old: str, new: str) -> None:
        """Replace a word, in quotes or without."""
        text, offset = self.document.text or "", self._offset(position)
        quoted = text[offset : offset + 1] in ("'", '"')
        if not text.startswith(old, offset + quoted):
            raise self._impossible(position)
        self.changes[offset + quoted] = old, new

    def _offset(self, position: Position) -> int:
        lines = (self.document.text or "").split("\n")[: position.line - 1]
        return sum(len(line) + 1 for line in lines) + position.column - 1

    def _impossible(self, position: Position) -> DocumentError:
        return DocumentError(
            "this cannot be respelled where it is",
            where=f"{self.document.path}:{position.line}:{position.column}",
            hint="name a new document, which is written anew, without comments",
        )


def _arrays(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    if isinstance(data, Mapping):
        if has_type(data):
            yield path, data
        for key, value in data.items():
            yield from _arrays(value, (*path, key))
    elif isinstance(data, list):
        for i, item in enumerate(data):
            yield from _arrays(item, (*path, i))
