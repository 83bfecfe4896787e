"""A chain of transforms, from the voxels of one array to those of another.

Between two fields, all that is linear (grids, directions, units, affines) is one matrix, multiplied exactly and rounded once. So
a chain is ``matrix, field, matrix, field, …, matrix``, and every point of it is in voxels of the array that comes next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import KeyPath, SourceError, SpecError
from dacapo_like.spec import ArraySpec
from dacapo_like.transforms.config import Transform
from dacapo_like.transforms.files import Convention, FileAffine
from dacapo_like.transforms.matrix import (
    Matrix,
    as_floats,
    diagonal,
    identity,
    inverse,
    permutation,
    product,
    voxel_to_world,
    world_units,
)
from dacapo_like.units import length_factor

_FILE_UNIT = "mm"
_RAS_VECTORS = 1006  # NIfTI's intent of displacements, which are in its own world; ANTs writes 1007
_NEGATED = {"ras": "", "lps": "xy"}
_XYZ = ("x", "y", "z")
_MOST_AXES = 3


@attrs.frozen(eq=False)
class Warp:
    """A displacement field of a chain.

    Attributes
    ----------
    turn : ndarray, shape (dims, dims)
        From the components of its vectors to its voxels.
    shape : tuple of int
        Its voxels along the chain's axes.
    flat : bool
        It is stored with one more axis, of length 1, in front of these.
    invert : bool
        Points are moved back by it.
    number : int
        Of its transform in the list.
    """

    turn: NDArray[np.float64]
    shape: tuple[int, ...]
    flat: bool
    invert: bool
    number: int


@attrs.frozen(eq=False)
class Chain:
    """How voxel indices of one array become those of another.

    Attributes
    ----------
    maps : tuple of ndarray, shape (dims, dims + 1)
        One more than there are fields: to the voxels of the first field, from there to the next, and at last to the other array.
    warps : tuple of Warp
        The fields, in order.
    """

    maps: tuple[NDArray[np.float64], ...]
    warps: tuple[Warp, ...]


def make_chain(
    transforms: Sequence[Transform],
    before: ArraySpec,
    after: ArraySpec,
    fields: Sequence[ArraySpec] = (),
) -> Chain:
    """Chain transforms from the voxels of one array to those of another.

    Parameters
    ----------
    transforms : sequence of Transform
        Each takes world points on the side of `before` to those on the side of `after`; the first is applied first.
    before, after : ArraySpec
        Of the two arrays; the transforms' world is that of `before`, in its units.
    fields : sequence of ArraySpec
        Of the displacement fields among the transforms, in order.

    Raises
    ------
    SpecError
        A transform does not fit the arrays, or cannot be inverted.
    SourceError
        A file cannot be read.
    """
    rest = list(fields)
    steps = []
    for number, transform in enumerate(transforms):
        try:
            affine = transform.numbers
        except SourceError as error:
            error.key = ("transforms", number, "file_name")
            raise
        field = rest.pop(0) if affine is None else None
        steps.append(_step(transform, affine, field))
    return _make_chain(tuple(steps), before, after, tuple(fields))


@attrs.frozen(cache_hash=True)
class _Step:
    """What counts of one transform: no array is kept alive by it.

    Attributes
    ----------
    matrix : Matrix or None
        ``None`` for a field.
    axes : tuple of str or None
        Order of components; ``None``: that of the spatial axes.
    unit : str or None
        Of its numbers; ``None``: that of the array's world, or of the field.
    """

    matrix: Matrix | None
    axes: tuple[str, ...] | None
    convention: Convention
    unit: str | None
    invert: bool


def _step(transform: Transform, affine: FileAffine | None, field: ArraySpec | None) -> _Step:
    own: Convention = "ras"
    dims = 0
    if affine is not None:
        own, dims = affine.convention, len(affine.matrix) - 1
    elif field is not None:
        own, dims = _vector_convention(field), field.num_channels or 0
    axes = transform.axes
    if axes is None and transform.affine is None:
        axes = _XYZ[:dims]
    return _Step(
        matrix=None if affine is None else affine.matrix,
        axes=axes,
        convention=transform.convention or own,
        unit=transform.units or (None if transform.file_name is None else _FILE_UNIT),
        invert=transform.invert,
    )


def _vector_convention(field: ArraySpec) -> Convention:
    """Say how the vectors of a field are written where its transform does not."""
    header = field.attrs.get("nifti")
    if not isinstance(header, Mapping):
        return "ras"
    return "ras" if header.get("intent_code") == _RAS_VECTORS else "lps"


@lru_cache(maxsize=256)  # asked for at every read
def _make_chain(
    steps: tuple[_Step, ...],
    before: ArraySpec,
    after: ArraySpec,
    fields: tuple[ArraySpec, ...],
) -> Chain:
    if not 1 <= before.dims <= _MOST_AXES:
        raise SpecError(
            "an array of too many axes, or too few, to be transformed",
            got=f"{before.dims} spatial axes",
            expected="one to three",
        )
    to_after = _world_to_world(before, after)
    place = voxel_to_world(before)
    maps: list[NDArray[np.float64]] = []
    warps: list[Warp] = []
    for number, step in enumerate(steps):
        key = ("transforms", number)
        if step.matrix is not None:
            place = product(_in_world(step, step.matrix, before, after, key), place)
            continue
        field, flat = _in_plane(fields[len(warps)], before, key)
        to_field = product(
            _inverted(voxel_to_world(field), key), _world_to_world(before, field, key)
        )
        units = dict(zip(field.spatial_axes, world_units(field), strict=True))
        own = _own_to_world(step, before, units, key)
        turn = as_floats(product(to_field, own))[:, :-1]
        maps.append(as_floats(product(to_field, place)))
        warps.append(Warp(turn, field.spatial_shape, flat=flat, invert=step.invert, number=number))
        place = _inverted(to_field, key)
    last = product(_inverted(voxel_to_world(after), ()), to_after, place)
    return Chain((*maps, as_floats(last)), tuple(warps))


def _inverted(matrix: Matrix, key: KeyPath) -> Matrix:
    try:
        return inverse(matrix)
    except ZeroDivisionError as error:
        raise SpecError(
            "the affine cannot be inverted",
            got=as_floats(matrix).tolist(),
            expected="a matrix that does not flatten space",
            key=key,
        ) from error


def _world_to_world(before: ArraySpec, after: ArraySpec, key: KeyPath = ("like",)) -> Matrix:
    """Give the matrix between the worlds of two arrays: other order of axes, other units.

    Where a unit is not known on one side, the numbers are taken to mean the same.
    """
    if sorted(before.spatial_axes) != sorted(after.spatial_axes):
        raise SpecError(
            "arrays with different spatial axes",
            got=" ".join(after.spatial_axes),
            expected=" ".join(before.spatial_axes),
            key=key,
        )
    units = dict(zip(after.spatial_axes, world_units(after), strict=True))
    factors = [
        _factor(own, units[axis])
        for axis, own in zip(before.spatial_axes, world_units(before), strict=True)
    ]
    return product(permutation(before.spatial_axes, after.spatial_axes), diagonal(factors))


def _factor(unit: str | None, into: str | None) -> Fraction:
    return length_factor(unit, into) if unit and into and unit != into else Fraction(1)


def _in_world(
    step: _Step, matrix: Matrix, before: ArraySpec, after: ArraySpec, key: KeyPath
) -> Matrix:
    """Give the matrix of an affine in the world of `before`."""
    if len(matrix) != before.dims + 1:
        raise SpecError(
            "the matrix does not fit the spatial axes",
            got=f"{len(matrix)} rows",
            expected=f"{before.dims + 1}, one more than the axes {' '.join(before.spatial_axes)}",
            key=key,
        )
    if step.convention == "fsl":
        return _fsl_in_world(step, matrix, before, after, key)
    own = _own_to_world(step, before, {}, key)
    inside = _inverted(matrix, key) if step.invert else matrix
    return product(own, inside, _inverted(own, key))


def _own_to_world(
    step: _Step, world: ArraySpec, units: Mapping[str, str | None], key: KeyPath
) -> Matrix:
    """Give the matrix from the points, or vectors, that a transform speaks of to those of the world of an array.

    `units` are those of numbers which have none of their own, by axis.
    """
    axes = step.axes or world.spatial_axes
    if sorted(axes) != sorted(world.spatial_axes):
        raise SpecError(
            "axes of a transform that are not those of the array",
            got=" ".join(axes),
            expected=f"{' '.join(world.spatial_axes)}, in any order",
            key=key,
        )
    into = dict(zip(world.spatial_axes, world_units(world), strict=True))
    factors = [
        _factor(step.unit or units.get(axis), into[axis])
        * (-1 if axis in _NEGATED[step.convention] else 1)
        for axis in axes
    ]
    return product(permutation(axes, world.spatial_axes), diagonal(factors))


def _fsl_in_world(
    step: _Step, matrix: Matrix, before: ArraySpec, after: ArraySpec, key: KeyPath
) -> Matrix:
    """Give the matrix of a flirt matrix: from ``-in``, the source, to ``-ref``, the output; the other way around if inverted.

    FSL's points are voxel indices times voxel sizes, those along x counted from the other end where the axes are right-handed.
    See https://fsl.fmrib.ox.ac.uk/fsl/fslwiki/FLIRT/FAQ, "What is the format of the matrix used by FLIRT".
    """
    unit = step.unit or _FILE_UNIT
    world_to_fsl = product(_voxel_to_fsl(before, unit, key), _inverted(voxel_to_world(before), key))
    fsl_to_world = product(
        _inverted(_world_to_world(before, after), key),
        voxel_to_world(after),
        _inverted(_voxel_to_fsl(after, unit, key), key),
    )
    forward = matrix if step.invert else _inverted(matrix, key)
    return product(fsl_to_world, forward, world_to_fsl)


def _voxel_to_fsl(spec: ArraySpec, unit: str, key: KeyPath) -> Matrix:
    if sorted(spec.spatial_axes) != ["x", "y", "z"]:
        raise SpecError(
            "a matrix of FSL is between volumes",
            got=f"axes {' '.join(spec.spatial_axes)}",
            expected="x, y and z",
            key=(*key, "convention"),
        )
    sizes = [
        Fraction(size) * _factor(own, unit)
        for size, own in zip(spec.voxel_size, spec.units, strict=True)
    ]
    turn = permutation(spec.spatial_axes, _XYZ)
    scaled = product(turn, diagonal(sizes))
    axes_to_world = np.array([[float(v) for v in row] for row in voxel_to_world(spec)])[:-1, :-1]
    if np.linalg.det(axes_to_world) < 0:
        return scaled
    x = spec.spatial_axes.index("x")
    last = (spec.spatial_shape[x] - 1) * sizes[x]
    flip = identity(3)
    row = (Fraction(-1), Fraction(0), Fraction(0), Fraction(last))
    return product((row, *flip[1:]), scaled)


def _in_plane(field: ArraySpec, before: ArraySpec, key: KeyPath) -> tuple[ArraySpec, bool]:
    """Check a field; one of a plane that is stored as a volume of one voxel in depth is made a plane, and said to be flat."""
    flat = field.dims == before.dims + 1 and field.spatial_shape[0] == 1
    if flat and field.directions is not None:
        flat = not any(field.directions[0][1:]) and not any(v[0] for v in field.directions[1:])
    if flat:
        field = field.replace(
            axes=(*field.leading_axes, *field.spatial_axes[1:]),
            shape=(*field.leading_shape, *field.spatial_shape[1:]),
            voxel_size=field.voxel_size[1:],
            offset=field.offset[1:],
            units=field.units[1:],
            directions=field.directions and [vector[1:] for vector in field.directions[1:]],
            chunk_shape=None,
        )
    if (
        field.leading_axes != ("c",)
        or field.num_channels != before.dims
        or field.dims != before.dims
    ):
        raise SpecError(
            "not a displacement field for these arrays",
            got=f"axes {' '.join(field.axes)} of shape {field.shape}",
            expected=f"c {' '.join(before.spatial_axes)}, with {before.dims} components along c",
            key=key,
        )
    return field, flat
