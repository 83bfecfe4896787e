"""DaCapo's documents of datasets and datasplits, as experiments: its RawGT datasets under `datasets`, their arrays by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from dacapo_like.config.document import Document
from dacapo_like.errors import KeyPath, Problem, did_you_mean, format_key

_TYPE, _DATASET, _SPLIT = "__type__", "RawGTDatasetConfig", "TrainValidateDataSplitConfig"
_PARTS: tuple[tuple[str, Literal["train", "validate"]], ...] = (
    ("train_configs", "train"),
    ("validate_configs", "validate"),
)
_ROLES = {"raw_config": "raw", "gt_config": "gt", "mask_config": "mask"}


def as_experiment(document: Document) -> Document:
    r"""Rearrange a document of DaCapo's datasets; any other is returned as it is.

    Arrays are called what DaCapo calls them; where two that differ have one name, after their dataset and what they are in it.
    Everything keeps its place, and the key path that messages name.

    Examples
    --------
    >>> from dacapo_like.config.document import parse_document
    >>> array = "{__type__: ZarrArrayConfig, name: em, file_name: a.zarr}"
    >>> text = f"__type__: RawGTDatasetConfig\nname: one\nweight: 2\nraw_config: {array}"
    >>> as_experiment(parse_document(text)).data["datasets"]
    [{'name': 'one', 'weight': 2, 'split': 'train', 'raw': 'em'}]
    """
    data = document.data
    kind = data.get(_TYPE) if isinstance(data, Mapping) else None
    if kind == _DATASET:
        return _Rearranging(document).of([((), data, "train")])
    if kind != _SPLIT:
        return document
    rearranging = _Rearranging(document)
    rearranging.check_keys()
    return rearranging.of(
        [
            ((key, i), item, split)
            for key, split in _PARTS
            for i, item in enumerate(rearranging.items(key))
        ]
    )


class _Rearranging:
    """The rearranging of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[Problem] = []
        self._arrays: dict[str, Any] = {}
        self._moved: dict[KeyPath, KeyPath] = {(): ()}

    def check_keys(self) -> None:
        """Report the keys that a datasplit does not have."""
        known = [_TYPE, "name", *(key for key, _ in _PARTS)]
        for key in self._document.data:
            if key not in known:
                hint = did_you_mean(str(key), known)
                expected = f"unknown key (got {key!r}; expected one of {', '.join(known)})"
                self._report((key,), expected, "DL105", hint, of_key=True)

    def items(self, key: str) -> list[Any]:
        """Give the datasets of one half."""
        found = self._document.data.get(key)
        if found is None or isinstance(found, (list, tuple)):
            return list(found or ())
        self._report((key,), "wrong type of value (expected a list of datasets)", "DL103")
        return []

    def of(self, datasets: list[tuple[KeyPath, Any, str]]) -> Document:
        """Give the experiment of some datasets."""
        made: list[Any] = []
        for key, item, split in datasets:
            named = item.get(_TYPE, _DATASET) if isinstance(item, Mapping) else None
            if named != _DATASET:
                message = f"unknown type of dataset (got {named!r}; expected {_DATASET})"
                hint = "write it under `datasets` of an experiment"
                self._report((*key, _TYPE) if named else key, message, "DL101", hint)
                continue
            made.append(self._dataset(key, item, split, ("datasets", len(made))))
        document = self._document
        problems = (*document.problems, *self._problems)
        return attrs.evolve(
            document,
            data={"arrays": self._arrays, "datasets": made},
            positions=self._moved_places(document.positions),
            key_positions=self._moved_places(document.key_positions),
            problems=problems,
            moved=self._moved,
        )

    def _dataset(self, key: KeyPath, item: Mapping[str, Any], split: str, to: KeyPath) -> Any:
        self._moved[to] = key
        self._moved |= {(*to, new): (*key, old) for old, new in _ROLES.items()}
        made: dict[str, Any] = {}
        for old, value in item.items():
            if old == _TYPE:
                continue
            new = _ROLES.get(old, old)
            self._moved[*to, new] = (*key, old)
            if new == old or not isinstance(value, Mapping):
                made[new] = value
            else:
                made[new] = self._named(value, f"{item.get('name', 'crop')}_{new}", (*key, old))
        given = {"name": item.get("name"), "weight": item.get("weight", 1), "split": split}
        return {k: v for k, v in given.items() if v is not None} | made

    def _named(self, array: Mapping[str, Any], otherwise: str, key: KeyPath) -> str:
        """Give the name of an array in the experiment, where it gets a place if it has none."""
        own = array.get("name")
        name = own if isinstance(own, str) and own else re.sub(r"\s+", "_", otherwise)
        if self._arrays.get(name, array) != array:
            name = otherwise
        number = 1
        while self._arrays.get(name, array) != array:
            number += 1
            name = f"{otherwise}_{number}"
        if name not in self._arrays:
            self._arrays[name] = array
            self._moved["arrays", name] = key
        return name

    def _moved_places(self, places: Mapping[KeyPath, Any]) -> dict[KeyPath, Any]:
        """Give the places of what was moved, under its new key paths."""
        below: dict[KeyPath, list[KeyPath]] = {}
        for new, old in self._moved.items():
            below.setdefault(old, []).append(new)
        found = {new: places[old] for new, old in self._moved.items() if old in places}
        for key, place in places.items():
            for length in range(len(key) + 1):
                for new in below.get(key[:length], ()):
                    found.setdefault((*new, *key[length:]), place)
        return found

    def _report(
        self,
        key: KeyPath,
        message: str,
        code: str,
        hint: str | None = None,
        *,
        of_key: bool = False,
    ) -> None:
        place = self._document.place(key, of_key=of_key)
        self._problems.append(
            Problem(**place, key=format_key(key), code=code, message=message, hint=hint)
        )
