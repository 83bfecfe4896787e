"""Flip: voxels in the opposite order along some axes."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from dacapo_like.core import Array, about
from dacapo_like.errors import SpecError, did_you_mean
from dacapo_like.operators._turned import Turn, TurnedConfig, axis_names
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


@register("flip")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class FlipArrayConfig(TurnedConfig):
    """An array whose voxels are in the opposite order along some of its spatial axes, each where it was in the world.

    The directions of these axes turn around, and with them the frame in which regions are told: what lay between 10 and 30 along an
    axis lies between -30 and -10 of the opposite one. `voxel_to_world` stays true, as it does in a NIfTI whose affine has a
    negative column. Flipping twice gives the array back.
    """

    axes: tuple[str, ...] = attrs.field(
        converter=axis_names, metadata=about("Names of the spatial axes to turn around.")
    )

    def turn(self, source: ArraySpec) -> Turn:
        """Mirror the axes that are named."""
        for name in self.axes:
            if name not in source.spatial_axes:
                raise SpecError(
                    "no spatial axis of this name",
                    got=repr(name),
                    expected=f"one of {' '.join(source.spatial_axes)}",
                    hint="indices in another order: `select_channels`, `select_timepoints`"
                    if name in source.leading_axes
                    else did_you_mean(name, source.spatial_axes),
                    key=("axes",),
                )
        return Turn(
            source.axes, tuple(range(source.ndim)), tuple(name in self.axes for name in source.axes)
        )


@array_method
def flip(array: Array, axes: Sequence[str]) -> Array:
    """Turn spatial axes around; every voxel stays where it is in the world, see `FlipArrayConfig`.

    Parameters
    ----------
    array : Array
        With any axes.
    axes : sequence of str
        Names of spatial axes; ``"x"`` and ``"zy"`` are such, too.

    Raises
    ------
    SpecError
        One is no spatial axis of the array.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.array([[1, 2, 3]]), voxel_size=(10, 4))
    >>> flipped = array.flip("x")
    >>> flipped.read(), flipped.roi
    (array([[3, 2, 1]]), [0:10, -12:0] (10, 12))
    >>> array.voxel_to_world @ [0, 0, 1], flipped.voxel_to_world @ [0, 2, 1]
    (array([5., 2., 1.]), array([5., 2., 1.]))
    """
    return array.apply(FlipArrayConfig, axes=axes)
