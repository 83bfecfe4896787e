"""Describe bioimage arrays in YAML; read any region of the composition, lazily, exactly and fast."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dacapo_like.cache_report import cache_statistics
from dacapo_like.core import Array, ArrayConfig
from dacapo_like.errors import DacapoLikeError, Problem
from dacapo_like.geometry import Coordinate, Roi
from dacapo_like.operators.constant import constant_like, ones_like
from dacapo_like.registry import array_types, discover
from dacapo_like.settings import configure, using
from dacapo_like.sources.memory import from_gunpowder, from_numpy
from dacapo_like.spec import ArraySpec
from dacapo_like.transforms.config import Transform

if TYPE_CHECKING:
    from dacapo_like.config.loading import dump
    from dacapo_like.config.verify import verify
    from dacapo_like.create import create_array
    from dacapo_like.experiment import Experiment, load, open_array
    from dacapo_like.patches.batches import batches
    from dacapo_like.patches.blockwise import run_blockwise
    from dacapo_like.patches.chunks import pick_chunks
    from dacapo_like.patches.cover import Cover
    from dacapo_like.patches.extract import extract, insert
    from dacapo_like.patches.grid import PatchGrid
    from dacapo_like.patches.sampler import (
        Balanced,
        Centers,
        PatchSampler,
        Rejection,
        Stratified,
        Uniform,
        Weighted,
    )
    from dacapo_like.patches.stitch import Stitcher
    from dacapo_like.patches.together import Together
    from dacapo_like.stores import ConfigStore

for _package in ("dacapo_like.sources", "dacapo_like.operators"):
    discover(_package)
importlib.import_module("dacapo_like.saving")  # adds the methods of arrays that write
globals().update({config.__name__: config for config in array_types().values()})

_ON_FIRST_USE = {  # what reads documents imports yaml and cattrs, which arrays made in Python do not need
    "ConfigStore": "dacapo_like.stores",
    "Experiment": "dacapo_like.experiment",
    "create_array": "dacapo_like.create",
    "dump": "dacapo_like.config.loading",
    "load": "dacapo_like.experiment",
    "open_array": "dacapo_like.experiment",
    "verify": "dacapo_like.config.verify",
    **dict.fromkeys(
        ("Balanced", "Centers", "PatchSampler", "Rejection", "Stratified", "Uniform", "Weighted"),
        "dacapo_like.patches.sampler",
    ),
    "Cover": "dacapo_like.patches.cover",
    "PatchGrid": "dacapo_like.patches.grid",
    "Stitcher": "dacapo_like.patches.stitch",
    "Together": "dacapo_like.patches.together",
    "batches": "dacapo_like.patches.batches",
    "extract": "dacapo_like.patches.extract",
    "insert": "dacapo_like.patches.extract",
    "pick_chunks": "dacapo_like.patches.chunks",
    "run_blockwise": "dacapo_like.patches.blockwise",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Array",
    "ArrayConfig",
    "ArraySpec",
    "Balanced",
    "Centers",
    "ConfigStore",
    "Coordinate",
    "Cover",
    "DacapoLikeError",
    "Experiment",
    "PatchGrid",
    "PatchSampler",
    "Problem",
    "Rejection",
    "Roi",
    "Stitcher",
    "Stratified",
    "Together",
    "Transform",
    "Uniform",
    "Weighted",
    "batches",
    "cache_statistics",
    "configure",
    "constant_like",
    "create_array",
    "dump",
    "extract",
    "from_gunpowder",
    "from_numpy",
    "insert",
    "load",
    "ones_like",
    "open_array",
    "pick_chunks",
    "run_blockwise",
    "using",
    "verify",
]
__all__ += [config.__name__ for config in array_types().values()]
