"""Along one axis: which voxels a sample is made of, and their weights, as functions of its index on the whole grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.kernels.spline import first_tap, spline_weights

Order = Literal[0, 1, 3, "spline"]
Range: TypeAlias = tuple[int, int]  # first, stop

_REACH = {1: 1, 3: 2}  # of the kernels, in voxels


class Taps(NamedTuple):
    """What the samples along an axis are made of.

    Attributes
    ----------
    first : ndarray
        intp of shape ``(samples,)``: the place of the first tap in `voxels`; the others follow it.
    weights : ndarray or None
        float64 of shape ``(samples, taps)``; ``None`` where each sample is a copy of one voxel.
    voxels : ndarray
        intp: the index of each place in the whole input, or in the part of it that is there.
    """

    first: NDArray[np.intp]
    weights: NDArray[np.float64] | None
    voxels: NDArray[np.intp]

    @property
    def indices(self) -> NDArray[np.intp]:
        """The voxel of every tap, of shape ``(samples, taps)``."""
        taps = 1 if self.weights is None else self.weights.shape[1]
        indices: NDArray[np.intp] = self.voxels[self.first[:, None] + np.arange(taps)]
        return indices


@attrs.frozen
class Line:
    """How an axis is sampled: sample `o` has its centre at ``(o + 1/2) * ratio - 1/2 + shift`` on the input's voxels.

    Attributes
    ----------
    ratio, shift : Fraction
        Size of an output voxel, and corner of the first one, in input voxels.
    order : {0, 1, 3, "spline"}
        Of the kernel.
    bound : (int, int)
        First and stop index of the whole input.
    stretch : bool
        Whether the kernel is as wide as the output's voxels where these are the larger ones.
    """

    ratio: Fraction
    shift: Fraction
    order: Order
    bound: Range
    stretch: bool

    @cached_property
    def copies(self) -> bool:
        """Whether every sample is one voxel: for order 0, and where all centres are those of input voxels."""
        if self.order == 0:
            return True
        centre = (self.ratio - 1) / 2 + self.shift
        return not self._stretched and self.ratio.denominator == centre.denominator == 1

    @property
    def _stretched(self) -> bool:
        return self.stretch and self.ratio > 1

    @property
    def _width(self) -> Fraction:
        """By how much the kernel is stretched."""
        return self.ratio if self._stretched else Fraction(1)

    @cached_property
    def reach(self) -> Range:
        """The first tap, and the one behind the last, counted from the voxel at or before the centre."""
        if self.copies:
            return 0, 1
        if self.order == "spline":
            first = first_tap(float(self._width))
        else:
            first = 1 - math.ceil(_REACH[self.order] * self._width)
        return first, 2 - first  # as many before the centre as behind it

    @cached_property
    def _parts(self) -> int:
        """Into how many parts a voxel is divided, so that centres are whole numbers of them."""
        return 2 * math.lcm(self.ratio.denominator, self.shift.denominator)

    @cached_property
    def _half_step(self) -> int:
        return int(self.ratio * self._parts) // 2

    @cached_property
    def _begin(self) -> int:
        """Where the first sample begins, counted from the centre of voxel 0, or where voxels are copied from its corner."""
        return int(self.shift * self._parts) - (0 if self.copies else self._parts // 2)

    def _centres(self, samples: Any) -> Any:
        """Give the centre of samples in parts of a voxel."""
        return (2 * samples + 1) * self._half_step + self._begin

    def _folded(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Give the voxels that stand for some which may be beyond the array: its edge, or for splines their mirror image."""
        first, stop = self.bound
        if self.order != "spline" or stop - first == 1:
            return np.asarray(np.clip(voxels, first, stop - 1))
        away = (voxels - first) % (2 * (stop - 1 - first))
        return np.asarray(first + np.minimum(away, 2 * (stop - 1 - first) - away))

    def support(self, start: int, length: int) -> Range:
        """Give the range of voxels that a range of samples is made of."""
        low = self._centres(start) // self._parts + self.reach[0]
        stop = self._centres(start + length - 1) // self._parts + self.reach[1]
        ends = set(self._folded(np.array([low, stop - 1], object)).tolist())
        first, end = self.bound
        period = 2 * (end - 1 - first)
        if self.order == "spline" and period:  # the mirror image turns round at the edges
            ends |= {edge for edge in (first, end - 1) if (edge - low) % period < stop - low}
        return min(ends), max(ends) + 1

    def taps(self, start: int, length: int) -> Taps:
        """Find the voxels and weights of a range of samples."""
        parts = self._parts
        farthest = max(abs(self._centres(place)) for place in (0, start, start + length))
        # Python's integers where need be: exact however long the numerators are.
        whole = np.int64 if max(farthest, parts, *map(abs, self.bound)) < 2**61 else object
        centres = self._centres(np.arange(start, start + length, dtype=whole))
        voxels, (low, high) = centres // parts, self.reach
        around = np.arange(voxels[0] + low, voxels[-1] + high, dtype=whole)
        return Taps(
            (voxels - voxels[0]).astype(np.intp),
            None if self.copies else self._weights(centres % parts),
            self._folded(around).astype(np.intp),
        )

    def _weights(self, phases: NDArray[Any]) -> NDArray[np.float64]:
        parts, width = self._parts, float(self._width)
        distinct, places = np.unique(phases, return_inverse=True)
        if self.order == "spline":
            rows = spline_weights([phase / parts for phase in distinct.tolist()], width)
        elif self._stretched:
            quotients = [phase / parts for phase in distinct.tolist()]
            rows = _stretched(quotients, width, self.order, self.reach)
        else:
            rows = np.array([_exact(phase, parts, self.order) for phase in distinct.tolist()])
        return rows[places]


@lru_cache(maxsize=4096)
def _exact(r: int, d: int, order: Literal[0, 1, 3]) -> tuple[float, ...]:
    """Weights of the taps at phase r / d: quotients of integers, rounded once."""
    if order == 1:
        return (d - r) / d, r / d
    return (
        (-(r**3) + 2 * r**2 * d - r * d**2) / (2 * d**3),
        (3 * r**3 - 5 * r**2 * d + 2 * d**3) / (2 * d**3),
        (-3 * r**3 + 4 * r**2 * d + r * d**2) / (2 * d**3),
        (r**3 - r**2 * d) / (2 * d**3),
    )


def _stretched(
    phases: Sequence[float], width: float, order: Literal[0, 1, 3], reach: Range
) -> NDArray[np.float64]:
    """Weights of a kernel that is stretched: its values at the voxels, made to add up to 1.

    Those of the tent are also tilted so that a ramp stays one, as in local linear regression: between whole numbers the mean
    place of the voxels under a tent is not quite its centre.
    """
    away = [tap - np.array(phases, np.float64) for tap in range(*reach)]
    values = [(_tent if order == 1 else _keys)(np.abs(distance) / width) for distance in away]
    zeroth, first, second = (_moment(values, away, power) for power in range(3))
    if order == 3:
        return np.array([value / zeroth for value in values]).T
    tilted = [
        value * (second - first * distance) for value, distance in zip(values, away, strict=True)
    ]
    single = second == 0  # one voxel alone has weight
    total = np.where(single, 1, zeroth * second - first * first)
    weights = [
        np.where(single, value, tilt / total) for value, tilt in zip(values, tilted, strict=True)
    ]
    return np.array(weights).T


def _moment(
    values: Sequence[NDArray[np.float64]], away: Sequence[NDArray[np.float64]], power: int
) -> NDArray[np.float64]:
    total = np.zeros_like(values[0])
    for value, distance in zip(values, away, strict=True):  # in this order, whatever the length
        term = value
        for _ in range(power):
            term = term * distance
        total += term
    return total


def _tent(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1 - s, 0)


def _keys(s: NDArray[np.float64]) -> NDArray[np.float64]:
    near = (1.5 * s - 2.5) * s * s + 1
    far = ((-0.5 * s + 2.5) * s - 4) * s + 2
    return np.where(s < 1, near, np.where(s < 2, far, 0))
