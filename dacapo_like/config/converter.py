"""From plain data to configs, through one strict cattrs converter that reports every problem with its key path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, get_args

import attrs
from cattrs import Converter
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from dacapo_like.config._types import each_path, is_union, origin, renames
from dacapo_like.config.dacapo import (
    class_of,
    has_type,
    short_spelling,
    spelled_key,
    spelling,
    step,
)
from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.config.document import Document
from dacapo_like.config.parameters import resolve_parameters
from dacapo_like.config.project import located, project_of
from dacapo_like.config.scalars import (
    structure_bool,
    structure_coordinate,
    structure_float,
    structure_int,
    structure_literal,
    structure_number,
    structure_roi,
    structure_str,
    wrong_type,
)
from dacapo_like.core import ArrayConfig, Named, document_key
from dacapo_like.errors import ConfigError, DacapoLikeError, DocumentError, KeyPath, did_you_mean
from dacapo_like.fields import document_fields, first_repeated
from dacapo_like.geometry import Coordinate, Roi

MAX_TREE_DEPTH = 64
"""Configs inside each other, references followed."""

_MOST_NAMES = 30
_ROOTED = re.compile(r"\$\{root:([^}]*)\}(?:/(.*))?", re.DOTALL)


class Finding(NamedTuple):
    """An error of a document, and the key path that it is about."""

    key: KeyPath
    error: DacapoLikeError
    of_key: bool = False


class BrokenReferenceError(ConfigError):
    """Another array of the document is wrong; it is reported where it stands."""


class Library(Protocol):
    """Arrays that documents may refer to by name besides their own, such as those of a config store."""

    def names(self) -> Sequence[str]:
        """Give the names of all arrays."""

    def document(self, name: str) -> Document | None:
        """Give the document of an array; ``None``: there is none."""

    def place(self, name: str) -> str:
        """Say where the document of an array is."""


@attrs.define
class Structuring:
    """What is known while one document is structured.

    Attributes
    ----------
    directory : Path
        Where relative file names start.
    arrays : mapping
        Raw named arrays, for references.
    configs : dict
        Config of each mapping that could be structured, by ``id`` of the mapping.
    named : dict
        Finished named arrays; ``None`` for the broken ones.
    findings : list of Finding
        Errors of the named arrays.
    library : Library or None
        Where names are looked up that are none of `arrays`.
    borrowed : dict
        Arrays taken from the library, by name; all documents that lead to each other share it.
    borrowing : tuple of str
        Names in the library of the documents that led here, this one last.
    references : set of str
        Names in the library that this very document refers to.
    """

    directory: Path
    arrays: Mapping[str, Any] = attrs.field(factory=dict)
    configs: dict[int, ArrayConfig] = attrs.field(factory=dict)
    named: dict[str, ArrayConfig | None] = attrs.field(factory=dict)
    findings: list[Finding] = attrs.field(factory=list)
    pending: list[str] = attrs.field(factory=list)
    depth: int = 0
    library: Library | None = None
    borrowed: dict[str, ArrayConfig] = attrs.field(factory=dict)
    borrowing: tuple[str, ...] = ()
    references: set[str] = attrs.field(factory=set)

    def array(self, name: str) -> ArrayConfig:
        """Give a named array, structuring it where that was not done yet."""
        if name in self.pending:
            raise _circle([*self.pending[self.pending.index(name) :], name])
        if name not in self.named:
            self.pending.append(name)
            found = _attempt(self.arrays[name], ArrayConfig, ("arrays", name), self.findings)
            self.pending.pop()
            self.named[name] = attrs.evolve(found, name=name) if found and not found.name else found
        config = self.named[name]
        if config is None:
            raise BrokenReferenceError(f"array {name!r} has problems of its own")
        return config

    def refer(self, name: str) -> ArrayConfig:
        """Give the array that a bare string names: one of the document, else of the library."""
        if name in self.arrays:
            return self.array(name)
        if name in self.borrowing:
            raise _circle([*self.borrowing[self.borrowing.index(name) :], name])
        document = self._look_up(name)
        if document is None:
            raise self._nothing_named(name)
        self.references.add(name)
        if name not in self.borrowed:
            self.borrowed[name] = self._borrow(name, document)
        return self.borrowed[name]

    def _look_up(self, name: str) -> Document | None:
        try:
            document = self.library.document(name) if self.library is not None else None
            return None if document is None else resolve_parameters(document)
        except DocumentError as error:
            raise _broken_in_store(name, [str(error)]) from error

    def _nothing_named(self, name: str) -> ConfigError:
        known = [*self.arrays, *(self.library.names() if self.library is not None else ())]
        shown = ", ".join(known[:_MOST_NAMES]) + (", …" if len(known) > _MOST_NAMES else "")
        return ConfigError(
            "no array of this name",
            got=repr(name),
            expected=f"one of {shown}" if known else "a mapping with a `type`",
            hint=did_you_mean(name, known),
            code="DL107",
        )

    def _borrow(self, name: str, document: Document) -> ArrayConfig:
        """Structure an array of the library; its problems become one of the place that refers to it."""
        config, state = structure(document.data, document.directory, stored_as=name, outer=self)
        if isinstance(config, ArrayConfig) and not document.problems:
            return config
        found = [_placed(document, finding) for finding in state.findings]
        found += [str(problem) for problem in document.problems]
        circular = any(finding.error.code == "DL108" for finding in state.findings)
        raise _broken_in_store(name, found, code="DL108" if circular else "DL131")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count the configs inside each other."""
        if self.depth >= MAX_TREE_DEPTH:
            raise ConfigError(
                "arrays are nested too deeply",
                expected=f"at most {MAX_TREE_DEPTH} levels",
                code="DL109",
            )
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1


def _circle(names: Sequence[str]) -> ConfigError:
    what = "arrays refer to each other in a circle"
    return ConfigError(what, got=" -> ".join(names), code="DL108")


def _broken_in_store(name: str, found: Sequence[str], code: str = "DL131") -> ConfigError:
    what = f"array {name!r} of the store has problems of its own"
    return ConfigError(what, got="; ".join(found), code=code)


def _placed(document: Document, finding: Finding) -> str:
    """Say what is wrong in another document, and where."""
    key = spelled_key(document.data, finding.key)
    position = document.position(key, of_key=finding.of_key)
    place = f":{position.line}:{position.column}" if position else ""
    return f"{document.path}{place}: {finding.error.message}"


_structuring: ContextVar[Structuring] = ContextVar("structuring")


def structure(
    data: Any,
    directory: Path,
    *,
    library: Library | None = None,
    stored_as: str | None = None,
    outer: Structuring | None = None,
) -> tuple[ArrayConfig | ExperimentConfig | None, Structuring]:
    """Turn the plain data of a document into configs.

    Parameters
    ----------
    data : Any
        As a document holds it.
    directory : Path
        Where relative file names start.
    library : Library, optional
        Where names are looked up that the document does not have.
    stored_as : str, optional
        The name in the library of what is structured: then it is one array, which gets the name where it has none.
    outer : Structuring, optional
        Of the document that refers to this one; its library is this one's.

    Returns
    -------
    config : ArrayConfig or ExperimentConfig or None
        ``None`` where there were errors.
    structuring : Structuring
        With the errors, and the configs of all mappings that had none.
    """
    is_experiment = stored_as is None and isinstance(data, Mapping) and not has_type(data)
    arrays = data.get("arrays") if is_experiment else None
    state = Structuring(directory, arrays if isinstance(arrays, Mapping) else {}, library=library)
    if outer is not None:
        state.library, state.borrowed = outer.library, outer.borrowed
        state.borrowing, state.depth = outer.borrowing, outer.depth
    if stored_as is not None:
        state.borrowing += (stored_as,)
    token = _structuring.set(state)
    try:
        for name in state.arrays:
            _attempt(name, _Reference, ("arrays", name), state.findings)
        if state.arrays:  # they are finished: what remains of the document refers to them by name
            data = {**data, "arrays": {name: name for name in state.arrays}}
        target = ExperimentConfig if is_experiment else ArrayConfig
        root = _attempt(data, target, (), state.findings)
    finally:
        _structuring.reset(token)
    if stored_as is not None and root is not None and not root.name:
        root = attrs.evolve(root, name=stored_as)
    return (None if state.findings else root), state


class _Reference(str):
    """Marks a name that is to be resolved."""

    __slots__ = ()


def _attempt(data: Any, target: Any, key: KeyPath, findings: list[Finding]) -> Any:
    """Structure a value; ``None`` where that failed, its errors being added to the findings."""
    try:
        return converter.structure(data, target)
    except (ClassValidationError, IterableValidationError, DacapoLikeError) as error:
        findings.extend(_findings(error, data, key))
        return None


def _findings(error: BaseException, data: Any, key: KeyPath) -> Iterator[Finding]:
    """Give the errors inside cattrs' exception groups, with their key paths."""
    if isinstance(error, (ClassValidationError, IterableValidationError)):
        noted, plain = error.group_exceptions()
        for inner, note in noted:
            part = (
                note.index
                if isinstance(note, IterableValidationNote)
                else _key_of(error, note.name, data)
            )
            yield from _findings(inner, step(data, part)[1], (*key, part))
        for inner in plain:
            yield from _findings(inner, data, key)
    elif isinstance(error, BrokenReferenceError):
        return
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [spelling(field, data) for field in document_fields(error.cl)]
        for extra in (key for key in data if key in error.extra_fields):
            unknown = ConfigError(
                "unknown key",
                got=repr(extra),
                expected=f"one of {', '.join(known)}",
                hint=did_you_mean(extra, known),
                code="DL105",
            )
            yield Finding((*key, extra), unknown, of_key=True)
    elif isinstance(error, KeyError):
        missing = ConfigError("required key is missing", expected=f"`{key[-1]}`", code="DL102")
        yield Finding(key, missing)
    elif isinstance(error, DacapoLikeError):
        yield Finding((*key, *error.key), error)
    else:
        raise error


def _key_of(error: BaseException, field: str, data: Any) -> str:
    """Give the key by which the document spells a field."""
    return spelling(getattr(attrs.fields(error.cl), field), data)  # type: ignore[attr-defined]  # a ClassValidationError's


# Containers


def _tuple_hook(target: Any, inner: Converter) -> Callable[[Any, Any], Any]:
    structure_items = homogenous_tuple_structure_factory(target, inner)

    def structure_tuple(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise wrong_type(value, "a list")
        return structure_items(value, target)

    return structure_tuple


def _named_hook(target: Any) -> Callable[[Any, Any], Named[Any]]:
    (item_type,) = get_args(target)

    def structure_named(value: Any, _: Any) -> Named[Any]:
        items, errors = {}, []
        for key, item in _pairs(value):
            try:
                items[key] = converter.structure(item, item_type)
            except Exception as error:  # noqa: BLE001  # every error is given on, with its place, in one group
                error.add_note(IterableValidationNote(f"at {key!r}", key, item_type))
                errors.append(error)
        if errors:
            raise IterableValidationError("while structuring named values", errors, Named)
        return Named(items)

    return structure_named


def _pairs(value: Any) -> list[tuple[str, Any]]:
    """Give the items of a mapping, or of DaCapo's list of pairs."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    ):
        raise wrong_type(value, "a mapping, or a list of [name, value] pairs")
    for name, _ in pairs:
        structure_str(name, str)
    repeated = first_repeated(name for name, _ in pairs)
    if repeated is not None:
        raise ConfigError("a name stands twice", got=repeated, expected="every name once")
    return [(name, item) for name, item in pairs]


def _is_array(target: Any) -> bool:
    return target is ArrayConfig


def _union_hook(target: Any) -> Callable[[Any, Any], Any]:
    """Choose the member of a union by what the value is, so that errors are those of one member."""
    members = get_args(target)

    def structure_union(value: Any, _: Any) -> Any:
        if value is None and type(None) in members:
            return None
        fitting = [member for member in members if _fits(value, member)]
        concrete = [member for member in members if member is not type(None)]
        if fitting or len(concrete) == 1:
            return converter.structure(value, (fitting or concrete)[0])
        raise wrong_type(value, " or ".join(dict.fromkeys(map(_type_name, concrete))))

    return structure_union


def _fits(value: Any, member: Any) -> bool:
    kind = origin(member)
    if isinstance(value, bool):
        return kind is bool
    kinds: dict[Any, tuple[type, ...]] = {
        int: (int,),
        float: (int, float, Decimal),
        str: (str,),
        Literal: (str,),
        tuple: (list, tuple),
        Coordinate: (list, tuple),
        Named: (dict, list),
        ArrayConfig: (dict, str),
    }
    return isinstance(value, kinds.get(kind, ()))


def _type_name(member: Any) -> str:
    names = {
        int: "an integer",
        float: "a number",
        str: "text",
        Literal: "text",
        tuple: "a list",
        bool: "true or false",
    }
    return names.get(origin(member), "a mapping")


# Configs


def _structure_reference(value: _Reference, _: type) -> ArrayConfig:
    return _structuring.get().array(str(value))


def _structure_array(value: Any, _: type) -> ArrayConfig:
    state = _structuring.get()
    if isinstance(value, str):
        return state.refer(value)
    if not isinstance(value, Mapping):
        raise wrong_type(value, "an array: a mapping with a `type`, or the name of another array")
    config_class = class_of(value)
    with state.deeper():
        given = short_spelling(value, config_class)
        config: ArrayConfig = converter.structure(given, config_class)
    state.configs[id(value)] = config
    return config


def _with_full_paths(value: Mapping[str, Any], config_class: type[Any]) -> dict[str, Any]:
    """Resolve relative file names."""
    given = dict(value)
    for field in attrs.fields(config_class):
        key = document_key(field)
        if field.metadata.get("path") and key in given:
            try:
                given[key] = each_path(given[key], _full_path)
            except ConfigError as error:
                error.key = (key, *error.key)
                raise
    return given


def _full_path(path: str) -> str:
    directory = _structuring.get().directory
    rooted = _ROOTED.fullmatch(path)
    if rooted is not None:
        return "/".join(filter(None, (_root(rooted[1], directory), rooted[2])))
    return located(path, directory)


def _root(name: str, directory: Path) -> str:
    """Give what a name stands for in the settings of the project; what is wrong with them is said with its place there."""
    try:
        project = project_of(directory)
    except (ConfigError, DocumentError) as error:
        what = f"{error.where}: {error.message}"
        raise ConfigError(what, hint=error.hint, code=error.code) from error
    return project.root(name)


def _attrs_structure_hook(config_class: type[Any]) -> Callable[[Any, Any], Any]:
    from_mapping = make_dict_structure_fn(
        config_class,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
        **renames(config_class),
    )

    def structure_class(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise wrong_type(value, "a mapping")
        return from_mapping(_with_full_paths(value, config_class), config_class)

    return structure_class


def _make_converter() -> Converter:
    made = Converter(detailed_validation=True, forbid_extra_keys=True)
    for target, hook in {
        int: structure_int,
        float: structure_float,
        bool: structure_bool,
        str: structure_str,
        Coordinate: structure_coordinate,
        Roi: structure_roi,
        _Reference: _structure_reference,
    }.items():
        made.register_structure_hook(target, hook)
    made.register_structure_hook_factory(attrs.has, _attrs_structure_hook)
    made.register_structure_hook_func(_is_array, _structure_array)
    made.register_structure_hook_func(lambda t: origin(t) is Literal, structure_literal)
    made.register_structure_hook_factory(is_union, _union_hook)
    made.register_structure_hook_func(lambda t: t == int | float, structure_number)
    made.register_structure_hook_factory(lambda t: origin(t) is Named, _named_hook)
    made.register_structure_hook_factory(
        lambda t: origin(t) is tuple and get_args(t)[1:] == (Ellipsis,),
        lambda t: _tuple_hook(t, made),
    )
    return made


converter = _make_converter()
