"""Homogeneous matrices of exact rationals: a chain of affines is rounded once, and one that is the identity is it exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import SpecError
from dacapo_like.geometry import exact
from dacapo_like.spec import ArraySpec

Matrix: TypeAlias = tuple[tuple[Fraction, ...], ...]

_ALONG = 1e-5  # NIfTI keeps directions in float32


def matrix_of(rows: Iterable[Iterable[object]]) -> Matrix:
    """Give the matrix whose numbers are the shortest decimals of some.

    Examples
    --------
    >>> matrix_of([[0.1, 0], [0, 1]])[0][0]
    Fraction(1, 10)
    """
    return tuple(tuple(Fraction(exact(value)) for value in row) for row in rows)


def identity(dims: int) -> Matrix:
    """Give the matrix that moves nothing."""
    return diagonal((Fraction(1),) * dims)


def diagonal(factors: Sequence[Fraction | int]) -> Matrix:
    """Give the matrix that scales every axis."""
    size = len(factors) + 1
    values = (*map(Fraction, factors), Fraction(1))
    return tuple(
        tuple(values[i] if i == j else Fraction(0) for j in range(size)) for i in range(size)
    )


def permutation(before: Sequence[str], after: Sequence[str]) -> Matrix:
    """Give the matrix that takes components in one order of axes to another.

    Examples
    --------
    >>> [list(map(int, row)) for row in permutation("xy", "yx")]
    [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    """
    names_before, names_after = (*before, None), (*after, None)
    return tuple(tuple(Fraction(a == b) for b in names_before) for a in names_after)


def product(*matrices: Matrix) -> Matrix:
    """Multiply matrices: the last is applied first."""
    result = matrices[0]
    for matrix in matrices[1:]:
        columns = tuple(zip(*matrix, strict=True))
        result = tuple(
            tuple(
                sum((a * b for a, b in zip(row, column, strict=True) if a and b), Fraction(0))
                for column in columns
            )
            for row in result
        )
    return result


def inverse(matrix: Matrix) -> Matrix:
    """Invert a matrix.

    Raises
    ------
    ZeroDivisionError
        It is singular.

    Examples
    --------
    >>> inverse(diagonal([4]))[0][0]
    Fraction(1, 4)
    """
    size = len(matrix)
    rows = [list(row + unit) for row, unit in zip(matrix, identity(size - 1), strict=True)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i and rows[k][i]:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return tuple(tuple(row[size:]) for row in rows)


def as_floats(matrix: Matrix) -> NDArray[np.float64]:
    """Give the nearest doubles, without the last row."""
    return np.array([[float(value) for value in row] for row in matrix[:-1]])


def world_units(spec: ArraySpec) -> tuple[str | None, ...]:
    """Give the unit of each component of an array's world points: that of the axis which runs along it.

    Raises
    ------
    SpecError
        Axes of different units do.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> world_units(from_shape((4, 4), units=("um", "nm"), directions=((0, 1), (1, 0))))
    ('nm', 'um')
    """
    if spec.directions is None or len(set(spec.units)) == 1:
        return spec.units
    found = []
    for parts in zip(*spec.directions, strict=True):
        along = {unit for unit, part in zip(spec.units, parts, strict=True) if abs(part) > _ALONG}
        if len(along) != 1:
            raise SpecError(
                "oblique axes of different units",
                got=f"{spec.describe_unit()} along {' '.join(spec.spatial_axes)}",
                expected="one unit",
                hint="say `units` where the array is defined",
            )
        found.append(along.pop())
    return tuple(found)


def voxel_to_world(spec: ArraySpec) -> Matrix:
    """Give `ArraySpec.voxel_to_world` exactly: voxel sizes and offsets are rationals, directions the doubles that they are."""
    dims = spec.dims
    directions = identity(dims)
    if spec.directions is not None:
        columns = tuple(tuple(map(Fraction, vector)) for vector in spec.directions)
        rows = tuple((*row, Fraction(0)) for row in zip(*columns, strict=True))
        directions = (*rows, directions[-1])
    centre = spec.offset + spec.voxel_size / 2
    sizes = diagonal([Fraction(size) for size in spec.voxel_size])
    placed = tuple((*row[:-1], Fraction(at)) for row, at in zip(sizes[:-1], centre, strict=True))
    return product(directions, (*placed, sizes[-1]))
