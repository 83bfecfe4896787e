"""Transpose: axes in another order."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from dacapo_like.core import Array, about
from dacapo_like.errors import SpecError
from dacapo_like.operators._turned import Turn, TurnedConfig, axis_names
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


@register("transpose")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class TransposeArrayConfig(TurnedConfig):
    """An array with its axes in another order.

    An axis takes its name, voxel size, unit and direction along, and regions and world points are told in the new order. Time, sample and
    channel axes stay before the spatial ones.
    """

    axes: tuple[str, ...] = attrs.field(
        converter=axis_names, metadata=about("Names of all axes in their new order.")
    )

    def turn(self, source: ArraySpec) -> Turn:
        """Look the axes up."""
        lead = len(source.leading_axes)
        if sorted(self.axes) != sorted(source.axes):
            raise SpecError(
                "not the axes of the array",
                got=" ".join(self.axes),
                expected=f"{' '.join(source.axes)} in another order",
                key=("axes",),
            )
        if set(self.axes[:lead]) != set(source.leading_axes):
            raise SpecError(
                "a spatial axis before one that is not",
                got=" ".join(self.axes),
                expected=f"{' '.join(source.leading_axes)} in any order, then {' '.join(source.spatial_axes)} in any order",
                key=("axes",),
            )
        order = tuple(map(source.axes.index, self.axes))
        return Turn(self.axes, order, (False,) * source.ndim)


@array_method
def transpose(array: Array, axes: Sequence[str | int]) -> Array:
    """Put axes into another order, see `TransposeArrayConfig`.

    Parameters
    ----------
    array : Array
        With any axes.
    axes : sequence of str or int
        Names of all axes in their new order, such as ``"cxyz"``; or, as numpy has them, their present places.

    Raises
    ------
    SpecError
        They are not those of the array, or a spatial axis would stand before one that is not.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.zeros((1, 2, 3)), voxel_size=(40, 4, 4)).transpose("xyz")
    >>> array.axes, array.shape, array.voxel_size
    (('x', 'y', 'z'), (3, 2, 1), (4, 4, 40))
    """
    names = [axis if isinstance(axis, str) else _name_at(array, axis) for axis in axes]
    return array.apply(TransposeArrayConfig, axes=names)


def _name_at(array: Array, place: int) -> str:
    if not -array.ndim <= place < array.ndim:
        raise SpecError(
            "no axis at this place",
            got=place,
            expected=f"0 to {array.ndim - 1}",
            key=("axes",),
        )
    return array.axes[place]
