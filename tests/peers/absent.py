"""Lets programs be imported without packages that they import for what is not compared here."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


class _AnyClass(type):
    """Of classes whose every attribute is such a class, too."""

    def __getattr__(cls, name: str) -> Any:
        return _invent(name)


def _invent(name: str) -> _AnyClass:
    if name.startswith("__"):
        raise AttributeError(name)
    return _AnyClass(name, (Exception,), {})


class _Anything(ModuleType):
    """A module in which every name is such a class."""

    def __getattr__(self, name: str) -> Any:
        return _invent(name)


class _Finder(MetaPathFinder, Loader):
    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self.names:
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Anything(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def do_without(*names: str) -> None:
    """Let packages that are not installed be imported all the same."""
    sys.meta_path.append(_Finder(names))


def without_its_init(*names: str) -> None:
    """Let packages be there without running their ``__init__``: those import torch and all the rest."""
    spec = importlib.util.find_spec(names[0])
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    for name in names:
        module = ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
