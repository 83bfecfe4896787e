"""Exact world coordinates, regions of interest, and integer voxel boxes.

A world coordinate is never rounded: 9.8 nm is kept as the rational 49/5. Where all numbers are integers the types of
``funlib.geometry`` are given out, so that code written for daisy, gunpowder and DaCapo works unchanged.
"""

from __future__ import annotations

import itertools
import math
import numbers
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypeGuard

import numpy as np
from funlib.geometry.coordinate import Coordinate as FunlibCoordinate
from funlib.geometry.roi import Roi as FunlibRoi

from dacapo_like.errors import ConfigError, RegionError

Exact: TypeAlias = int | Fraction
Snap = Literal["grow", "shrink", "nearest"]

_MAX_EXPONENT = 400  # 10**400 is past any double; larger powers would only burn memory
_MAX_BITS = 1000  # of numerator and denominator: a double still holds every such ratio
_PLAIN = 2**63  # integers below are exact as they are
_RATIO = re.compile(r"-?[0-9]+/[0-9]+")


def exact(value: object) -> Exact:
    """Turn a number into the exact rational that its shortest decimal names.

    Parameters
    ----------
    value : int, float, Fraction, Decimal, numpy scalar, or str such as ``"10/3"``
        ``9.8`` means 49/5, not the binary double next to it.

    Returns
    -------
    int or Fraction
        An ``int`` where the value is integral.

    Raises
    ------
    ConfigError
        Not a finite number.

    Examples
    --------
    >>> exact(9.8), exact(40.0), exact("10/3")
    (Fraction(49, 5), 40, Fraction(10, 3))
    """
    if isinstance(value, (bool, np.bool_)):
        raise ConfigError("not a number", got=value, expected="a number")
    result: Exact
    if isinstance(value, (int, np.integer)):
        result = int(value)
    elif isinstance(value, Fraction):
        result = value
    elif isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise ConfigError("not a finite number", got=value, expected="a finite number")
        result = Fraction(str(value))  # the shortest decimal, of a numpy float at its own precision
    elif isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > _MAX_EXPONENT:
            raise ConfigError(
                "number out of range", got=value, expected=f"at most 10^{_MAX_EXPONENT}"
            )
        result = Fraction(value)
    elif isinstance(value, str):
        result = _parse_ratio(value)
    elif isinstance(value, numbers.Rational):
        result = Fraction(int(value.numerator), int(value.denominator))
    else:
        raise ConfigError("not a number", got=repr(value), expected="a number")
    bits = max(result.numerator.bit_length(), result.denominator.bit_length())
    if bits > _MAX_BITS:
        raise ConfigError(
            "number out of range", got=f"one of {bits} bits", expected=f"at most {_MAX_BITS} bits"
        )
    return int(result) if result.denominator == 1 else result


def _parse_ratio(text: str) -> Fraction:
    if (
        len(text) > 2 * _MAX_EXPONENT
        or not _RATIO.fullmatch(text)
        or not text.split("/")[1].strip("0")
    ):
        raise ConfigError(
            "not a number",
            got=repr(text),
            expected="a number",
            hint='write numbers without quotes, ratios as "10/3"',
        )
    return Fraction(text)


def plain_number(value: Exact) -> int | float | Decimal | str:
    """Give the value of a document that `exact` reads back as the same number.

    Examples
    --------
    >>> plain_number(Fraction(49, 5)), plain_number(Fraction(10, 3))
    (9.8, '10/3')
    """
    if isinstance(value, int) or value.denominator == 1:
        return int(value)
    near = float(value)
    if math.isfinite(near) and Fraction(str(near)) == value:
        return near
    rest, digits = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        digits = max(digits, power)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    return Decimal(f"{value.numerator * 10**digits // value.denominator}e-{digits}")


def format_number(value: Exact) -> str:
    """Write a number as people read it: ``9.8``, ``10/3``."""
    return str(plain_number(value))


def format_numbers(values: Iterable[Exact]) -> str:
    """Write a coordinate as people read it.

    Examples
    --------
    >>> format_numbers((1, Fraction(1, 2)))
    '(1, 0.5)'
    """
    return f"({', '.join(format_number(value) for value in values)})"


def _ceil_div(a: Exact, b: Exact) -> int:
    return math.ceil(Fraction(a) / Fraction(b))


def _round_div(a: Exact, b: Exact) -> int:
    """Divide and round to the nearest integer; halves go down, as in funlib."""
    return math.ceil(Fraction(a) / Fraction(b) - Fraction(1, 2))


def _divide(a: Exact, b: Exact) -> Exact:
    return exact(Fraction(a) / Fraction(b))


Operand: TypeAlias = "Exact | float | Iterable[Any]"


class Coordinate(tuple[Exact, ...]):
    """A point or size in world units: exact, with element-wise arithmetic.

    It has the methods of ``funlib.geometry.Coordinate``, and equals one that holds the same numbers.

    Examples
    --------
    >>> Coordinate(9.8, 4) * 2
    Coordinate(19.6, 8)
    >>> Coordinate(1, 2) == (1, 2)
    True
    """

    __slots__ = ()

    def __new__(cls, *values: Any) -> Self:
        """Take numbers, or one iterable of numbers."""
        if len(values) == 1 and isinstance(values[0], Iterable) and not isinstance(values[0], str):
            values = tuple(values[0])
        for value in values:
            if type(value) is not int or not -_PLAIN < value < _PLAIN:
                return super().__new__(cls, map(exact, values))
        return super().__new__(cls, values)  # as most are, and with every region that is read

    @property
    def dims(self) -> int:
        """Number of axes."""
        return len(self)

    def squeeze(self, dim: int = 0) -> Coordinate:
        """Drop one axis."""
        return Coordinate(value for i, value in enumerate(self) if i != dim)

    def is_multiple_of(self, coordinate: Iterable[Any]) -> bool:
        """Whether every element is an integer multiple of the other's."""
        return all(value == 0 for value in self % coordinate)

    def floor_division(self, other: Operand) -> Coordinate:
        """Divide and round down."""
        return self // other

    def ceil_division(self, other: Operand) -> Coordinate:
        """Divide and round up."""
        return self._map(_ceil_div, other)

    def round_division(self, other: Operand) -> Coordinate:
        """Divide and round to nearest; halves go down."""
        return self._map(_round_div, other)

    def _map(self, function: Callable[[Exact, Exact], Exact], other: Operand) -> Coordinate:
        if isinstance(other, Iterable):
            values = Coordinate(other)
            if len(values) != len(self):
                raise RegionError(
                    "coordinates of different rank",
                    got=format_numbers(values),
                    expected=f"{len(self)} numbers",
                )
        else:
            values = Coordinate((other,) * len(self))
        return Coordinate(map(function, self, values))

    def __add__(self, other: Operand) -> Coordinate:
        return self._map(operator.add, other)

    def __sub__(self, other: Operand) -> Coordinate:
        return self._map(operator.sub, other)

    def __mul__(self, other: Operand) -> Coordinate:  # type: ignore[override]  # element-wise, not tuple's
        return self._map(operator.mul, other)

    def __truediv__(self, other: Operand) -> Coordinate:
        return self._map(_divide, other)

    def __floordiv__(self, other: Operand) -> Coordinate:
        return self._map(operator.floordiv, other)

    def __mod__(self, other: Operand) -> Coordinate:
        return self._map(operator.mod, other)

    __radd__ = __add__
    __rmul__ = __mul__  # type: ignore[assignment]  # element-wise, not tuple's

    def __neg__(self) -> Coordinate:
        return Coordinate(-value for value in self)

    def __abs__(self) -> Coordinate:
        return Coordinate(abs(value) for value in self)

    def __repr__(self) -> str:
        return f"Coordinate{format_numbers(self)}"


class Roi:
    """A region in world units: `offset` is the corner of its first voxel, `shape` its size.

    It has the methods of ``funlib.geometry.Roi``, except that it is never unbounded, and equals one with the same numbers.

    Parameters
    ----------
    offset, shape : iterable of numbers
        One per spatial axis, in array order, in world units.

    Examples
    --------
    >>> Roi((0, 9.8), (10, 19.6)).end
    Coordinate(10, 29.4)
    """

    __slots__ = ("_offset", "_shape")

    def __init__(self, offset: Iterable[Any], shape: Iterable[Any]) -> None:
        self._offset = Coordinate(offset)
        self._shape = Coordinate(shape)
        if len(self._offset) != len(self._shape):
            raise RegionError(
                "offset and shape of a ROI differ in rank",
                got=f"offset {format_numbers(self._offset)}, shape {format_numbers(self._shape)}",
                expected="one number per spatial axis in each",
            )

    @property
    def offset(self) -> Coordinate:
        """Corner of the first voxel."""
        return self._offset

    begin = offset

    @property
    def shape(self) -> Coordinate:
        """Size."""
        return self._shape

    @property
    def end(self) -> Coordinate:
        """Corner behind the last voxel."""
        return self._offset + self._shape

    @property
    def center(self) -> Coordinate:
        """Centre, exact."""
        return self._offset + self._shape / 2

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self._shape)

    @property
    def size(self) -> Exact:
        """Volume."""
        return math.prod(self._shape)

    @property
    def empty(self) -> bool:
        """Whether it holds nothing."""
        return any(value <= 0 for value in self._shape)

    @property
    def unbounded(self) -> bool:
        """Always False: regions of arrays end."""
        return False

    def to_slices(self) -> tuple[slice, ...]:
        """Slices over an array whose voxels are one world unit in size; the numbers must be integers."""
        if any(not isinstance(value, int) for value in (*self._offset, *self._shape)):
            raise RegionError(
                "region is not on the voxel grid", got=self, expected="integers in offset and shape"
            )
        return tuple(slice(o, o + s) for o, s in zip(self._offset, self._shape, strict=True))

    def _like(self, other: RoiLike) -> Roi:
        """Give the other region as our own, of the same rank."""
        region = as_roi(other)
        if region.dims != self.dims:
            raise RegionError("regions of different rank", got=region, expected=f"{self.dims} axes")
        return region

    def contains(self, other: RoiLike | Iterable[Any]) -> bool:
        """Whether a region, or a point, lies inside."""
        if is_roi(other):
            inner = self._like(other)
            if inner.empty:
                return self.empty or self.contains(inner.begin)
            return all(a <= b for a, b in zip(self.begin, inner.begin, strict=True)) and all(
                a >= b for a, b in zip(self.end, inner.end, strict=True)
            )
        point = Coordinate(other)
        return point.dims == self.dims and all(
            b <= p < e for b, p, e in zip(self.begin, point, self.end, strict=True)
        )

    def intersects(self, other: RoiLike) -> bool:
        """Whether the two share any volume."""
        return not self.intersect(other).empty

    def intersect(self, other: RoiLike) -> Roi:
        """Give the common region; of shape 0 where there is none."""
        other = self._like(other)
        begin = Coordinate(map(max, self.begin, other.begin))
        end = Coordinate(map(min, self.end, other.end))
        if any(b >= e for b, e in zip(begin, end, strict=True)):
            return Roi(begin, (0,) * self.dims)
        return Roi(begin, end - begin)

    def union(self, other: RoiLike) -> Roi:
        """Give the bounding region of both."""
        other = self._like(other)
        if self.empty:
            return other
        if other.empty:
            return self
        begin = Coordinate(map(min, self.begin, other.begin))
        return Roi(begin, Coordinate(map(max, self.end, other.end)) - begin)

    def shift(self, by: Operand) -> Roi:
        """Move it."""
        return Roi(self._offset + by, self._shape)

    def grow(self, amount_neg: Operand = 0, amount_pos: Operand = 0) -> Roi:
        """Extend it downwards and upwards along every axis."""
        return Roi(self._offset - amount_neg, self._shape + amount_neg + amount_pos)

    def snap_to_grid(
        self,
        voxel_size: Iterable[Any],
        mode: Literal["grow", "shrink", "closest", "nearest"] = "grow",
    ) -> Roi:
        """Align it with the multiples of a voxel size."""
        size = Coordinate(voxel_size)
        if mode == "grow":
            begin, end = self.begin.floor_division(size), self.end.ceil_division(size)
        elif mode == "shrink":
            begin, end = self.begin.ceil_division(size), self.end.floor_division(size)
        elif mode in ("closest", "nearest"):
            begin, end = self.begin.round_division(size), self.end.round_division(size)
        else:
            raise RegionError("unknown way to snap", got=mode, expected="grow, shrink or nearest")
        return Roi(begin * size, (end - begin) * size)

    def squeeze(self, dim: int = 0) -> Roi:
        """Drop one axis."""
        return Roi(self._offset.squeeze(dim), self._shape.squeeze(dim))

    def copy(self) -> Roi:
        """Give itself: a Roi never changes."""
        return self

    def __add__(self, other: Operand) -> Roi:
        return self.shift(other)

    def __sub__(self, other: Operand) -> Roi:
        return Roi(self._offset - other, self._shape)

    def __mul__(self, other: Operand) -> Roi:
        return Roi(self._offset * other, self._shape * other)

    def __truediv__(self, other: Operand) -> Roi:
        return Roi(self._offset / other, self._shape / other)

    def __floordiv__(self, other: Operand) -> Roi:
        return Roi(self._offset // other, self._shape // other)

    def __mod__(self, other: Operand) -> Roi:
        return Roi(self._offset % other, self._shape % other)

    def __eq__(self, other: object) -> bool:
        if not is_roi(other):
            return NotImplemented
        return bool(self._offset == tuple(other.offset) and self._shape == tuple(other.shape))

    def __hash__(self) -> int:
        return hash((tuple(self._offset), tuple(self._shape)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Roi, (tuple(self._offset), tuple(self._shape))

    def __repr__(self) -> str:
        return f"Roi(offset={format_numbers(self._offset)}, shape={format_numbers(self._shape)})"


RoiLike: TypeAlias = "Roi | FunlibRoi"


def is_roi(value: object) -> TypeGuard[RoiLike]:
    """Whether the value is a region, ours or funlib's."""
    return isinstance(value, (Roi, FunlibRoi))


def as_roi(value: Any) -> Roi:
    """Give our own exact region for ours, funlib's, or an ``(offset, shape)`` pair.

    Raises
    ------
    RegionError
        It is none of these, or has no bounds.
    """
    if isinstance(value, Roi):
        return value
    if isinstance(value, FunlibRoi):
        if value.unbounded or None in value.offset:
            raise RegionError(
                "the region has no bounds", got=value, expected="an offset and a shape per axis"
            )
        return Roi(value.offset, value.shape)
    if isinstance(value, Box):  # which is a pair, too, but of voxels
        raise RegionError(
            "a box of voxels is no region in world units",
            got=value,
            expected="a Roi, or an (offset, shape) pair",
            hint="`array.spec.box_to_roi(box)` gives its region",
        )
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return Roi(*value)
    raise RegionError("not a region", got=repr(value), expected="a Roi, or an (offset, shape) pair")


def funlib_where_integral(value: Roi | Coordinate) -> Any:
    """Give funlib's type where every number is an integer, else the value itself.

    Examples
    --------
    >>> type(funlib_where_integral(Coordinate(4, 4))).__module__
    'funlib.geometry.coordinate'
    """
    if isinstance(value, Coordinate):
        return FunlibCoordinate(value) if all(isinstance(v, int) for v in value) else value  # type: ignore[no-untyped-call]  # funlib
    if all(isinstance(v, int) for v in (*value.offset, *value.shape)):
        return FunlibRoi([int(v) for v in value.offset], [int(v) for v in value.shape])
    return value


class Box(NamedTuple):
    """A box of voxels over *all* axes of an array, in array order.

    Attributes
    ----------
    offset, shape : tuple of int
        First voxel and number of voxels along every axis.

    Examples
    --------
    >>> Box((0, 2), (3, 4)).end
    (3, 6)
    """

    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def end(self) -> tuple[int, ...]:
        """The voxel behind the last, along every axis."""
        return tuple(map(operator.add, self.offset, self.shape))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the box in its array."""
        return tuple(map(slice, self.offset, map(operator.add, self.offset, self.shape)))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    def shifted(self, by: Sequence[int]) -> Box:
        """Give the box moved by a number of voxels per axis."""
        return Box(tuple(map(operator.add, self.offset, by)), self.shape)

    def slices_in(self, outer: Box) -> tuple[slice, ...]:
        """Index of this box in a block that holds `outer`."""
        return tuple(
            slice(o - q, o - q + s)
            for o, s, q in zip(self.offset, self.shape, outer.offset, strict=True)
        )

    def contains(self, other: Box) -> bool:
        """Whether the other box lies inside."""
        for a, s, b, t in zip(self.offset, self.shape, other.offset, other.shape, strict=True):
            if b < a or a + s < b + t:
                return False
        return True

    def intersect(self, other: Box) -> Box:
        """Give the common box; empty along an axis where there is none."""
        start = tuple(map(max, self.offset, other.offset))
        stop = map(min, self.end, other.end)
        return Box(start, tuple(max(b - a, 0) for a, b in zip(start, stop, strict=True)))

    def union(self, other: Box) -> Box:
        """Give the bounding box of both."""
        start = tuple(map(min, self.offset, other.offset))
        return box_between(start, tuple(map(max, self.end, other.end)))


def box_between(start: Iterable[int], stop: Iterable[int]) -> Box:
    """Make a box from its first voxel and the one behind its last."""
    offset = tuple(start)
    return Box(offset, tuple(b - a for a, b in zip(offset, stop, strict=True)))


def blocks_of(shape: Sequence[int], block: Sequence[int]) -> Iterator[Box]:
    """Walk over the blocks that tile an array, in C order, cut at its end.

    Examples
    --------
    >>> [box.offset for box in blocks_of((3,), (2,))]
    [(0,), (2,)]
    """
    counts = (range(-(-n // b)) for n, b in zip(shape, block, strict=True))
    for index in itertools.product(*counts):
        offset = tuple(i * b for i, b in zip(index, block, strict=True))
        yield Box(
            offset, tuple(min(b, n - o) for o, b, n in zip(offset, block, shape, strict=True))
        )
