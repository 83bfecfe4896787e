"""Documents for Hypothesis: trees of every type of array, of which the fields are right, nearly right, or absurd."""

from __future__ import annotations

import types
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import numpy as np
from hypothesis import strategies as st

from dacapo_like.core import ArrayConfig
from dacapo_like.fields import Named, spellings
from dacapo_like.geometry import Coordinate, Roi
from dacapo_like.registry import document_types

from .mutations import NUMBERS, TEXTS

NAMES = ("raw", "labels", "a", "b", "")
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats() | st.decimals()
texts = st.sampled_from((*TEXTS, *NAMES)) | st.text(max_size=8)
scalars = numbers | texts | st.booleans() | st.none()
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
coordinates = st.lists(st.integers(-2, 9) | numbers, min_size=1, max_size=4)
arrays = st.deferred(lambda: st.sampled_from(NAMES) | _typed | st.just({"type": "dummy"}))
objects = st.sampled_from(
    [np.uint8(3), np.float64("nan"), np.int64(-1), Fraction(1, 3), Decimal("NaN"), Decimal("sNaN"), b"x", (1, 2), {1}, object(), 1j, np.zeros(3), Coordinate(1, 2), Roi((0,), (1,)), range(3)]
)  # fmt: skip
"""What a mapping of Python may hold that no document can."""


@cache
def _of_type(target: Any) -> st.SearchStrategy[Any]:
    """Give values that a field may take."""
    origin, arguments = get_origin(target) or target, get_args(target)
    if origin in (Union, types.UnionType):
        return st.one_of(
            [st.none() if kind is type(None) else _of_type(kind) for kind in arguments]
        )
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_of_type(arguments[0]), max_size=4)
    if origin is Named:
        return st.dictionaries(st.sampled_from(NAMES), _of_type(arguments[0]), max_size=3)
    if isinstance(origin, type) and issubclass(origin, ArrayConfig):
        return arrays
    simple = {
        int: st.integers(-2, 9) | st.integers(),
        float: numbers,
        bool: st.booleans(),
        str: texts,
        Coordinate: coordinates,
        Roi: st.fixed_dictionaries({"offset": coordinates, "shape": coordinates}),
    }
    return simple.get(origin, anything)


@st.composite
def _of_config(draw: st.DrawFn, tag: str, config: type[ArrayConfig]) -> dict[str, Any]:
    """Draw what a type needs, and a few of its other fields, which are many."""
    fields = list(attrs.fields(config))
    required = [field for field in fields if field.default is attrs.NOTHING]
    rest = [field for field in fields if field.default is not attrs.NOTHING]
    chosen = required[draw(st.sampled_from((0, 0, 0, 0, 0, 1))) :]
    if rest:
        chosen += draw(st.lists(st.sampled_from(rest), max_size=3))
    hints, found = _hints(config), {"type": tag}
    for field in chosen:
        right = draw(st.integers(0, 3))
        value = draw(_of_type(hints[field.name]) if right else anything)
        found[spellings(field)[-1 if right == 2 else 0]] = value
    return found


@cache
def _hints(config: type[ArrayConfig]) -> dict[str, Any]:
    return get_type_hints(config)


_typed = st.deferred(
    lambda: st.one_of([_of_config(tag, config) for tag, config in document_types().items()])
)
datasets = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("name", "raw", "gt", "mask"), arrays),
        "split": st.sampled_from(("train", "validate", "test", "x")),
        "weight": numbers,
        "roi": anything,
    },
)
patches = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("shape", "context", "stride"), coordinates),
        **dict.fromkeys(("overlap", "seed", "samples", "edge", "units", "of"), scalars),
        "sampler": anything,
    },
)
experiments = st.fixed_dictionaries(
    {},
    optional={
        "arrays": st.dictionaries(st.sampled_from(NAMES), arrays, max_size=3) | anything,
        "datasets": st.lists(datasets, max_size=3) | anything,
        "patches": st.dictionaries(texts, patches, max_size=2) | anything,
        "parameters": st.dictionaries(st.sampled_from(("x", "y", "crop_shape")), anything, max_size=3) | anything,
    },
)  # fmt: skip
documents = _typed | experiments
"""Plain data of documents."""
mappings = st.dictionaries(
    st.sampled_from(("type", "source", "file_name", "voxel_size", "arrays")) | texts | st.integers(),
    objects | arrays | anything,
    max_size=4,
)  # fmt: skip
"""Mappings of Python's objects."""
overrides = st.dictionaries(texts | st.sampled_from(("arrays.raw.type", "a[0]")), anything | objects, max_size=2)  # fmt: skip
