"""Which types of array there are: modules register their configs, documents name them by tag."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from dacapo_like.core import Array, ArrayConfig
from dacapo_like.errors import ConfigError, did_you_mean

C = TypeVar("C", bound=type[ArrayConfig])
F = TypeVar("F", bound=Callable[..., Any])

_types: dict[str, type[ArrayConfig]] = {}


def register(tag: str) -> Callable[[C], C]:
    """Make a config class known under the tag that documents write after ``type:``.

    Parameters
    ----------
    tag : str
        In snake_case.
    """

    def add(config_class: C) -> C:
        if tag in _types:
            raise ConfigError(
                "a type is registered twice",
                got=f"{tag}: {config_class.__qualname__} and {_types[tag].__qualname__}",
            )
        config_class.tag = tag
        _types[tag] = config_class
        return config_class

    return add


def array_method(function: F) -> F:
    """Make a function of an `Array` a method of it: ``crop(array, …)`` becomes ``array.crop(…)``."""
    name = function.__name__
    if hasattr(Array, name):
        raise ConfigError("a method is registered twice", got=name)
    setattr(Array, name, function)
    return function


def array_types() -> Mapping[str, type[ArrayConfig]]:
    """Give all types by tag."""
    return MappingProxyType(_types)


def document_types() -> dict[str, type[ArrayConfig]]:
    """Give the types that can stand in a document, by tag."""
    return {tag: config for tag, config in sorted(_types.items()) if config.in_documents}


def array_type(tag: str) -> type[ArrayConfig]:
    """Give the type of a tag.

    Raises
    ------
    ConfigError
        There is none.
    """
    if tag not in _types:
        raise ConfigError(
            "unknown type of array",
            got=repr(tag),
            expected=f"one of {', '.join(sorted(_types))}",
            hint=did_you_mean(tag, _types),
            code="DL101",
        )
    return _types[tag]


def discover(package: str) -> None:
    """Import every module of a package, so that its types register."""
    for module in pkgutil.iter_modules(
        importlib.import_module(package).__path__, prefix=f"{package}."
    ):
        importlib.import_module(module.name)
