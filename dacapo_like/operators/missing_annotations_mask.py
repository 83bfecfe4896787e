"""Missing annotations: where the labels can be trusted, by what their source says of its annotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, Named, about
from dacapo_like.engine import Split
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.kernels.label_bits import Test
from dacapo_like.kernels.labels import mark_positive
from dacapo_like.operators._groups import GroupedConfig, as_groupings, split_groups
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

K = TypeVar("K")
T = TypeVar("T")

_ATTRIBUTE = "labels"
_ABOVE_0: Test = ((), 0)  # every label but 0
_ANNOTATED = {"dense": True, "sparse": True, "empty": False, "unknown": False}
_EXACT_FLOATS = 2**53
_LONG_TEXT = 60


@register("missing_annotations_mask")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class MissingAnnotationsMaskConfig(GroupedConfig):
    """A leading channel per group, as uint8: 0 everywhere where a label of the group is present but not annotated, else 1 on all labels above 0.

    What is present and what is annotated stands in the attribute `labels` of the source; without it, all is annotated.
    """

    read_only: ClassVar[str | None] = "a mask does not say which label a voxel has"
    widens: ClassVar[bool] = True

    groupings: Named[tuple[int, ...]] = attrs.field(
        converter=as_groupings,
        metadata=about(
            "Ids of each group, by channel name; an empty group means every label but 0 that the attribute lists."
        ),
    )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Put a channel axis in front."""
        missing_ids(inputs[0].attrs)  # a malformed attribute is no surprise for the first read
        return super().derive(*inputs)

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Drop the channel axis; ask for nothing where all channels are zero."""
        if True in self._annotated(inputs[0].attrs)[box.slices[0]]:
            return super().needs(box, *inputs)
        return (None,)

    def split(self, source: ArraySpec) -> Split | None:
        """Test labels for being above 0; signed ones may be below, which is no matter of ids."""
        if source.dtype.kind != "u":
            return None
        annotated = self._annotated(source.attrs)
        channels = zip(self.groupings, annotated, strict=True)
        tests = {name: _ABOVE_0 if known else None for name, known in channels}
        return split_groups(self, source.dtype, tests)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Mark the labels in the channels that are annotated."""
        (labels,) = blocks
        result = np.empty(box.shape, np.uint8) if out is None else out
        annotated = self._annotated(labels.spec.attrs)[box.slices[0]]
        if labels.data is None:
            result[...] = 0
        else:
            mark_positive(labels.data, annotated, out=result)
        return result

    @cached_property
    def _annotated(self) -> LastResult[Mapping[str, Any], tuple[bool, ...]]:
        """Say of each channel whether it is annotated, by the attributes of a source, which are asked for at every read."""

        def annotated(attributes: Mapping[str, Any]) -> tuple[bool, ...]:
            missing = missing_ids(attributes)
            groups = self.groupings.values()
            return tuple(missing.isdisjoint(group or missing - {0}) for group in groups)

        return LastResult(annotated)


class LastResult(Generic[K, T]):
    """A function of one object that knows its last result, by the identity of that object: equal specs differ in attributes.

    Examples
    --------
    >>> double = LastResult(lambda items: items * 2)
    >>> items = [1]
    >>> double(items) is double(items)
    True
    >>> double([1]) is double(items)
    False
    """

    __slots__ = ("_function", "_last")

    def __init__(self, function: Callable[[K], T]) -> None:
        self._function = function
        self._last: tuple[K, T] | None = None

    def __call__(self, key: K) -> T:
        """Give what the function gives."""
        last = self._last
        if last is None or last[0] is not key:
            last = self._last = (key, self._function(key))
        return last[1]


def missing_ids(attributes: Mapping[str, Any]) -> frozenset[int]:
    """Give the ids that the attribute ``labels`` calls present but not annotated.

    Parameters
    ----------
    attributes : mapping
        Of a source. ``labels`` is a list of ``{value, annotationState: {present, annotated}}``, as fibsem_tools defines it, where
        `annotated` is a bool, or how it was done: ``dense`` and ``sparse`` are annotated, ``empty`` and ``unknown`` are not.

    Raises
    ------
    SpecError
        The attribute is none of this, or says two things of one id.

    Examples
    --------
    >>> state = {"present": True, "annotated": "empty"}
    >>> sorted(missing_ids({"labels": [{"value": 3, "annotationState": state}]}))
    [3]
    """
    if _ATTRIBUTE not in attributes:
        return frozenset()
    entries = attributes[_ATTRIBUTE]
    if not isinstance(entries, (list, tuple)):
        raise _malformed("", _shown(entries), "a list, with an entry for each label")
    seen: dict[int, tuple[int, bool]] = {}
    for i, entry in enumerate(entries):
        value, missing = _label(f"[{i}]", entry)
        first, before = seen.setdefault(value, (i, missing))
        if before != missing:
            raise _malformed(
                f"[{i}]",
                f"another state of label {value} than in {_ATTRIBUTE}[{first}]",
                "one state of each label",
            )
    return frozenset(value for value, (_, missing) in seen.items() if missing)


def _label(place: str, entry: Any) -> tuple[int, bool]:
    """Give the id of an entry, and whether it is present but not annotated."""
    (value,) = _parts(place, entry, "value")
    (state,) = _parts(place, entry, "annotationState")
    present, annotated = _parts(f"{place}.annotationState", state, "present", "annotated")
    if not isinstance(present, bool):
        raise _malformed(f"{place}.annotationState.present", _shown(present), "true or false")
    if isinstance(annotated, str) and annotated in _ANNOTATED:
        annotated = _ANNOTATED[annotated]
    if not isinstance(annotated, bool):
        expected = f"true, false, {' or '.join(_ANNOTATED)}"
        raise _malformed(f"{place}.annotationState.annotated", _shown(annotated), expected)
    return _as_id(f"{place}.value", value), present and not annotated


def _parts(place: str, value: Any, *keys: str) -> Iterator[Any]:
    if not isinstance(value, Mapping):
        raise _malformed(place, _shown(value), f"a mapping with {' and '.join(keys)}")
    for key in keys:
        if key not in value:
            raise _malformed(f"{place}.{key}", "nothing", "this key")
        yield value[key]


def _as_id(place: str, value: Any) -> int:
    """Take an integer, also one that JSON wrote with a point."""
    if not isinstance(value, bool) and isinstance(value, Integral):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == int(value):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOATS:
        return int(value)
    raise _malformed(place, _shown(value), "an integer")


def _malformed(place: str, got: Any, expected: str) -> SpecError:
    return SpecError(
        f"attribute {_ATTRIBUTE}{place} of the source does not say what is annotated",
        got=got,
        expected=expected,
        key=("source",),
        code="DL214",
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONG_TEXT else f"{text[:_LONG_TEXT]}..."


@array_method
def missing_annotations_mask(
    array: Array, groupings: Mapping[str, Sequence[int]] | Sequence[tuple[str, Sequence[int]]]
) -> Array:
    """Mark where the labels can be trusted, one channel per group, see `MissingAnnotationsMaskConfig`."""
    return array.apply(MissingAnnotationsMaskConfig, groupings=groupings)
