"""From configs to the plain data of a document, through a cattrs converter that only writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn

from dacapo_like.config._types import each_path, is_union, origin, renames
from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.core import ArrayConfig, Named, document_key
from dacapo_like.errors import ConfigError
from dacapo_like.fields import document_fields
from dacapo_like.geometry import Coordinate, Roi, plain_number

_relative_to: ContextVar[Path | None] = ContextVar("relative_to", default=None)
_roots: ContextVar[Mapping[str, str]] = ContextVar("roots", default=MappingProxyType({}))
_names: ContextVar[Mapping[ArrayConfig, str]] = ContextVar("names", default=MappingProxyType({}))


def _attrs_hook(config_class: type[Any]) -> Callable[[Any], dict[str, Any]]:
    if not getattr(config_class, "in_documents", True):
        return _refuse_to_unstructure
    to_mapping = make_dict_unstructure_fn(
        config_class, _converter, _cattrs_omit_if_default=True, **renames(config_class)
    )
    order = [document_key(field) for field in document_fields(config_class)]
    paths = [
        document_key(field) for field in attrs.fields(config_class) if field.metadata.get("path")
    ]

    def unstructure_class(config: Any) -> dict[str, Any]:
        given = to_mapping(config)
        data = {key: given[key] for key in order if key in given}
        for key in set(paths) & set(data):
            data[key] = each_path(data[key], _relative_path)
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
    return name if name is not None else _converter.unstructure(config, type(config))


def _unstructure_experiment(config: ExperimentConfig) -> dict[str, Any]:
    token = _names.set({**_names.get(), **{array: name for name, array in config.arrays.items()}})
    try:
        arrays = {}
        for name, array in config.arrays.items():
            arrays[name] = _converter.unstructure(array, type(array))
            if arrays[name].get("name") == name:
                del arrays[name]["name"]
        datasets = [_converter.unstructure(dataset) for dataset in config.datasets]
    finally:
        _names.reset(token)
    patches = {name: _converter.unstructure(part) for name, part in config.patches.items()}
    parts = {"arrays": arrays, "datasets": datasets, "patches": patches}
    return {key: part for key, part in parts.items() if part or key == "arrays"}


def _unstructure_item(item: Any) -> Any:
    return (
        _unstructure_child(item) if isinstance(item, ArrayConfig) else _converter.unstructure(item)
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
        data: dict[str, Any] = _converter.unstructure(config)
        return data

    return copy_context().run(written)


def _is_array_field(target: Any) -> bool:
    return target is ArrayConfig or (is_union(target) and ArrayConfig in get_args(target))


def _make_converter() -> Converter:
    made = Converter()
    made.register_unstructure_hook_factory(attrs.has, _attrs_hook)
    made.register_unstructure_hook_func(
        lambda t: origin(t) is Named,
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
        lambda t: origin(t) is tuple, lambda v: [_unstructure_item(item) for item in v]
    )
    return made


_converter = _make_converter()
