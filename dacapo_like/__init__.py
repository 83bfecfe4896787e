"""Describe bioimage arrays in YAML; read any region of the composition, lazily, exactly and fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dacapo_like.config.loading import dump
from dacapo_like.config.verify import verify
from dacapo_like.core import Array, ArrayConfig
from dacapo_like.errors import DacapoLikeError, Problem
from dacapo_like.experiment import Experiment, load, open_array
from dacapo_like.geometry import Coordinate, Roi
from dacapo_like.registry import array_types, discover
from dacapo_like.sources.memory import from_numpy
from dacapo_like.spec import ArraySpec

for _package in ("dacapo_like.sources", "dacapo_like.operators"):
    discover(_package)
globals().update({config.__name__: config for config in array_types().values()})

if TYPE_CHECKING:  # the config classes are found when their modules register them

    def __getattr__(name: str) -> Any: ...


__all__ = [
    "Array",
    "ArrayConfig",
    "ArraySpec",
    "Coordinate",
    "DacapoLikeError",
    "Experiment",
    "Problem",
    "Roi",
    "dump",
    "from_numpy",
    "load",
    "open_array",
    "verify",
]
__all__ += [config.__name__ for config in array_types().values()]
