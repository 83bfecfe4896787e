"""Where patches may begin so that they lie on the grids of several arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import attrs

from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box, Exact, format_numbers
from dacapo_like.spec import ArraySpec, same_directions
from dacapo_like.units import length_factor


class View(NamedTuple):
    """How the voxels of an array lie on those of another, the reference, per spatial axis.

    Attributes
    ----------
    ratio : tuple of numbers
        Voxels of the array along one of the reference.
    shift : tuple of numbers
        Where the reference begins, in voxels of the array.
    """

    ratio: tuple[Fraction, ...]
    shift: tuple[Fraction, ...]

    def place(self, point: Iterable[Exact]) -> tuple[Fraction, ...]:
        """Give a point, in voxels of the reference, in those of the array."""
        return tuple(n * r + s for n, r, s in zip(point, self.ratio, self.shift, strict=True))

    def box(self, box: Box) -> Box | None:
        """Give a box, in voxels of the reference, in those of the array; ``None`` where these are not whole."""
        start, shape, rests = [], [], 0
        for n, size, r, s in zip(box.offset, box.shape, self.ratio, self.shift, strict=True):
            # in integers, for it is done for every patch: fractions take ten times as long
            parts = r.denominator * s.denominator
            first, rest = divmod(
                n * r.numerator * s.denominator + s.numerator * r.denominator, parts
            )
            length, part = divmod(size * r.numerator, r.denominator)
            start.append(first)
            shape.append(length)
            rests |= rest | part
        return None if rests else Box(tuple(start), tuple(shape))

    def lengths(self, shape: Iterable[int]) -> tuple[Fraction, ...]:
        """Give lengths, in voxels of the reference, in those of the array."""
        return tuple(n * r for n, r in zip(shape, self.ratio, strict=True))


def view_of(spec: ArraySpec, name: str, reference: ArraySpec, reference_name: str) -> View:
    """Find how one array lies on another; a unit that only one of them knows is taken for the other's.

    Raises
    ------
    SpecError
        They have different spatial axes, or these point in different directions.
    """
    if spec.spatial_axes != reference.spatial_axes:
        raise SpecError(
            "arrays with different spatial axes cannot be patched together",
            got=f"{name} has {' '.join(spec.spatial_axes)}",
            expected=f"{' '.join(reference.spatial_axes)} as {reference_name} has",
        )
    if not same_directions(spec, reference):
        raise SpecError(
            "arrays whose axes point in different directions cannot be patched together",
            got=f"{name} has {spec.directions}",
            expected=f"{reference.directions} as {reference_name} has",
            hint="reorient or transform one of them first",
        )
    factors = [
        length_factor(mine, into) if mine and into and mine != into else 1
        for mine, into in zip(spec.units, reference.units, strict=True)
    ]
    voxel_size, offset = spec.voxel_size * factors, spec.offset * factors
    return View(
        tuple(map(Fraction, reference.voxel_size / voxel_size)),
        tuple(map(Fraction, (reference.offset - offset) / voxel_size)),
    )


@attrs.frozen
class Positions:
    """The places where a patch may begin, in voxels of the reference: per axis `first`, `first` + `step`, and so on.

    Attributes
    ----------
    first, step, counts : tuple of int
        Of the places along every axis; there may be none.
    """

    first: tuple[int, ...]
    step: tuple[int, ...]
    counts: tuple[int, ...]

    def start(self, place: Sequence[int]) -> tuple[int, ...]:
        """Give the voxel where a patch begins."""
        return tuple(a + k * n for a, k, n in zip(self.first, place, self.step, strict=True))

    def nearest(self, start: Sequence[int]) -> tuple[int, ...]:
        """Give the place next to a voxel, the lower one of two; it may be out of range."""
        distances = (n - a for n, a in zip(start, self.first, strict=True))
        return tuple((2 * d + n - 1) // (2 * n) for d, n in zip(distances, self.step, strict=True))

    def has(self, place: Sequence[int]) -> bool:
        """Whether there is such a place."""
        return all(0 <= k < n for k, n in zip(place, self.counts, strict=True))


class Room(NamedTuple):
    """What a patch may cover of an array, and on which grid.

    Attributes
    ----------
    name : str
        Of the array.
    view : View
        Of it on the reference.
    box : Box
        Of its voxels, over the spatial axes: where the patch, without its context, has to lie.
    """

    name: str
    view: View
    box: Box


def positions(rooms: Sequence[Room], shape: tuple[int, ...]) -> Positions:
    """Find where patches of a shape, in voxels of the reference, may begin.

    Raises
    ------
    SpecError
        The patch is not of whole voxels of an array, or there is no place that is on the grids of all of them.
    """
    axes = []
    for axis, length in enumerate(shape):
        base, step = 0, 1
        lows, highs = [], []
        for room in rooms:
            ratio, shift = room.view.ratio[axis], room.view.shift[axis]
            _check_whole(room, shape)
            base, step = _meet((base, step), _on_grid(ratio, shift), room)
            first = room.box.offset[axis]
            last = room.box.end[axis] - length * ratio
            lows.append(math.ceil((first - shift) / ratio))
            highs.append(math.floor((last - shift) / ratio))
        low = max(lows)
        start = low + (base - low) % step
        axes.append((start, step, max((min(highs) - start) // step + 1, 0)))
    return Positions(*map(tuple, zip(*axes, strict=True)))


def _check_whole(room: Room, shape: tuple[int, ...]) -> None:
    lengths = room.view.lengths(shape)
    if any(length.denominator != 1 for length in lengths):
        raise SpecError(
            "a patch is not of whole voxels",
            got=f"{format_numbers(lengths)} voxels of {room.name}",
            expected="a size that is a multiple of the voxel size of every array",
            hint="choose another size, or resample one of the arrays",
        )


def _on_grid(ratio: Fraction, shift: Fraction) -> tuple[int, int] | None:
    """Give the integers `n` for which ``n * ratio + shift`` is one: a first, and how far they are apart."""
    parts = math.lcm(ratio.denominator, shift.denominator)
    factor, offset = int(ratio * parts), int(shift * parts)
    common = math.gcd(factor, parts)
    if offset % common:
        return None
    step = parts // common
    return -(offset // common) * pow(factor // common, -1, step) % step, step


def _meet(ours: tuple[int, int], theirs: tuple[int, int] | None, room: Room) -> tuple[int, int]:
    """Give the integers that are in two such sequences."""
    if theirs is not None:
        common = math.gcd(ours[1], theirs[1])
        apart = theirs[0] - ours[0]
        if apart % common == 0:
            rest = theirs[1] // common
            turns = apart // common * pow(ours[1] // common, -1, rest) % rest
            step = ours[1] * rest
            return (ours[0] + ours[1] * turns) % step, step
    half = any(
        all((2 * apart).denominator == 1 for apart in distances)
        for distances in (
            room.view.shift,
            tuple(map(operator.truediv, room.view.shift, room.view.ratio)),
        )
    )
    raise SpecError(
        "arrays whose grids do not align cannot be patched together",
        got=f"{room.name} starts {format_numbers(-s for s in room.view.shift)} of its voxels from the others",
        expected="corners of patches that are corners of voxels of every array",
        hint="the grids miss each other by exactly half a voxel: one of the sources may store voxel corners where the "
        "other stores centres; set `anchor: corner` or `anchor: center` on it"
        if half
        else "resample one of them, or correct its offset",
    )
