"""The attributes that DaCapo and funlib.persistence read beside an array, and this package's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dacapo_like.record import NAMESPACE, stored_number, write_record
from dacapo_like.spec import ArraySpec


def array_attributes(spec: ArraySpec, kept: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Say what an array is, as funlib.persistence spells it: a mark on the axes that are not spatial.

    Parameters
    ----------
    spec : ArraySpec
        Of the array.
    kept : mapping, optional
        JSON to keep in the record.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> made = array_attributes(from_shape((2, 4, 4), axes="cyx", voxel_size=(9.8, 4), units="nm"))
    >>> made["axis_names"], made["voxel_size"], made["units"]
    (['c^', 'y', 'x'], [9.8, 4.0], ['nm', 'nm'])
    """
    made: dict[str, Any] = {
        "axis_names": [f"{axis.removesuffix('^')}^" for axis in spec.leading_axes]
        + list(spec.spatial_axes),
        "voxel_size": [stored_number(value) for value in spec.voxel_size],
        "offset": [stored_number(value) for value in spec.offset],
    }
    if any(spec.units):
        made["units"] = [unit or "" for unit in spec.units]
    numbers = {"voxel_size": tuple(spec.voxel_size), "offset": tuple(spec.offset)}
    made[NAMESPACE] = write_record(spec, {"": numbers}, kept, channels=True)
    return made
