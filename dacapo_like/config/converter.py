"""Between plain data and configs, through one strict cattrs converter that reports every problem with its key path."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

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
from dacapo_like.config.project import project_of
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
from dacapo_like.geometry import Coordinate, Roi, plain_number

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
_relative_to: ContextVar[Path | None] = ContextVar("relative_to", default=None)
_roots: ContextVar[Mapping[str, str]] = ContextVar("roots", default=types.MappingProxyType({}))
_names: ContextVar[Mapping[ArrayConfig, str]] = ContextVar(
    "names", default=types.MappingProxyType({})
)


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


def _origin(target: Any) -> Any:
    return get_origin(target) or target


def _is_array(target: Any) -> bool:
    return target is ArrayConfig


def _is_union(target: Any) -> bool:
    return _origin(target) in (Union, types.UnionType)


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
    origin = _origin(member)
    if isinstance(value, bool):
        return origin is bool
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
    return isinstance(value, kinds.get(origin, ()))


def _type_name(member: Any) -> str:
    names = {
        int: "an integer",
        float: "a number",
        str: "text",
        Literal: "text",
        tuple: "a list",
        bool: "true or false",
    }
    return names.get(_origin(member), "a mapping")


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
                given[key] = _each_path(given[key], _full_path)
            except ConfigError as error:
                error.key = (key, *error.key)
                raise
    return given


def _each_path(value: Any, change: Callable[[str], str]) -> Any:
    """Change a file name, or every one in a list of them, or of lists."""
    if isinstance(value, (list, tuple)):
        return [_each_path(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _full_path(path: str) -> str:
    directory = _structuring.get().directory
    rooted = _ROOTED.fullmatch(path)
    if rooted is not None:
        return "/".join(filter(None, (project_of(directory).root(rooted[1]), rooted[2])))
    return path if "://" in path else str(directory / Path(path).expanduser())


def _renames(config_class: type[Any]) -> dict[str, Any]:
    return {
        field.name: override(rename=document_key(field)) for field in attrs.fields(config_class)
    }


def _attrs_structure_hook(config_class: type[Any]) -> Callable[[Any, Any], Any]:
    from_mapping = make_dict_structure_fn(
        config_class,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
        **_renames(config_class),
    )

    def structure_class(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise wrong_type(value, "a mapping")
        return from_mapping(_with_full_paths(value, config_class), config_class)

    return structure_class


def _attrs_unstructure_hook(config_class: type[Any]) -> Callable[[Any], dict[str, Any]]:
    if not getattr(config_class, "in_documents", True):
        return _refuse_to_unstructure
    to_mapping = make_dict_unstructure_fn(
        config_class, converter, _cattrs_omit_if_default=True, **_renames(config_class)
    )
    order = [document_key(field) for field in document_fields(config_class)]
    paths = [
        document_key(field) for field in attrs.fields(config_class) if field.metadata.get("path")
    ]

    def unstructure_class(config: Any) -> dict[str, Any]:
        given = to_mapping(config)
        data = {key: given[key] for key in order if key in given}
        for key in set(paths) & set(data):
            data[key] = _each_path(data[key], _relative_path)
        return {"type": config.tag, **data} if isinstance(config, ArrayConfig) else data

    return unstructure_class


def _refuse_to_unstructure(config: ArrayConfig) -> dict[str, Any]:
    raise ConfigError(
        "an array in memory cannot be written into a document",
        where=config.describe(),
        hint="materialize it and refer to the file",
    )


def _unstructure_child(config: ArrayConfig) -> Any:
    """Write the name of an array that the experiment names, else the config itself."""
    name = _names.get().get(config)
    return name if name is not None else converter.unstructure(config, type(config))


def _unstructure_experiment(config: ExperimentConfig) -> dict[str, Any]:
    token = _names.set({array: name for name, array in config.arrays.items()})
    try:
        arrays = {}
        for name, array in config.arrays.items():
            arrays[name] = converter.unstructure(array, type(array))
            if arrays[name].get("name") == name:
                del arrays[name]["name"]
        datasets = [converter.unstructure(dataset) for dataset in config.datasets]
    finally:
        _names.reset(token)
    patches = {name: converter.unstructure(part) for name, part in config.patches.items()}
    parts = {"arrays": arrays, "datasets": datasets, "patches": patches}
    return {key: part for key, part in parts.items() if part or key == "arrays"}


def _unstructure_item(item: Any) -> Any:
    return (
        _unstructure_child(item) if isinstance(item, ArrayConfig) else converter.unstructure(item)
    )


def _relative_path(path: str) -> str:
    for name, root in _roots.get().items():
        if path == root or path.startswith(f"{root}/"):
            return f"${{root:{name}}}{path.removeprefix(root)}"
    base = _relative_to.get()
    if base is None or "://" in path or not Path(path).is_relative_to(base):
        return path
    return Path(path).relative_to(base).as_posix()


def unstructure(
    config: ArrayConfig | ExperimentConfig,
    *,
    relative_to: Path | None = None,
    roots: Mapping[str, str] | None = None,
    names: Mapping[ArrayConfig, str] | None = None,
) -> dict[str, Any]:
    """Turn a config into the plain data of a document: keys in the order of its fields, defaults left out.

    Parameters
    ----------
    config : ArrayConfig or ExperimentConfig
        Arrays of an experiment that are used by others of it become references by name.
    relative_to : Path, optional
        File names below this directory are written relative to it.
    roots : mapping of str to str, optional
        Folders by name; a file name below one of them is written ``${root:NAME}/…``.
    names : mapping of ArrayConfig to str, optional
        Inputs that are written as references by name.

    Raises
    ------
    ConfigError
        The tree holds an array in memory.
    """

    def written() -> dict[str, Any]:
        _relative_to.set(relative_to)
        _roots.set(roots or {})
        _names.set(names or {})
        data: dict[str, Any] = converter.unstructure(config)
        return data

    return copy_context().run(written)


def _is_array_field(target: Any) -> bool:
    return target is ArrayConfig or (_is_union(target) and ArrayConfig in get_args(target))


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
    made.register_unstructure_hook_factory(attrs.has, _attrs_unstructure_hook)
    made.register_structure_hook_func(_is_array, _structure_array)
    made.register_structure_hook_func(lambda t: _origin(t) is Literal, structure_literal)
    made.register_structure_hook_factory(_is_union, _union_hook)
    made.register_structure_hook_func(lambda t: t == int | float, structure_number)
    made.register_structure_hook_factory(lambda t: _origin(t) is Named, _named_hook)
    made.register_structure_hook_factory(
        lambda t: _origin(t) is tuple and get_args(t)[1:] == (Ellipsis,),
        lambda t: _tuple_hook(t, made),
    )
    made.register_unstructure_hook_func(
        lambda t: _origin(t) is Named,
        lambda v: {key: _unstructure_item(item) for key, item in v.items()},
    )
    made.register_unstructure_hook(Coordinate, lambda v: [plain_number(item) for item in v])
    made.register_unstructure_hook(
        Roi, lambda v: {"offset": made.unstructure(v.offset), "shape": made.unstructure(v.shape)}
    )
    made.register_unstructure_hook(ExperimentConfig, _unstructure_experiment)
    made.register_unstructure_hook_func(
        _is_array_field, lambda v: None if v is None else _unstructure_child(v)
    )
    made.register_unstructure_hook_func(
        lambda t: _origin(t) is tuple, lambda v: [_unstructure_item(item) for item in v]
    )
    return made


converter = _make_converter()
