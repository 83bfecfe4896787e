"""Reorient: axes that point as anatomical letters say."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.anatomy import directions_of, is_anatomical, is_code, words_of, words_of_code
from dacapo_like.core import Array, about
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.operators._turned import Turn, TurnedConfig
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec, Directions


def _code(value: Any) -> str:
    if not is_code(value):
        raise ConfigError(
            "not an anatomical orientation",
            got=repr(value),
            expected="three letters, one each of R or L, A or P, S or I",
            key=("orientation",),
        )
    return str(value).upper()


@register("reorient")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class ReorientArrayConfig(TurnedConfig):
    """An array whose voxels are in such an order that its axes point, as closely as they can, where the letters say.

    The letters are for the axes x, y and z, in this order whatever the order of the array, and say where each of them points *to*, as
    nibabel's do: in ``LPS`` x grows to the left, y to the back, z upward. Axes are exchanged and turned around; no voxel is
    interpolated, and each stays where it is in the world. So axes that are oblique remain so: `directions` say how. With ``RAS``, what comes out is what
    ``nibabel.as_closest_canonical`` gives.
    """

    orientation: str = attrs.field(
        converter=_code,
        metadata=about("Three letters for x, y and z: one each of R or L, A or P, S or I."),
    )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Turn the frame with the voxels, unless its source says that it lies in another world."""
        (source,) = inputs
        said = source.attrs.get("axis_orientation", {})
        words = [word for word in said.values() if word]
        if words and not is_anatomical(words):
            raise SpecError(
                "axes that point where anatomical letters do not say",
                got=", ".join(f"{axis} {word}" for axis, word in said.items()),
                expected="words such as left-to-right",
                hint="`flip` and `transpose` name axes",
                key=("source",),
            )
        return super().derive(*inputs)

    def turn(self, source: ArraySpec) -> Turn:
        """Find, for every axis, the one of the source that is closest to where it is to point."""
        return _turn(source, self.orientation)


@lru_cache(maxsize=1024)  # asked for at every read
def _turn(source: ArraySpec, code: str) -> Turn:
    closest = _closest_axes(source)
    order, mirrored = [], []
    for vector in _wanted_directions(source, code):
        axis, sign = closest[int(np.argmax(np.abs(vector)))]
        order.append(axis)
        mirrored.append(sign * sum(vector) < 0)
    lead = len(source.leading_axes)
    return Turn(
        source.axes,
        (*range(lead), *(lead + axis for axis in order)),
        (*[False] * lead, *mirrored),
    )


def _wanted_directions(source: ArraySpec, code: str) -> Directions:
    """Give the vectors that letters name for the spatial axes."""
    axes = source.spatial_axes
    if not axes or not set(axes) <= set("xyz"):
        raise SpecError(
            "axes that anatomical letters do not name",
            got=" ".join(axes),
            expected="spatial axes x, y and z, or some of them",
            key=("source",),
        )
    words = words_of_code(code, axes)
    wanted = directions_of(words, axes)
    if wanted is None and words != words_of(None, axes):
        raise SpecError(
            "an orientation that points out of the array",
            got=code,
            expected=f"letters along {' '.join(axes)} for {' '.join(axes)}",
            key=("orientation",),
        )
    return wanted or tuple(map(tuple, np.eye(source.dims).tolist()))


def _closest_axes(source: ArraySpec) -> dict[int, tuple[int, int]]:
    """Give, for each direction of the world, the spatial axis that runs along it most closely, and 1, or -1 where it runs against it.

    World and axes are counted in the order of the spatial axes. As nibabel's ``io_orientation``: the rotation closest to the
    directions is the orthogonal factor of their polar decomposition; in it the axis that is closest to one of the world's
    takes this, then the next of the rest.
    """
    by_name = np.argsort(source.spatial_axes)  # x, y, z: ties fall as nibabel's
    rotation = _rotation(source)[np.ix_(by_name, by_name)]
    found: dict[int, tuple[int, int]] = {}
    for axis in np.argsort(-np.abs(rotation).max(axis=0), kind="stable"):
        world = int(np.argmax(np.abs(rotation[:, axis])))
        sign = -1 if rotation[world, axis] < 0 else 1
        found[int(by_name[world])] = int(by_name[axis]), sign
        rotation[world] = 0
    return found


def _rotation(source: ArraySpec) -> NDArray[np.float64]:
    if source.directions is None:
        return np.eye(source.dims)
    left, _, right = np.linalg.svd(np.array(source.directions).T)
    return np.asarray(left @ right)


@array_method
def reorient(array: Array, orientation: str) -> Array:
    """Exchange axes and turn them around, so that they point as letters say, see `ReorientArrayConfig`.

    Parameters
    ----------
    array : Array
        With spatial axes x, y and z, or some of them.
    orientation : str
        A letter for each of x, y and z, such as ``RAS`` or ``LPI``: where the axis points to.

    Raises
    ------
    ConfigError
        These are no such letters.
    SpecError
        The axes have other names, or one would point out of a plane.

    Examples
    --------
    >>> from nibabel.testing import data_path
    >>> from dacapo_like import NiftiArrayConfig
    >>> array = NiftiArrayConfig(file_name=f"{data_path}/anatomical.nii").array()
    >>> array.attrs["nifti"]["orientation"], array.spec.directions
    ('LAS', ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))
    >>> array.reorient("RAS").spec.directions is None
    True
    """
    return array.apply(ReorientArrayConfig, orientation=orientation)
